"""The load that waits for nobody: requests leave when they are due, whatever became of those before them.

A closed loop, as wrk is one, slows down with its server, and so never shows what happens to one that is asked for more
than it can do. Here the arrivals are drawn beforehand. The loop does nothing but write prepared bytes and keep those
that come back; what they say is looked at when all is over.
"""

import gc
import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from connections import CHUNK, Connections, is_whole

GRACE_S = 5.0
LATE_S = 0.005
BEHIND = 0.05
UNSENT = 0.001  # more of these, and whatever a p99 says would be without those that fared worst

Times = np.ndarray[Any, np.dtype[np.float64]]


class Record(NamedTuple):
    """What became of each arrival: seconds since the run began, NaN where it did not come to that, and the answer."""

    due: Times
    sent: Times
    done: Times
    answers: list[bytes]

    @property
    def lateness(self) -> Times:
        """By how much each left after it was due, which is all the load's own doing."""
        return self.sent - self.due

    @property
    def behind(self) -> str:
        """Why this run is void: a thousandth of the requests was not sent, or a twentieth left later than LATE_S. Else
        empty."""
        behind = np.mean(~(self.lateness <= LATE_S))  # NaN, not sent, is not punctual either
        unsent = np.isnan(self.sent).mean()
        if behind <= BEHIND and unsent <= UNSENT:
            return ""
        return f"{behind:.1%} behind schedule ({unsent:.1%} found no free connection, the others left late)"


def arrivals(rate: float, seconds: float, seed: int) -> Times:
    """A Poisson process: when requests are due, `rate` a second on average, for `seconds`."""
    random = np.random.default_rng(seed)
    gaps = random.exponential(1 / rate, size=int(rate * seconds + 10 * math.sqrt(rate * seconds) + 10))
    due = np.cumsum(gaps)
    return due[due < seconds]


class Load:
    """One run: `requests` in turn, each at one of the times `due`; from a core of its own."""

    def __init__(self, connections: Connections, requests: Sequence[bytes], due: Times) -> None:
        self._connections = connections
        self._requests = requests
        self._due = due.tolist()
        self._next = 0
        self._sent = [math.nan] * len(due)
        self._done = [math.nan] * len(due)
        self._answers = [b""] * len(due)
        self._waiting: dict[int, int] = {}  # the arrival that is to be answered on a descriptor
        self._began = 0.0

    def run(self) -> Record:
        gc.disable()
        try:
            self._began = time.perf_counter()
            self._until_sent()
            self._until_answered()
        finally:
            gc.enable()
        return Record(np.array(self._due), np.array(self._sent), np.array(self._done), self._answers)

    def _until_sent(self) -> None:
        while self._next < len(self._due):
            self._send_what_is_due()
            self._take_answers(self._pause_s())

    def _until_answered(self) -> None:
        """Those that are under way when the last has left get a little time."""
        end = self._now() + GRACE_S
        while self._waiting and self._now() < end:
            self._take_answers(0.1)

    def _now(self) -> float:
        return time.perf_counter() - self._began

    def _pause_s(self) -> float:
        """Until the next is due, in whole milliseconds: epoll would round up, so the rest is spent asking again."""
        if self._next == len(self._due):
            return 0.0
        return max(0, int(1000 * (self._due[self._next] - self._now()))) / 1000

    def _send_what_is_due(self) -> None:
        due, requests = self._due, self._requests
        now = self._now()
        while self._next < len(due) and due[self._next] <= now:
            descriptor = self._connections.take()
            if descriptor is not None:
                self._sent[self._next] = now
                self._waiting[descriptor] = self._next
                with suppress(OSError):  # it was closed, and will be found to be so
                    os.write(descriptor, requests[self._next % len(requests)])
            self._next += 1
            now = self._now()

    def _take_answers(self, timeout_s: float) -> None:
        for descriptor, _ in self._connections.readable(timeout_s):
            try:
                got = os.read(descriptor, CHUNK)
            except OSError:
                got = b""
            arrival = self._waiting.get(descriptor)
            if not got:
                self._waiting.pop(descriptor, None)
                self._connections.lose(descriptor)
            elif arrival is not None:
                self._take(descriptor, arrival, got)

    def _take(self, descriptor: int, arrival: int, got: bytes) -> None:
        answer = self._answers[arrival] + got
        self._answers[arrival] = answer
        if is_whole(answer):
            self._done[arrival] = self._now()
            del self._waiting[descriptor]
            self._connections.free.append(descriptor)


class SharingLoad(Load):
    """From a core on which the server runs too: it sleeps until something is due or comes, and takes no time by asking
    again. So each request leaves some 0.1 ms late."""

    def _until_sent(self) -> None:
        while self._next < len(self._due):
            self._send_what_is_due()
            if self._next == len(self._due):
                return
            if self._connections.wait(max(0.0, self._due[self._next] - self._now())):
                self._take_answers(0.0)
