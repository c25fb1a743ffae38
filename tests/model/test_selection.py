"""Which versions are loaded, and which takes the traffic: whatever comes, fails or is asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import Canary, Route
from penstock.model.selection import Choice, choose, newest, selected

VERSIONS = st.sets(st.sampled_from([str(n) for n in range(1, 13)]))
LOADS = st.sampled_from(["all", "latest:1", "latest:3", "2", "1,3,12"])
ROUTES = st.builds(
    Route,
    default=st.sampled_from(["latest", "1", "10", "40"]),
    canary=st.builds(Canary, version=st.sampled_from([None, "2", "50"])),
)


@pytest.mark.parametrize(
    ("load", "failed", "expected"),
    [
        ("all", {"10"}, ["2", "9", "10"]),
        ("latest:1", {}, ["10"]),
        ("latest:2", {}, ["9", "10"]),
        ("latest:1", {"10"}, ["9"]),
        ("latest:5", {"2"}, ["9", "10"]),
        ("10,2", {}, ["2", "10"]),
        ("3", {}, []),
    ],
)
def test_what_is_selected(load: str, failed: set[str], expected: list[str]) -> None:
    assert selected(load, ["10", "2", "9"], failed) == expected


def test_the_newest_is_so_by_its_name() -> None:
    assert newest(["2", "10", "9"]) == "10"
    assert newest([]) is None


@given(LOADS, ROUTES, VERSIONS, VERSIONS, VERSIONS, st.none() | st.sampled_from(["1", "5", "12"]))
def test_the_traffic_never_goes_to_what_has_not_passed_while_there_is_something_that_has(
    load: str, route: Route, there: set[str], failed: set[str], passed: set[str], now: str | None
) -> None:
    passed -= failed
    choice = choose(load, route, there=there, failed=failed, passed=passed, now=now)
    if now in passed:
        assert choice.default in passed
    assert choice.default not in passed or choice.default in choice.needed
    assert choice.needed <= there | {choice.default}
    for named in (route.default, route.canary.version):
        assert named not in there or named in choice.needed


@given(LOADS, VERSIONS, st.data())
def test_however_many_fail_whatever_loads_in_the_end_takes_the_traffic(
    load: str, there: set[str], data: st.DataObject
) -> None:
    """Each version that is needed is loaded in turn, and passes or fails, until nothing is left to be done."""
    broken = data.draw(st.sets(st.sampled_from(sorted(there)))) if there else set()
    failed: set[str] = set()
    passed: set[str] = set()
    now: str | None = None
    choice = Choice(None, frozenset())
    for _ in range(2 * len(there) + 1):
        choice = choose(load, Route(), there=there, failed=failed, passed=passed, now=now)
        now = choice.default
        passed &= choice.needed
        untried = choice.needed - failed - passed
        if not untried:
            break
        version = data.draw(st.sampled_from(sorted(untried)))
        (failed if version in broken else passed).add(version)
    assert choice.needed - failed == passed
    sound = set(selected(load, there, broken)) - broken
    assert now == newest(sound) if sound else now not in passed


def test_a_new_version_takes_the_traffic_when_it_has_passed_and_not_before() -> None:
    def chosen(*passed: str, now: str | None = "1", default: str = "latest") -> Choice:
        return choose("latest:1", Route(default=default), there=["1", "2"], failed=(), passed=passed, now=now)

    assert chosen("1") == Choice("1", frozenset({"1", "2"}))
    assert chosen("1", "2") == Choice("2", frozenset({"2"}))
    assert chosen("2", now="2") == Choice("2", frozenset({"2"}))
    assert chosen("2", now="2", default="1") == Choice("2", frozenset({"1", "2"}))
    assert chosen("1", "2", now="2", default="1") == Choice("1", frozenset({"1", "2"}))


def test_those_whose_place_a_new_one_takes_stay_until_it_has_passed() -> None:
    def needed(*passed: str, failed: str = "") -> set[str]:
        return set(choose("latest:2", Route(), there="1234", failed=failed, passed=passed, now="3").needed)

    assert needed("2", "3") == {"2", "3", "4"}
    assert needed("2", "3", failed="4") == {"2", "3"}
    assert needed("2", "3", "4") == {"3", "4"}


def test_one_that_is_held_takes_the_traffic_where_it_is_named_alone() -> None:
    def default(now: str | None, named: str = "latest") -> str | None:
        route = Route(default=named)
        return choose("all", route, there="123", failed="", passed="123", now=now, held="3").default

    assert default("1") == "2"
    assert default("1", named="3") == "3"
    assert default("3") == "3"


def test_at_the_start_the_newest_is_waited_for_unless_it_fails() -> None:
    def chosen(passed: str, *failed: str) -> str | None:
        return choose("all", Route(), there=["1", "2", "3"], failed=failed, passed=[passed], now=None).default

    assert chosen("1") == chosen("2") == "3"
    assert chosen("1", "3") == "2"
    assert chosen("1", "2", "3") == "1"


def test_what_has_the_traffic_keeps_it_when_its_files_have_gone() -> None:
    choice = choose("latest:1", Route(), there=[], failed=(), passed=["3"], now="3")
    assert choice == Choice("3", frozenset({"3"}))
