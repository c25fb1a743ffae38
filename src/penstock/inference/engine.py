"""The one door between HTTP and inference."""

import time
from collections.abc import Callable

from penstock.inference.rows import Rows
from penstock.inference.ticket import Ticket
from penstock.inference.versions import ServedVersion, Versions


class Engine:
    """Every dialect asks here: it finds a version, submits rows to it, and is called when the ticket is settled."""

    def __init__(self, versions: Versions) -> None:
        self.find = versions.find

    def admit(self, served: ServedVersion, deadline_s: float | None, *, high: bool = False) -> float:
        """The deadline of a request, in seconds of the monotonic clock. `deadline_s` counts from now; None takes the
        model's own.

        Looked at before the rows are: what could not even have one row answered in time is refused for next to
        nothing. Raises DeadlineExceeded, WaitTooLong, QueueFull and NotReady.
        """
        deadline = time.monotonic() + (served.deadline_s if deadline_s is None else deadline_s)
        served.batcher.admit(deadline, high=high)
        return deadline

    def submit(
        self,
        served: ServedVersion,
        rows: Rows,
        settled: Callable[[Ticket], object],
        *,
        deadline: float,
        probabilities: bool = False,
        high: bool = False,
    ) -> Ticket:
        """Queues rows. `settled` is called once, later, with the ticket and its result or error.

        Raises as `admit` does.
        """
        ticket = Ticket(
            rows, settled, probabilities=probabilities, high=high, deadline=deadline, queued_at=time.monotonic()
        )
        served.batcher.submit(ticket)
        return ticket

    def withdraw(self, served: ServedVersion, ticket: Ticket) -> None:
        """Nobody waits for the answer any more."""
        served.batcher.withdraw(ticket)
