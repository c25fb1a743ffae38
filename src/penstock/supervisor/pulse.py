"""Ends fronts that live and say nothing: what stops their reports stops their answers too."""

from collections.abc import Callable, Iterable

from penstock.supervisor.loop import Loop
from penstock.supervisor.slots import Front

PULSE_S = 1.0  # how often fronts are looked at; they report as often


class Pulse:
    """Looks at all fronts that are `alive`, for ever: one may be silent for `most_s` seconds."""

    def __init__(self, loop: Loop, most_s: float, alive: Callable[[], Iterable[Front]]) -> None:
        self._loop = loop
        self._most_s = most_s
        self._alive = alive

    def start(self) -> None:
        self._feel(self._loop.now())

    def _feel(self, due: float) -> None:
        """Where this comes late itself, everything stood still (a container that was paused): nobody is to blame."""
        now = self._loop.now()
        for front in self._alive():
            if now > due + PULSE_S:
                front.heard_at = now
            elif fault := front.silence(now, self._most_s):
                front.give_up(fault)
        self._loop.later(PULSE_S, lambda: self._feel(now + PULSE_S))
