"""What the log tells of a route: all of it, once."""

import json
from pathlib import Path

from penstock.config import Canary, Guard, Logs, Route, Shadow
from penstock.observability.logs import open_log
from penstock.supervisor.route_log import RouteLog


def logged(file: Path, *routes: Route) -> list[dict[str, object]]:
    """The lines of a model whose route is one after the other, where versions 1 and 2 are there."""
    log = open_log(Logs(file=str(file), format="json"), "supervisor")
    told = RouteLog(log, "m")
    for route in routes:
        told.route(route, by_hand=False)
        told.missing(route, "latest:1", "12")
    log.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("timestamp", "process")} for line in lines]


def test_the_guard_and_the_tolerance_are_told_where_there_is_something_to_compare(tmp_path: Path) -> None:
    plain = Route(default="1", tolerance=0.5)
    canary = Canary(version="2", percent=5, guard=Guard(error_percent=1))
    said = {"level": "info", "event": "route", "model": "m", "default": "1"}
    assert logged(
        tmp_path / "log",
        plain,
        plain,
        Route(default="1", canary=canary),
        Route(default="1", shadow=Shadow(version="2")),
    ) == [
        said,
        said
        | {"canary_version": "2", "canary_percent": 5.0, "tolerance": 0.01}
        | {"canary_guard": {"error_percent": 1.0, "min_requests": 100}},
        said | {"shadow_version": "2", "shadow_percent": 100.0, "tolerance": 0.01},
    ]


def test_a_version_that_is_missing_is_told_once_and_again_when_it_was_there(tmp_path: Path) -> None:
    missing = Route(default="1", shadow=Shadow(version="7"))
    lines = logged(tmp_path / "log", missing, missing, Route(default="1"), missing)
    assert [line["event"] for line in lines] == ["route", "version_missing", "route", "route", "version_missing"]
