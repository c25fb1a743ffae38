"""The tickets that wait for a host, counted in rows and bytes."""

from collections import deque
from collections.abc import Iterator, Sequence

from penstock.inference.ticket import Ticket

LOOSE = 64


class Lane:
    """First in, first out; a ticket may leave from the middle, and stops counting at once."""

    __slots__ = ("_tickets", "bytes", "live", "rows", "suspects")

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self.live = 0
        self.suspects = 0
        self._tickets: deque[Ticket] = deque()

    def __iter__(self) -> Iterator[Ticket]:
        return (ticket for ticket in self._tickets if ticket.queued)

    def push(self, ticket: Ticket) -> None:
        ticket.queued = True
        self._tickets.append(ticket)
        self.rows += ticket.rows.count
        self.bytes += ticket.nbytes
        self.live += 1
        if ticket.suspect:
            self.suspects += 1

    def suspect_all(self) -> None:
        """Each of those that wait now is to go alone."""
        for ticket in self:
            ticket.suspect = True
        self.suspects = self.live

    def first(self) -> Ticket | None:
        """The ticket that waits longest."""
        while self._tickets and not self._tickets[0].queued:
            self._tickets.popleft()
        return self._tickets[0] if self._tickets else None

    def last(self) -> Ticket | None:
        """The ticket that came last."""
        while self._tickets and not self._tickets[-1].queued:
            self._tickets.pop()
        return self._tickets[-1] if self._tickets else None

    def remove(self, ticket: Ticket) -> None:
        """Takes a ticket out, wherever it stands."""
        ticket.queued = False
        self.rows -= ticket.rows.count
        self.bytes -= ticket.nbytes
        self.live -= 1
        self.suspects -= ticket.suspect
        if len(self._tickets) > 2 * self.live + LOOSE:  # settle the cost of leaving from the middle now and then
            self._tickets = deque(self)


class TicketQueue:
    """Two lanes, of which the one of high priority goes first. Both together have room for so many rows and bytes."""

    def __init__(self, most_rows: int, most_bytes: int) -> None:
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._high = Lane()
        self._low = Lane()

    def __len__(self) -> int:
        return self._high.live + self._low.live

    @property
    def rows(self) -> int:
        return self._high.rows + self._low.rows

    @property
    def bytes(self) -> int:
        return self._high.bytes + self._low.bytes

    def __iter__(self) -> Iterator[Ticket]:
        yield from self._high
        yield from self._low

    def rows_before(self, *, high: bool) -> int:
        """The rows that go before those of a ticket that is pushed now."""
        return self._high.rows if high else self.rows

    def suspects_before(self, *, high: bool) -> int:
        """The suspects among these."""
        return self._high.suspects if high else self._high.suspects + self._low.suspects

    def suspect_all(self) -> None:
        """A host has died: who waits now may be the one that kills the next, and goes alone."""
        self._high.suspect_all()
        self._low.suspect_all()

    def takes(self, rows: int, nbytes: int, *, high: bool = False) -> bool:
        """Whether there is room, or can be made for what is of high priority. An empty queue takes any one ticket."""
        first, second = self._high, self._low
        if not first.live and (high or not second.live):
            return True
        if not high:
            rows += second.rows
            nbytes += second.bytes
        return first.rows + rows <= self._most_rows and first.bytes + nbytes <= self._most_bytes

    def push(self, ticket: Ticket) -> Sequence[Ticket]:
        """Queues a ticket that it takes. The latest ones of low priority give way to one of high priority: these."""
        if not ticket.high:
            self._low.push(ticket)
            return ()
        gone = []
        while not self.takes(ticket.rows.count, ticket.nbytes) and (last := self._low.last()):
            self._low.remove(last)
            gone.append(last)
        self._high.push(ticket)
        return gone

    def first(self) -> Ticket | None:
        """The ticket whose turn it is."""
        return (self._high.first() if self._high.live else None) or self._low.first()

    def take(self, now: float, most_rows: int, most_bytes: int) -> tuple[list[Ticket], list[Ticket]]:
        """Takes out the next batch, and those that come too late for it.

        It is as many as fit, in turn, whose rows have the same shapes; a larger ticket goes by itself, and so does a
        suspect.
        """
        batch: list[Ticket] = []
        overdue: list[Ticket] = []
        rows = size = 0
        for lane in (self._high, self._low):
            while (ticket := lane.first()) is not None:
                if ticket.deadline <= now:
                    lane.remove(ticket)
                    overdue.append(ticket)
                    continue
                rows += ticket.rows.count
                size += ticket.nbytes
                if batch and (
                    ticket.suspect
                    or rows > most_rows
                    or size > most_bytes
                    or ticket.rows.shapes != batch[0].rows.shapes
                ):
                    return batch, overdue
                lane.remove(ticket)
                batch.append(ticket)
                if ticket.suspect:
                    return batch, overdue
        return batch, overdue

    def remove(self, ticket: Ticket) -> None:
        """Takes a ticket out, wherever it stands."""
        (self._high if ticket.high else self._low).remove(ticket)
