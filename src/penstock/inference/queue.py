"""The tickets that wait for a host, counted in rows and bytes."""

from collections import deque
from collections.abc import Iterator

from penstock.inference.ticket import Ticket

LOOSE = 64


class TicketQueue:
    """First in, first out; a ticket may leave from the middle, and stops counting at once."""

    def __init__(self, most_rows: int, most_bytes: int) -> None:
        self.rows = 0
        self.bytes = 0
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._tickets: deque[Ticket] = deque()
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def __iter__(self) -> Iterator[Ticket]:
        return (ticket for ticket in self._tickets if ticket.queued)

    def takes(self, ticket: Ticket) -> bool:
        """Whether there is room. An empty queue takes any one ticket, however large."""
        return not self._live or (
            self.rows + ticket.rows.count <= self._most_rows and self.bytes + ticket.nbytes <= self._most_bytes
        )

    def push(self, ticket: Ticket) -> None:
        ticket.queued = True
        self._tickets.append(ticket)
        self.rows += ticket.rows.count
        self.bytes += ticket.nbytes
        self._live += 1

    def first(self) -> Ticket | None:
        """The ticket that waits longest, still in the queue."""
        while self._tickets and not self._tickets[0].queued:
            self._tickets.popleft()
        return self._tickets[0] if self._tickets else None

    def remove(self, ticket: Ticket) -> None:
        """Takes a ticket out, wherever it stands."""
        ticket.queued = False
        self.rows -= ticket.rows.count
        self.bytes -= ticket.nbytes
        self._live -= 1
        if len(self._tickets) > 2 * self._live + LOOSE:  # settle the cost of leaving from the middle now and then
            self._tickets = deque(self)
