"""Rows that are being computed, and the requests that wait for them."""

from collections.abc import Callable, Mapping, Sequence

from penstock.inference.row_answers import RowAnswer, together
from penstock.inference.rows import Rows
from penstock.inference.ticket import Result, Ticket

Wanted = Mapping[bytes, Sequence[int]]
"""Rows by their keys, and at which places of a request they stand."""
Links = Sequence[tuple[int, int]]
"""Which rows of a computation belong at which places of a request."""
NOBODY: "Mapping[Order, Links]" = {}


class Order:
    """A request of whose rows some are still to come: those of its `parts` that are None.

    `cached` of them were kept, and `misses` were computed for it. It is `watched` where nobody else sees to its
    deadline, and `suspect` where some of its rows may have ended the model's process: what is computed for it goes
    alone from then on.
    """

    __slots__ = (
        "cached", "computations", "inference_s", "left", "misses", "parts", "queue_s", "suspect", "ticket", "watched",
    )  # fmt: skip

    def __init__(self, ticket: Ticket, parts: list[RowAnswer | None]) -> None:
        self.ticket = ticket
        self.parts = parts
        self.left = parts.count(None)
        self.cached = len(parts) - self.left
        self.misses = 0
        self.computations: tuple[Ticket, ...] = ()
        self.queue_s = 0.0
        self.inference_s = 0.0
        self.watched = False
        self.suspect = False

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
    """Some rows of a request, of which no two are the same, as the batcher gets them: the others are kept, or computed
    for somebody else. `owner` is the request as long as it waits, at whose places they belong by `links`."""

    __slots__ = ("links", "owner")

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
        owner.computations += (self,)

    def is_whole(self, owner: Order) -> bool:
        """Whether its rows are those of its owner: all of them, in their order, and no others."""
        count = len(owner.parts)
        return len(self.keys) == len(self.links) == count and all(row == place for row, place in self.links)

    def leave(self, error: Exception) -> None:
        """As `fail`, while a host computes it: it goes on, and only its owner is told."""
        if not self.done:
            self.error = error
            self.settled(self)

    def dismiss_all(self) -> Mapping[Order, Links]:
        """All who wait for it, and do no more; the owner first."""
        owner, self.owner = self.owner, None
        first: dict[Order, Links] = {} if owner is None else {owner: self.links}
        return {**first, **dismiss(self)}


def has_owner(ticket: Ticket) -> bool:
    """Whether the request that its rows were first wanted for still waits."""
    return ticket.owner is not None if isinstance(ticket, Computation) else not isinstance(ticket.settled, Left)


def is_wanted(ticket: Ticket) -> bool:
    """Whether anybody waits for what is being computed."""
    return has_owner(ticket) or bool(ticket.guests)


def join(ticket: Ticket, order: Order, places: Wanted) -> None:
    """An order waits as a guest for some of the rows that are being computed."""
    if ticket.guests is None:
        ticket.guests = {}
    links = [(row, place) for row, key in enumerate(ticket.keys) if key in places for place in places[key]]
    ticket.guests[order] = [*ticket.guests.get(order, ()), *links]
    order.computations += (ticket,)


def leaves_alone(ticket: Ticket, order: Order) -> bool:
    """An order does not wait any more; whether it was the last that did."""
    was_wanted = is_wanted(ticket)
    if isinstance(ticket, Computation) and ticket.owner is order:
        ticket.owner = None
    elif ticket.guests:
        ticket.guests.pop(order, None)
    return was_wanted and not is_wanted(ticket)


def leave(ticket: Ticket, error: Exception) -> None:
    """The owner of a ticket that has guests goes, and is told why; it is computed for them, and not done yet."""
    settled, ticket.settled = ticket.settled, Left(error)
    ticket.error = error
    settled(ticket)


class Left:
    """Who is told where the owner has left with an error, which it may look at again."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, ticket: Ticket) -> None: ...


def dismiss(ticket: Ticket) -> Mapping[Order, Links]:
    """The guests, who wait for it no more."""
    guests, ticket.guests = ticket.guests, None
    return guests or NOBODY


def wanted(keys: Sequence[bytes], links: Links) -> Wanted:
    """The rows that these links are for."""
    places: dict[bytes, list[int]] = {}
    for row, place in links:
        places.setdefault(keys[row], []).append(place)
    return places
