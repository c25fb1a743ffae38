"""What the log says of a store that fails: something, and not once for each request."""

import time
from collections.abc import Callable
from math import inf

from penstock.observability.logs import Log

QUIET_S = 10.0  # between two lines of the log that say what is wrong with a store


class Complaint:
    """Says in the log for which reason a store gives no answers, at most every ten seconds."""

    def __init__(self, name: str, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._log = log
        self._clock = clock
        self._said_at = -inf

    def __call__(self, reason: str) -> None:
        if (now := self._clock()) >= self._said_at + QUIET_S:
            self._said_at = now
            self._log.error("store_failed", store=self._name, reason=reason)
