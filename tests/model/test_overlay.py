"""What administrators change: the rules for an order, and the file that keeps it."""

from pathlib import Path
from typing import Any

import pytest

from penstock.config import Canary, Guard, Route, Shadow
from penstock.errors import ConfigurationError, Conflict
from penstock.model.control import Action, Order
from penstock.model.overlay import MOST_CHANGES, STATE, Change, Kept, Overlay, ordered, read, write

LATEST = Route()
UNCHANGED = Overlay(route=LATEST, over=LATEST)
AT = "2026-11-27T12:00:00.000Z"


def after(action: Action, now: Overlay = UNCHANGED, **said: Any) -> Overlay:
    """The overlay where versions 1 to 3 are there, 2 and 3 are loaded, and 3 took the traffic over from 2."""
    order = Order(model="m", action=action, **said)
    return ordered(order, now, there={"1", "2", "3"}, loaded={"2", "3"}, default="3", before="2")


def test_a_promotion_ends_the_canary_and_the_shadow() -> None:
    shadow = Shadow(version="1")
    now = Overlay(route=Route(default="2", canary=Canary(version="3", percent=5), shadow=shadow), over=LATEST)
    assert after("promote", now, version="3").route == Route(default="3")
    assert after("promote", Overlay(route=Route(tolerance=0.5), over=LATEST), version="3").route.tolerance == 0.5
    assert after("promote", version="latest").route == LATEST


def test_a_rollback_ends_the_canary_or_goes_to_the_version_before() -> None:
    tried = Overlay(route=Route(canary=Canary(version="2", percent=5)), over=LATEST)
    assert after("rollback", tried).route == LATEST
    compared = Overlay(route=Route(canary=tried.route.canary, shadow=Shadow(version="3", percent=5)), over=LATEST)
    assert after("rollback", compared).route == Route(shadow=Shadow(version="3", percent=5)), "whoever answers now"
    gone = Overlay(route=Route(canary=tried.route.canary, shadow=Shadow(version="9")), over=LATEST)
    assert after("rollback", gone).route == LATEST
    assert after("rollback").route == Route(default="2")
    with pytest.raises(Conflict, match="no version to go back to: promote"):
        ordered(
            Order(model="m", action="rollback"),
            Overlay(route=LATEST, over=LATEST),
            there="1",
            loaded="1",
            default="1",
            before=None,
        )


def test_a_route_is_as_it_was_said() -> None:
    route = Route(default="2", canary=Canary(version="3", percent=5))
    assert after("route", route=route).route == route


def test_versions_are_loaded_besides_and_let_go_of() -> None:
    now = after("load", version="2")
    assert now.load == ("2",)
    assert after("load", now, version="2").load == ("2",)
    assert after("unload", now, version="2").load == ()


@pytest.mark.parametrize(
    ("action", "said", "reason"),
    [
        ("promote", {"version": "9"}, "no version 9. Versions: 1, 2, 3."),
        ("promote", {}, "Name a version."),
        ("load", {"version": "9"}, "no version 9"),
        ("unload", {"version": "1"}, "Version 1 is not loaded. Versions: 2, 3."),
        ("unload", {"version": "3"}, "Requests go to that version"),
        ("unload", {"version": "2"}, "because the configuration says so"),
        ("route", {}, "Say where"),
        ("route", {"route": Route(default="9")}, "no version 9"),
        ("route", {"route": Route(canary=Canary(version="9"))}, "no version 9"),
        ("route", {"route": Route(canary=Canary(percent=5))}, "Name the version that is to be the canary"),
        ("route", {"route": Route(canary=Canary(sticky="X-User-ID"))}, "Name the version that is to be the canary"),
        ("route", {"route": Route(canary=Canary(guard=Guard(error_percent=1)))}, "Name the version that is to be the"),
        ("route", {"route": Route(shadow=Shadow(percent=5))}, "Name the version that is to be the shadow"),
        ("route", {"route": Route(canary=Canary(version="latest", percent=5))}, "canary: 'latest' is a label"),
        ("route", {"route": Route(canary=Canary(version="stable", percent=5))}, "canary: 'stable' is a label"),
        ("route", {"route": Route(shadow=Shadow(version="latest"))}, "shadow: 'latest' is a label, and no version"),
        ("route", {"route": Route(shadow=Shadow(version="3"))}, "shadow has to be another version than the default"),
        (
            "route",
            {"route": Route(default="2", canary=Canary(version="2", percent=5))},
            "another version than the default",
        ),
        ("route", {"route": Route(canary=Canary(version="3", percent=5))}, "another version than the default"),
    ],
)
def test_what_cannot_be_is_refused(action: Action, said: dict[str, Any], reason: str) -> None:
    with pytest.raises(Conflict, match=reason):
        after(action, **said)


def change(number: int) -> Change:
    return Change(at=AT, by="admin", action="promote", version=f"{number}", route_before=LATEST, route_after=LATEST)


def test_what_is_kept_is_there_again(tmp_path: Path) -> None:
    assert read(tmp_path / "state") == Kept()
    kept = Kept().with_change("m", Overlay(route=Route(default="1"), load=("2",), over=LATEST), change(1))
    write(tmp_path / "state", kept)
    assert read(tmp_path / "state") == kept
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert [file.name for file in (tmp_path / "state").iterdir()] == [STATE]


def test_one_model_is_changed_and_the_others_stay() -> None:
    one = Overlay(route=Route(default="1"), over=LATEST)
    kept = Kept().with_change("a", one, change(1)).with_change("b", one, change(2)).with_change("a", None)
    assert (kept.overlays, list(kept.history)) == ({"b": one}, ["a", "b"])


def test_the_history_is_bounded() -> None:
    kept = Kept()
    for number in range(MOST_CHANGES + 5):
        kept = kept.with_change("m", None, change(number))
    assert [each.version for each in kept.history["m"][:2]] == ["5", "6"]
    assert len(kept.history["m"]) == MOST_CHANGES


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"overlays": {"m": {}}}'])
def test_a_damaged_file_is_said_to_be_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(ConfigurationError, match="move it away"):
        read(tmp_path)
