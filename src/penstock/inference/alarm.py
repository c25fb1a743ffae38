"""One timer for many deadlines."""

from collections.abc import Callable
from typing import Protocol


class Handle(Protocol):
    """A call to come, which may be called off."""

    def cancel(self) -> None: ...


class Timer(Protocol):
    """Time as the queue knows it: monotonic seconds, and a call after some of them."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Handle: ...


class Alarm:
    """Calls `check` when the earliest moment asked for has come.

    A timer for each request would cost more than the request's arithmetic, and most deadlines are never reached. So
    one timer stands at the earliest of them, and `check`, called with the time, deals with what is due and returns
    the next moment to wake at, or None.
    """

    def __init__(self, timer: Timer, check: Callable[[float], float | None]) -> None:
        self._timer = timer
        self._check = check
        self._at: float | None = None
        self._handle: Handle | None = None

    def wake_by(self, at: float) -> None:
        """Asks for `check` to be called at `at` (seconds of the timer's clock) at the latest."""
        if self._at is None or at < self._at:
            self.cancel()
            self._at = at
            self._handle = self._timer.call_later(max(0.0, at - self._timer.time()), self._ring)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._at = self._handle = None

    def _ring(self) -> None:
        self._at = self._handle = None
        following = self._check(self._timer.time())
        if following is not None:
            self.wake_by(following)
