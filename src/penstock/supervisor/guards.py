"""Holds the canaries of all models to their guards: once, by the figures of all fronts together."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from penstock.observability.guard import METRICS, Evidence, evidence, judge
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.lineup import Lineup, Trial

JUDGE_S = 1.0  # as often as fronts report


class Watched(NamedTuple):
    """A trial, and what the figures said when it began: they know of those before, too."""

    trial: Trial
    before: Evidence


class Guards:
    """`send_away` is told the model, the canary and the reason. The lineups may come and go."""

    def __init__(
        self, equipment: Equipment, lineups: Mapping[str, Lineup], send_away: Callable[[Lineup, str, str], None]
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
        trials = {name: lineup.trial for name, lineup in self._lineups.items()}
        for name in self._watched.keys() - {name for name, trial in trials.items() if trial is not None}:
            del self._watched[name]
        for name, trial in trials.items():
            if trial is not None:
                self._look_at(name, trial)

    def _look_at(self, model: str, trial: Trial) -> None:
        seen = evidence(self._ledger.counted(METRICS), model, trial.canary, trial.default)
        watched = self._watched.get(model)
        if watched is None or watched.trial != trial:
            self._watched[model] = Watched(trial, seen)
            return
        finding = judge(seen.since(watched.before), trial.guard)
        if finding is not None:
            said = {"model": model, "version": trial.canary, "limit": finding.limit, "reason": finding.reason}
            self._log.warning("guard_breached", **said)
            self._ledger.guard_breached(model, trial.canary, finding.limit)
            self._send_away(self._lineups[model], trial.canary, finding.reason)
