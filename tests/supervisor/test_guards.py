"""Canaries are held to their guards by what all fronts have counted since the trial began, and by nothing before."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.config import Canary, Guard, Logs
from penstock.observability import catalog
from penstock.observability.comparisons import TrialMeter
from penstock.observability.guard import Finding
from penstock.observability.logs import open_log
from penstock.observability.metrics import Figures
from penstock.supervisor.guards import Guards
from penstock.supervisor.ledger import Ledger
from penstock.supervisor.lineup import Trial

CANARY = Canary(version="2", percent=5, guard=Guard(error_percent=1))


class World:
    """Two fronts, what they count, and a model with a canary."""

    def __init__(self, folder: Path) -> None:
        self.log = open_log(Logs(format="json", file=str(folder / "log")), "supervisor")
        self.ledger = Ledger(self.log)
        self.fronts = [Figures(), Figures()]
        self.lineup = SimpleNamespace(name="m", trial=Trial("1", "2", CANARY))
        self.gone: list[tuple[str, Finding]] = []
        equipment: Any = SimpleNamespace(loop=self, log=self.log, ledger=self.ledger)
        lineups: Any = {"m": self.lineup}
        self.guards = Guards(equipment, lineups, lambda lineup, canary, finding: self.gone.append((canary, finding)))

    def later(self, seconds: float, callback: object) -> None:
        """Nothing comes by itself."""

    def count(self, canary: tuple[int, int], default: tuple[int, int], front: int = 0) -> None:
        """So many more requests were answered and failed."""
        for arm, (ok, failed) in (("canary", canary), ("default", default)):
            meter = TrialMeter(self.fronts[front], "m", "2", arm)
            for status, n in ((200, ok), (500, failed)):
                for _ in range(n):
                    meter.answered(status, 0.01)

    def look(self) -> list[tuple[str, Finding]]:
        for number, figures in enumerate(self.fronts):
            self.ledger.report(number, figures.snapshot())
        self.guards.start()
        return self.gone


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.log.close()


def test_what_the_fronts_have_seen_counts_together(world: World) -> None:
    world.look()
    for front in range(2):
        world.count((80, 20), (900, 0), front)
    ((canary, finding),) = world.look()
    assert (canary, finding.limit) == ("2", "error")
    assert "20.00% of 200 requests" in finding.reason


def test_what_was_before_the_trial_does_not(world: World) -> None:
    world.count((0, 500), (9000, 0))
    world.look()
    world.count((500, 0), (9000, 0))
    assert world.look() == []


@pytest.mark.parametrize(
    "trial",
    [
        Trial("1", "2", Canary(version="2", percent=50, guard=CANARY.guard)),
        Trial("1", "2", Canary(version="2", percent=5, guard=CANARY.guard, sticky="X-User-ID")),
        Trial("1", "2", Canary(version="2", percent=5, guard=Guard(error_percent=2))),
        Trial("0", "2", CANARY),
    ],
    ids=["share", "sticky", "guard", "default"],
)
def test_whatever_is_changed_about_it_begins_anew(trial: Trial, world: World) -> None:
    """Else a bad hour after the share was raised would look like the canary's doing: it had few of the good ones."""
    world.look()
    world.count((90, 0), (1800, 0))
    world.look()
    world.lineup.trial = trial
    world.look()
    world.count((900, 100), (900, 100))
    assert world.look() == []


def test_a_front_that_dies_takes_nothing_away(world: World) -> None:
    world.look()
    world.count((80, 20), (900, 0), front=1)
    world.ledger.report(1, world.fronts[1].snapshot())
    world.ledger.front_ended(1)
    world.fronts[1] = Figures()
    world.count((80, 20), (900, 0))
    assert [canary for canary, _ in world.look()] == ["2"]


def test_figures_that_were_forgotten_begin_anew(world: World) -> None:
    world.count((500, 0), (9000, 0))
    world.look()
    world.fronts[0] = Figures()
    world.count((100, 50), (100, 0))
    world.ledger.forget("m", "2")
    assert world.look() == []
    world.count((50, 100), (1000, 0))
    assert [canary for canary, _ in world.look()] == ["2"]


def test_who_looks_for_breaches_finds_a_nought_before_there_is_one(world: World) -> None:
    world.look()
    told = world.ledger.merged({})["counters"][catalog.GUARD_BREACHES.name]
    assert {tuple(labels): n for labels, (n,) in told} == {("m", "2", limit): 0 for limit in catalog.LIMITS}


def test_without_a_trial_nobody_is_judged(world: World) -> None:
    world.look()
    world.lineup.trial = None
    world.count((0, 500), (9000, 0))
    assert world.look() == []
