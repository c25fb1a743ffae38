"""The one door between HTTP and inference."""

import asyncio
import time

from penstock.inference.rows import Rows
from penstock.inference.ticket import Ticket
from penstock.inference.versions import ServedVersion, Versions


class Engine:
    """Every dialect asks here: `find` a version, `submit` rows to it, await the ticket's future."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._loop = asyncio.get_running_loop()
        self.find = versions.find

    def submit(
        self, served: ServedVersion, rows: Rows, *, probabilities: bool = False, deadline_s: float | None = None
    ) -> Ticket:
        """Queues rows. `deadline_s` counts from now; None takes the model's own.

        The ticket's future gives a Result, or raises the RequestError that stopped it. Raises QueueFull and NotReady.
        """
        now = time.monotonic()
        within = served.settings.deadline_ms / 1000 if deadline_s is None else deadline_s
        ticket = Ticket(
            rows, probabilities=probabilities, deadline=now + within, queued_at=now, future=self._loop.create_future()
        )
        served.batcher.submit(ticket)
        return ticket

    def withdraw(self, served: ServedVersion, ticket: Ticket) -> None:
        """The client went away."""
        served.batcher.withdraw(ticket)
