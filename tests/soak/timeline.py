"""What happened to a service and when, as its log tells it and as those who did it know it."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

LAG_S = 1.0  # how late a client or the log may notice what has happened, on a machine that is busy


def events(log: Path) -> Iterator[dict[str, Any]]:
    """The whole lines that are not about requests, of which there may be a million."""
    with log.open("rb") as lines:
        for line in lines:
            if b'"event":"prediction"' not in line and line.endswith(b"\n"):
                yield json.loads(line)


class Timeline:
    """The deaths of fronts and hosts, in seconds since the epoch, and how many replicas lived in between."""

    def __init__(self, log: Path) -> None:
        self._events = list(events(log))
        self.fronts = self.of("front_died")
        self.hosts = self.of("host_died")
        self.hung = [t for t, line in self._at("host_died") if "predict_timeout_s" in line["reason"]]
        changes = [(t, 1) for t in self.of("model_ready")]
        changes += [(t, -1) for t, line in self._at("host_died") if line["code"] == "host_lost"]
        self._changes = sorted(changes)

    def around(self, since: float, until: float) -> list[str]:
        """What the log says of the time between, and shortly before and after."""
        near_by = [(seconds(line), line) for line in self._events]
        return [json.dumps(line) for t, line in near_by if since - 3 * LAG_S <= t <= until + 3 * LAG_S]

    def of(self, event: str) -> list[float]:
        """When it happened."""
        return [t for t, _ in self._at(event)]

    def fewest_hosts(self, since: float, until: float) -> int:
        """The least number of replicas that lived at any moment between."""
        times = [t for t, _ in self._changes]
        live, lives = 0, [0]
        for _, change in self._changes:
            live += change
            lives.append(live)
        return min(lives[bisect_right(times, since) : bisect_right(times, until) + 1])

    def _at(self, event: str) -> list[tuple[float, dict[str, Any]]]:
        return [(seconds(line), line) for line in self._events if line["event"] == event]


def seconds(line: dict[str, Any]) -> float:
    """A log line's timestamp, in seconds since the epoch."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def near(times: Iterable[float], since: float, until: float) -> bool:
    """Whether one of `times` lies between, give or take what it may take to be noticed."""
    return any(since - LAG_S <= t <= until + LAG_S for t in times)
