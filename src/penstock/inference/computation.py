"""Rows that are being computed, and the requests that wait for them."""

from collections.abc import Mapping, Sequence

from penstock.inference.row_answers import together
from penstock.inference.rows import Rows
from penstock.inference.ticket import Result, Ticket

Wanted = Mapping[bytes, Sequence[int]]
"""Rows by their keys, and at which places of a request they stand."""
Links = Sequence[tuple[int, int]]
"""Which rows of a computation belong at which places of a request."""


class Order:
    """A request of whose rows some are still to come: those of its `parts` that are None.

    `cached` of them were kept, and `misses` were computed for it. It is `watched` where nobody else sees to its
    deadline.
    """

    __slots__ = ("cached", "computations", "inference_s", "left", "misses", "parts", "queue_s", "ticket", "watched")

    def __init__(self, ticket: Ticket, parts: list[Result | None], left: int) -> None:
        self.ticket = ticket
        self.parts = parts
        self.left = left
        self.cached = len(parts) - left
        self.misses = 0
        self.computations: list[Computation] = []
        self.queue_s = 0.0
        self.inference_s = 0.0
        self.watched = False

    def take(self, links: Links, answers: Sequence[Result]) -> None:
        """Some of what it waited for is there."""
        for row, place in links:
            self.parts[place] = answers[row]
        self.left -= len(links)

    def computed(self, by: Ticket, result: Result) -> None:
        """The model took its time for some of that."""
        self.queue_s = max(self.queue_s, by.sent_at - self.ticket.queued_at)
        self.inference_s = max(self.inference_s, result.inference_s)

    def result(self) -> Result:
        """The whole answer."""
        parts = [part for part in self.parts if part is not None]
        return together(parts, self.queue_s, self.inference_s, self.cached)


class Computation:
    """Rows of which no two are the same, the request that they were first wanted for, if it still waits, and all who
    wait for any of them. The batcher has them as its `ticket`, once it has."""

    __slots__ = ("high", "keys", "owner", "rows", "ticket", "waiting")

    def __init__(self, keys: list[bytes], rows: Rows, owner: Order) -> None:
        self.keys = keys
        self.rows = rows
        self.high = owner.ticket.high
        self.owner: Order | None = owner
        self.ticket: Ticket | None = None
        self.waiting: dict[Order, Links] = {}

    def join(self, order: Order, links: Links) -> None:
        """It waits for these rows, too."""
        self.waiting[order] = [*self.waiting.get(order, ()), *links]
        order.computations.append(self)

    def leave(self, order: Order) -> None:
        """It does not wait any more."""
        self.waiting.pop(order, None)
        if self.owner is order:
            self.owner = None

    def wanted(self, links: Links) -> Wanted:
        """The rows that these links are for."""
        places: dict[bytes, list[int]] = {}
        for row, place in links:
            places.setdefault(self.keys[row], []).append(place)
        return places
