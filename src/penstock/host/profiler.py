"""The profiler: which functions the time of answering goes into. It makes them slower, all about as much."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import penstock
from penstock.model.control import HotSpot, Profiled
from penstock.model.frames import Buffer, Frame

MOST = 20  # functions, by their own time and by that with what they call
OURS = str(Path(penstock.__file__).parent)


class Profiler:
    """Answers as `answer` does, and takes note of what runs meanwhile."""

    def __init__(self, answer: Callable[[Frame], list[Buffer]]) -> None:
        import cProfile  # only whoever asks for it

        self._answer = answer
        self._profile = cProfile.Profile()
        self._answers = 0

    def answer(self, frame: Frame) -> list[Buffer]:
        self._answers += 1
        return self._profile.runcall(self._answer, frame)

    def found(self) -> Profiled:
        """The functions that took the most time, but for Penstock's own; longest first."""
        entries: list[Any] = self._profile.getstats()
        seconds = sum(entry.inlinetime for entry in entries)
        spots = [spot for entry in entries if (spot := _spot(entry)) is not None]
        longest = sorted(spots, key=lambda spot: -spot.total_s)
        busiest = sorted(spots, key=lambda spot: -spot.own_s)[:MOST]
        kept = [spot for i, spot in enumerate(longest) if i < MOST or spot in busiest]
        return Profiled(self._answers, seconds, tuple(kept))


def _spot(entry: Any) -> HotSpot | None:
    code = entry.code
    if isinstance(code, str):  # of a built-in function: <built-in method numpy.array>
        if "_lsprof" in code:
            return None
        return HotSpot(code.strip("<>"), "", entry.callcount, entry.inlinetime, entry.totaltime)
    if code.co_filename.startswith(OURS):
        return None
    where = f"{Path(code.co_filename).name}:{code.co_firstlineno}"
    return HotSpot(code.co_qualname, where, entry.callcount, entry.inlinetime, entry.totaltime)
