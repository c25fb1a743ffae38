"""Holds the canaries of all models to their guards: once, by the figures of all fronts together."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from penstock.observability.guard import METRICS, Evidence, Finding, evidence, judge
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.lineup import Lineup, Trial

JUDGE_S = 1.0  # as often as fronts report


class Watched(NamedTuple):
    """A trial, and what the figures said when it began: they know of those before, too."""

    trial: Trial
    before: Evidence


class Guards:
    """`send_away` is told of a canary that breaks a limit. The lineups may come and go.

    Whatever is changed about a canary begins a new trial: of two versions that fare alike at any time, one may look the
    worse by chance where their shares of good and bad times differ.
    """

    def __init__(
        self, equipment: Equipment, lineups: Mapping[str, Lineup], send_away: Callable[[Lineup, str, Finding], None]
    ) -> None:
        self._loop = equipment.loop
        self._log = equipment.log
        self._ledger = equipment.ledger
        self._lineups = lineups
        self._send_away = send_away
        self._watched: dict[str, Watched] = {}

    def start(self) -> None:
        """Judges from now on, for good."""
        self._loop.later(JUDGE_S, self.start)
        trials = {name: trial for name, lineup in self._lineups.items() if (trial := lineup.trial) is not None}
        for name in self._watched.keys() - trials.keys():
            del self._watched[name]
        figures = self._ledger.counted(METRICS) if trials else {}
        for name, trial in trials.items():
            self._look_at(name, trial, evidence(figures, name, trial.version, trial.default))

    def _look_at(self, model: str, trial: Trial, seen: Evidence) -> None:
        watched = self._watched.get(model)
        if watched is None or watched.trial != trial or not (since := seen.since(watched.before)).is_sound:
            self._watched[model] = Watched(trial, seen)
            self._ledger.guard_begun(model, trial.version)
        elif (finding := judge(since, trial.canary.guard)) is not None:
            said = {"model": model, "version": trial.version, **finding._asdict()}
            self._log.warning("guard_breached", **said)
            self._ledger.guard_breached(model, trial.version, finding.limit)
            self._send_away(self._lineups[model], trial.version, finding)
