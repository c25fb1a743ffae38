"""The one door between HTTP and inference."""

import time
from collections.abc import Callable

from penstock.errors import DeadlineExceeded
from penstock.inference.admission import SMALL
from penstock.inference.rows import Rows
from penstock.inference.served import ServedVersion
from penstock.inference.ticket import Result, Ticket
from penstock.inference.versions import Versions

Place = tuple[float, bool, float]
"""What a request was admitted with: when its answer is due, in seconds of the monotonic clock, whether it is of high
priority, and how many seconds it is expected to wait. A plain tuple, since every request needs one for a moment."""


class Engine:
    """Every dialect asks here: it finds a version, submits rows to it, and is called when the ticket is settled."""

    def __init__(self, versions: Versions) -> None:
        self.enter = versions.enter
        self.leave = versions.leave

    def admit(self, served: ServedVersion, deadline_s: float | None, *, high: bool = False) -> Place:
        """A place for a request. `deadline_s` counts from now; None takes the model's own.

        Looked at before the rows are: what could not even have one row answered in time is refused for next to
        nothing. Raises DeadlineExceeded, WaitTooLong, QueueFull and NotReady; where answers are kept, which ask the
        model for nothing, only the first.
        """
        now = time.monotonic()
        deadline = now + (served.deadline_s if deadline_s is None else deadline_s)
        if served.cache is not None and served.cache.is_on:
            if deadline <= now:
                raise DeadlineExceeded
            return deadline, high, 0.0
        return deadline, high, served.batcher.admit(deadline, high=high)

    def ticket(
        self, rows: Rows, settled: Callable[[Ticket], object], place: Place, *, probabilities: bool = False
    ) -> Ticket:
        """A ticket for rows that were admitted to a place. `settled` is called once, later, with the ticket and its
        result or error."""
        deadline, high, expected_s = place
        ticket = Ticket(
            rows, settled, probabilities=probabilities, high=high, deadline=deadline, queued_at=time.monotonic()
        )
        ticket.expected_s = expected_s
        return ticket

    def submit(self, served: ServedVersion, ticket: Ticket, *, waited: bool = False) -> None:
        """Queues a ticket, or answers it with what is kept; `waited` says that something else was waited for since it
        was made.

        Raises as `admit` does for what has waited, and where there are more rows than one, for which there may be
        neither time nor room.
        """
        if waited:
            ticket.queued_at = ticket.sent_at = time.monotonic()
        admitted = not waited and ticket.rows.count == 1 and ticket.nbytes <= SMALL
        if served.cache is not None and served.cache.is_on:
            served.cache.submit(ticket, admitted=admitted)
        elif admitted:
            served.batcher.push(ticket)
        else:
            served.batcher.submit(ticket)

    def answered(self, served: ServedVersion, rows: Rows, result: Result, request_id: str) -> None:
        """The answer to a request that named no version is out: who is tried beside the version may see it now."""
        for mirror in served.mirrors:
            mirror.copy(rows, result, request_id)

    def withdraw(self, served: ServedVersion, ticket: Ticket) -> None:
        """Nobody waits for the answer any more."""
        (served.cache or served.batcher).withdraw(ticket)
