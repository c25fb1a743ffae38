"""A rolling restart: every front is replaced, one after the other."""

from collections.abc import Callable, Iterator, Sequence

from penstock.observability.logs import Log
from penstock.supervisor.slots import Front, Slot


class Roll:
    """Says whose turn it is. `start` starts a front for a slot, `numbers` are those that fronts get."""

    def __init__(
        self, slots: Sequence[Slot], log: Log, numbers: Iterator[int], start: Callable[[Slot], Front | None]
    ) -> None:
        self._slots = slots
        self._log = log
        self._numbers = numbers
        self._start = start
        self._before: int | None = None  # fronts with a lower number are to be replaced; None: all may stay

    def begin(self) -> None:
        """From now on every front that was started before this is to be replaced."""
        self._before = next(self._numbers)
        self._log.info("fronts_rolling", fronts=len(self._slots))

    def give_up(self) -> None:
        self._before = None

    def advance(self) -> None:
        """Takes the next step, unless one is under way. A slot without a front gets a new one anyhow."""
        if self._before is None or any(slot.successor or slot.retiring for slot in self._slots):
            return
        for slot in self._slots:
            if slot.front and slot.front.number < self._before:
                slot.successor = self._start(slot)
                return
        self._before = None
        self._log.info("fronts_rolled", fronts=len(self._slots))
