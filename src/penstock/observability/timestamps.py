"""Wall-clock stamps for log lines and answers: RFC 3339, UTC, milliseconds, `Z`."""

import time
from collections.abc import Callable


class Stamps:
    """Formats the time of `clock` (seconds since the epoch); what is equal to the last stamp is not formatted again."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = self._millisecond = -1
        self._prefix = self._stamp = ""

    def __call__(self) -> str:
        now = int(self._clock() * 1000)
        if now != self._millisecond:
            second, millisecond = divmod(now, 1000)
            if second != self._second:
                self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
                self._second = second
            self._stamp = f"{self._prefix}.{millisecond:03d}Z"
            self._millisecond = now
        return self._stamp


timestamp = Stamps()
