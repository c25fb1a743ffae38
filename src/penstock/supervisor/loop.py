"""The supervisor's event loop: descriptors, timers and signals, on `selectors`.

It does what asyncio would do here in a third of the memory: importing asyncio (which imports ssl) takes 7.5 MB and
30 ms, more than the rest of the supervisor together, and every callback here is a short function that never waits.
"""

import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

Callback = Callable[[], object]


class Timer:
    """A callback that is still to come, unless it is cancelled."""

    def __init__(self, callback: Callback) -> None:
        self._callback: Callback | None = callback

    def cancel(self) -> None:
        self._callback = None

    def fire(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Watch:
    """What to call for a descriptor. Compared by identity: each call of `Loop.watch` makes another."""

    __slots__ = ("readable", "writable")

    def __init__(self, readable: Callback, writable: Callback | None) -> None:
        self.readable = readable
        self.writable = writable


class Loop:
    """Calls back when a descriptor is readable or writable, when a time has come, and when a signal arrives.

    `clock` is monotonic, in seconds. Use as a context manager: leaving it gives the signals back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self._selector = selectors.DefaultSelector()
        self._watches: dict[int, Watch] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._signals: dict[int, Callback] = {}
        self._before: dict[int, Any] = {}  # what signal.signal returned
        self._inbox, self._outbox = socket.socketpair()
        self._inbox.setblocking(False)
        self._outbox.setblocking(False)
        self._stopped = False

    def __enter__(self) -> "Loop":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def watch(self, descriptor: int, readable: Callback, writable: Callback | None = None) -> None:
        """Calls `readable` while there is something to read, and `writable`, if given, while there is room."""
        interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if writable else 0)
        change = self._selector.modify if descriptor in self._watches else self._selector.register
        self._watches[descriptor] = watch = Watch(readable, writable)
        change(descriptor, interest, watch)

    def unwatch(self, descriptor: int) -> None:
        """Forgets `descriptor`, if it is known; to be called before it is closed."""
        if self._watches.pop(descriptor, None):
            self._selector.unregister(descriptor)

    def later(self, seconds: float, callback: Callback) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self._timers, (self.now() + seconds, next(self._order), timer))
        return timer

    def on_signal(self, number: signal.Signals, callback: Callback) -> None:
        """Calls `callback` from the loop, never in the middle of something else."""
        if not self._signals:
            signal.set_wakeup_fd(self._outbox.fileno(), warn_on_full_buffer=False)
            self.watch(self._inbox.fileno(), self._signalled)
        self._signals[number] = callback
        self._before[number] = signal.signal(number, _only_wake)

    def run(self) -> None:
        """Turns until `stop` is called."""
        while not self._stopped:
            self.turn()

    def stop(self) -> None:
        self._stopped = True

    def turn(self, longest: float | None = None) -> None:
        """Waits for the next thing to happen, at most `longest` seconds, and makes its callbacks."""
        for key, events in self._selector.select(self._wait(longest)):
            watch: Watch = key.data
            # A callback of this same turn may have closed the descriptor, and another opened one of that number.
            if events & selectors.EVENT_READ and self._watches.get(key.fd) is watch:
                watch.readable()
            if events & selectors.EVENT_WRITE and self._watches.get(key.fd) is watch and watch.writable:
                watch.writable()
        self._fire()

    def close(self) -> None:
        if self._signals:
            signal.set_wakeup_fd(-1)
        for number, before in self._before.items():
            signal.signal(number, before)
        self._selector.close()
        self._inbox.close()
        self._outbox.close()

    def _wait(self, longest: float | None) -> float | None:
        if not self._timers:
            return longest
        next_timer = max(0.0, self._timers[0][0] - self.now())
        return next_timer if longest is None else min(next_timer, longest)

    def _fire(self) -> None:
        now = self.now()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].fire()

    def _signalled(self) -> None:
        for number in self._inbox.recv(64):
            self._signals.get(number, _nothing)()


def _only_wake(number: int, frame: FrameType | None) -> None:
    """Python writes the number to the wake-up descriptor; the loop takes it from there."""


def _nothing() -> None:
    """The answer to a signal that nobody asked for: someone else's handler has dealt with it."""
