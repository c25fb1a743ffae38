"""Doubles for tests, Penstock's own and yours: a clock that moves when told to, a host without a process, a store."""

import asyncio
import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from penstock.inference.batcher import Batcher
from penstock.inference.hosts import Flight
from penstock.inference.outputs import Outputs
from penstock.model.batch import Answer


class ManualTimer:
    """Time that passes only in `advance`. Fits wherever an `inference.alarm.Timer` is asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, int, ManualHandle]] = []
        self._numbers = count()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> "ManualHandle":
        handle = ManualHandle(callback)
        heapq.heappush(self._calls, (self.now + delay, next(self._numbers), handle))
        return handle

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass and makes the calls that fall due, in order."""
        until = self.now + seconds
        while self._calls and self._calls[0][0] <= until:
            at, _, handle = heapq.heappop(self._calls)
            self.now = max(self.now, at)
            if not handle.cancelled:
                handle.callback()
        self.now = max(self.now, until)


class ManualHandle:
    """A call to come on a ManualTimer."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeHost:
    """A host that answers when told to: it holds what it was `sent` last.

    It begins with that at once, or, where it is `elsewhere` with another front's, when told to.
    """

    _ids = count(1)

    def __init__(self, owner: Batcher) -> None:
        self.id = next(self._ids)
        self.flight: Flight | None = None
        self.sent: list[Flight] = []
        self.closed = False
        self.says: Callable[[], object] = lambda: None
        self.elsewhere = False
        self._begun_at: float | None = None
        self._owner = owner

    def send(self, flight: Flight) -> None:
        self.flight = flight
        self._begun_at = None if self.elsewhere else flight.sent_at
        self.sent.append(flight)

    def look(self) -> None:
        """Something has come, where there is anything that it `says`."""
        says, self.says = self.says, lambda: None
        says()

    def begin(self, now: float) -> None:
        """Is done with the other front's."""
        self._begun_at = now

    def begun_at(self) -> float | None:
        return self._begun_at

    def close(self) -> None:
        self.closed = True

    def answer(self, outputs: Outputs, failed: tuple[int, ...] = (), seconds: float = 0.001) -> None:
        """Answers the batch."""
        self._answer(Answer(0, seconds, failed=failed), outputs)

    def fail(self, reason: str = "boom") -> None:
        """Says that the model raised on the batch."""
        self._answer(Answer(0, 0.0, error=reason), None)

    def expire(self) -> None:
        """Says that it was too late for the batch when its turn came."""
        self._answer(Answer(0, 0.0, expired=True), None)

    def _answer(self, answer: Answer, outputs: Outputs | None) -> None:
        flight, self.flight = self.sent[-1], None
        self._owner.answered(self, flight, answer, outputs)

    def die(self, *, broken: bool = False, unread: bool = False) -> None:
        """Vanishes with all that it holds; `broken`: it lives, but talks nonsense; `unread`: it held nothing yet."""
        self.closed = True
        self._owner.lost(self, broken=broken, unread=unread)


class FakeStore:
    """A store of one's own with the `records` it is given. `calls` has the entities of each call. While there is an
    `error` every call raises it; where there is a `gate` calls wait for it."""

    def __init__(self, records: Mapping[str, Mapping[str, object]] | None = None) -> None:
        self.records = dict(records or {})
        self.calls: list[tuple[str, ...]] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def get(self, entities: Sequence[str]) -> Sequence[Mapping[str, object] | None]:
        self.calls.append(tuple(entities))
        if self.error is not None:
            raise self.error
        if self.gate is not None:
            await self.gate.wait()
        return [self.records.get(entity) for entity in entities]
