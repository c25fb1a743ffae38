"""Who lends a front the tokens of its clients' quotas: the supervisor of its machine, by itself."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from penstock.model.bucket import Grant
from penstock.model.control import Demand, Demands, Grants

Granted = Callable[[Sequence[Grant]], object]


class Lender(Protocol):
    """Who lends tokens: the supervisor, or a store that several machines share."""

    def ask(self, demands: Sequence[Demand], granted: Granted) -> None:
        """Calls `granted` with one grant for each: later, at some time or never."""


class SupervisorLender:
    """Asks over the control channel, on which answers come in the order of the questions."""

    def __init__(self, send: Callable[[object], object]) -> None:
        self._send = send
        self._waiting: deque[Granted] = deque()

    def ask(self, demands: Sequence[Demand], granted: Granted) -> None:
        self._waiting.append(granted)
        self._send(Demands(tuple(demands)))

    def answered(self, message: Grants) -> None:
        """The supervisor has answered what it was asked first."""
        self._waiting.popleft()(message.grants)
