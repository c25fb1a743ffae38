"""A request on its way to a whole row: what it sent is read, and what stores hold is being looked up."""

import time
from collections.abc import Sequence
from typing import Protocol

from penstock.errors import DeadlineExceeded
from penstock.inference.context import Judged
from penstock.inference.served import ServedVersion
from penstock.inference.ticket import Ticket
from penstock.interface.call import Call
from penstock.interface.completed import Completed
from penstock.interface.context import Asked, ContextReader
from penstock.interface.scope import clock

TIMERS_S = 0.002  # by which the loop's timers may be early


class Queue(Protocol):
    """How an endpoint queues what is whole."""

    def __call__(self, call: Call, served: ServedVersion, ticket: Ticket, *, waited: bool) -> None: ...


class IncompleteRow:
    """A row that a ticket was made for and that lacks what stores hold."""

    def __init__(self, call: Call, asked: Asked, ticket: Ticket, reader: ContextReader, queue: Queue) -> None:
        self._call = call
        self._asked = asked
        self._ticket = ticket
        self._reader = reader
        self._queue = queue
        self._began = clock()

    def complete(self, served: ServedVersion, found: Sequence[Judged], *, waited: bool) -> None:
        """Queues the whole row. Raises what is wrong with it, or that there is no time or room for it any more."""
        call, ticket = self._call, self._ticket
        call.completed = Completed(found, clock() - self._began)
        self._reader.demand(found)
        rows = call.rows = self._reader.rows(self._asked, found)
        call.findings = served.check(rows)
        ticket.fill(rows)
        self._queue(call, served, ticket, waited=waited)

    def completed_later(self, served: ServedVersion, found: Sequence[Judged]) -> None:
        """The stores have answered, or were too late. Nothing is queued where nobody waits any more."""
        ticket = self._ticket
        if ticket.done:
            return
        try:
            if time.monotonic() + TIMERS_S >= ticket.deadline:
                raise DeadlineExceeded
            self.complete(served, found, waited=True)
        except Exception as error:  # noqa: BLE001 # a ticket is settled, whatever happens
            ticket.fail(error)
