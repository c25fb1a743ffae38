"""What a request waits for before it is queued: leave to spend what its client may ask for."""

from collections.abc import Callable
from typing import Any

from penstock.errors import DeadlineExceeded, QuotaUnknown, RequestError
from penstock.inference.ticket import Ticket

WAIT_S = 2.0
"""Who lends is waited for no longer than that: long enough that it may be busy, reading a large repository anew say."""
READ_FIRST_S = 0.001
"""For the loop to come round once more: where it was held up, the answer may lie there unread."""


Later = Callable[[float, Callable[[], object]], Any]
"""Calls something back after so many seconds, unless what it gives back is cancelled."""


class Claim:
    """A request that waits to be told whether its client may have it answered: for one word or two.

    `refusal` is what it was refused with. It goes on reading and decoding meanwhile; once it has a ticket, `then` has
    that queued or failed as soon as all is said.
    """

    __slots__ = ("_alarm", "_later", "_queue", "_ticket", "pending", "refusal")

    def __init__(self) -> None:
        self.pending = 0
        self.refusal: RequestError | None = None
        self._ticket: Ticket | None = None
        self._queue: Callable[[Ticket], object] | None = None
        self._later: Later
        self._alarm: Any = None

    def passed(self) -> None:
        self.pending -= 1
        if not self.pending:
            self._go_on()

    def refused(self, refusal: RequestError) -> None:
        self.pending -= 1
        self.refusal = self.refusal or refusal
        self._go_on()

    def then(self, ticket: Ticket, queue: Callable[[Ticket], object], later: Later) -> None:
        """Has `queue` queue the ticket if all is granted in time; else it fails. Raises what was refused already."""
        if self.refusal is not None:
            raise self.refusal
        if not self.pending:
            queue(ticket)
            return
        self._ticket, self._queue, self._later = ticket, queue, later
        self._alarm = later(min(WAIT_S, max(0.0, ticket.deadline - ticket.queued_at)), self._look)

    def _look(self) -> None:
        self._alarm = self._later(READ_FIRST_S, self._give_up)

    def _give_up(self) -> None:
        ticket = self._ticket
        if ticket is not None:
            self.refusal = DeadlineExceeded() if ticket.deadline <= ticket.queued_at + WAIT_S else QuotaUnknown()
            self._go_on()

    def _go_on(self) -> None:
        ticket, queue = self._ticket, self._queue
        if ticket is None or queue is None:
            return
        self._ticket = self._queue = None  # which know the request in turn
        self._alarm.cancel()
        if self.refusal is not None:
            ticket.fail(self.refusal)
        elif not ticket.done:
            try:
                queue(ticket)
            except Exception as error:  # noqa: BLE001 # a ticket is settled, whatever happens
                ticket.fail(error)
