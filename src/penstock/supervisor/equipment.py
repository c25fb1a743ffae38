"""What every part of the supervisor works with."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

from penstock.observability.logs import Log
from penstock.supervisor.backoff import Backoff
from penstock.supervisor.ledger import Ledger
from penstock.supervisor.loop import Loop
from penstock.supervisor.processes import FRONT, HOST

SILENT_S = 10.0  # fronts report every second: one that does not for so long is stuck
YOUNG_FRONT_S = 5.0  # a front that listened for so long is replaced at once when it dies


def front_backoff() -> Backoff:
    return Backoff(reset=YOUNG_FRONT_S)


class Equipment(NamedTuple):
    """The loop, the log, the figures, numbers for processes (each is used once), and how processes are started."""

    loop: Loop
    log: Log
    ledger: Ledger
    numbers: Iterator[int] = count(1)
    front: tuple[str, ...] = FRONT
    host: tuple[str, ...] = HOST
    front_backoff: Callable[[], Backoff] = front_backoff
    host_backoff: Callable[[], Backoff] = Backoff
    silent_s: float = SILENT_S
