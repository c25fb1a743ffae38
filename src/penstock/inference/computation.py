"""Rows that are being computed, and the requests that wait for them."""

from collections.abc import Callable, Mapping, Sequence

from penstock.inference.row_answers import RowAnswer, together
from penstock.inference.rows import Rows
from penstock.inference.ticket import Result, Ticket

Wanted = Mapping[bytes, Sequence[int]]
"""Rows by their keys, and at which places of a request they stand."""
Links = Sequence[tuple[int, int]]
"""Which rows of a computation belong at which places of a request."""
ONLY: Links = ((0, 0),)
NOBODY: "Mapping[Order, Links]" = {}


class Order:
    """A request of whose rows some are still to come: those of its `parts` that are None.

    `cached` of them were kept, and `misses` were computed for it. It is `watched` where nobody else sees to its
    deadline.
    """

    __slots__ = ("cached", "computations", "inference_s", "left", "misses", "parts", "queue_s", "ticket", "watched")

    def __init__(self, ticket: Ticket, parts: list[RowAnswer | None], left: int) -> None:
        self.ticket = ticket
        self.parts = parts
        self.left = left
        self.cached = len(parts) - left
        self.misses = 0
        self.computations: tuple[Underway, ...] = ()
        self.queue_s = 0.0
        self.inference_s = 0.0
        self.watched = False

    def take(self, links: Links, answers: Sequence[RowAnswer], by: Ticket) -> None:
        """Some of what it waited for is there, for which the model took its time."""
        for row, place in links:
            self.parts[place] = answers[row]
        self.left -= len(links)
        self.queue_s = max(self.queue_s, by.sent_at - self.ticket.queued_at)
        self.inference_s = max(self.inference_s, by.result.inference_s if by.result is not None else 0.0)

    def keep(self, links: Links, answers: Sequence[RowAnswer | None]) -> None:
        """As far as they are there, these were kept."""
        for row, place in links:
            if (answer := answers[row]) is not None:
                self.parts[place] = answer
                self.left -= 1
                self.cached += 1

    def result(self) -> Result:
        """The whole answer."""
        parts = [part for part in self.parts if part is not None]
        return together(parts, self.queue_s, self.inference_s, self.cached)


class Computation(Ticket):
    """Rows as the batcher gets them, of which no two are the same: the request that they were first wanted for, while
    it waits, with its `links`, and its guests, who wait for some of them, too."""

    __slots__ = ("guests", "keys", "links", "owner")

    def __init__(
        self,
        keys: Sequence[bytes],
        rows: Rows,
        settled: Callable[[Ticket], object],
        owner: Order,
        links: Links,
        queued_at: float,
    ) -> None:
        first = owner.ticket
        super().__init__(
            rows,
            settled,
            probabilities=first.probabilities,
            high=first.high,
            deadline=first.deadline,
            queued_at=queued_at,
        )
        self.keys = keys
        self.owner: Order | None = owner
        self.links = links
        self.guests: dict[Order, Links] | None = None
        owner.computations += (self,)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for it."""
        return self.owner is not None or bool(self.guests)

    @property
    def ticket(self) -> Ticket:
        """What the batcher has of it."""
        return self

    def is_whole(self, owner: Order) -> bool:
        """Whether its rows are those of its owner: all of them, in their order, and no others."""
        count = len(owner.parts)
        return len(self.keys) == len(self.links) == count and all(row == place for row, place in self.links)

    def leaves_alone(self, order: Order) -> bool:
        """It does not wait any more; whether it was the last that did."""
        was_wanted = self.is_wanted
        if self.owner is order:
            self.owner = None
        elif self.guests is not None:
            self.guests.pop(order, None)
        return was_wanted and not self.is_wanted

    def dismiss_all(self) -> Mapping[Order, Links]:
        """All who wait for it, and do no more; the owner first."""
        owner = self.owner
        first: dict[Order, Links] = {} if owner is None else {owner: self.links}
        return {**first, **self.dismiss()}

    def dismiss(self) -> Mapping[Order, Links]:
        """The guests, who wait for it no more: nor does the owner."""
        guests, self.guests, self.owner = self.guests, None, None
        return guests or NOBODY


class Lone:
    """The only row of a request, computed by the request's own ticket: most never have a guest, and a computation of
    their own would be half of what a cache costs.

    `settled` is what the ticket's owner is to be told with; None once that was done because the owner left.
    """

    __slots__ = ("guests", "keys", "settled", "ticket")

    def __init__(self, keys: Sequence[bytes], ticket: Ticket) -> None:
        self.keys = keys
        self.ticket = ticket
        self.settled: Callable[[Ticket], object] | None = ticket.settled
        self.guests: dict[Order, Links] | None = None

    def leave(self, error: Exception) -> None:
        """The owner goes, and is told why; the ticket is computed for the guests, and not done yet."""
        settled, self.settled = self.settled, None
        if settled is not None:
            self.ticket.error = error
            settled(self.ticket)

    def leaves_alone(self, order: Order) -> bool:
        """A guest does not wait any more; whether it was the last that did."""
        if not self.guests:
            return False
        self.guests.pop(order, None)
        return not self.guests and self.settled is None

    def dismiss(self) -> Mapping[Order, Links]:
        """The guests, who wait for it no more."""
        guests, self.guests = self.guests, None
        return guests or NOBODY


Underway = Computation | Lone
"""Rows that others can wait for, too."""


def join(computation: Underway, order: Order, links: Links) -> None:
    """An order waits for these rows of a computation as a guest."""
    if computation.guests is None:
        computation.guests = {}
    computation.guests[order] = [*computation.guests.get(order, ()), *links]
    order.computations += (computation,)


def wanted(keys: Sequence[bytes], links: Links) -> Wanted:
    """The rows that these links are for."""
    places: dict[bytes, list[int]] = {}
    for row, place in links:
        places.setdefault(keys[row], []).append(place)
    return places
