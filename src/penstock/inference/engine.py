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

    def submit(
        self,
        served: ServedVersion,
        rows: Rows,
        settled: Callable[[Ticket], object],
        *,
        probabilities: bool = False,
        deadline_s: float | None = None,
    ) -> Ticket:
        """Queues rows. `deadline_s` counts from now; None takes the model's own.

        `settled` is called once, later, with the ticket and its result or error. Raises QueueFull and NotReady.
        """
        now = time.monotonic()
        within = served.deadline_s if deadline_s is None else deadline_s
        ticket = Ticket(rows, settled, probabilities=probabilities, deadline=now + within, queued_at=now)
        served.batcher.submit(ticket)
        return ticket

    def withdraw(self, served: ServedVersion, ticket: Ticket) -> None:
        """Nobody waits for the answer any more."""
        served.batcher.withdraw(ticket)
