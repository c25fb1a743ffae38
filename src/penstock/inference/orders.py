"""Requests that wait for rows which others have computed, or keep: from asking until all of their rows are there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from time import thread_time as clock

from penstock.errors import NotReady, RequestError
from penstock.inference.alarm import Alarm, Timer
from penstock.inference.batcher import SEARCHING, Batcher
from penstock.inference.blame import error_of, is_end, is_shared
from penstock.inference.computation import (
    Computation,
    Links,
    Order,
    Wanted,
    dismiss,
    has_owner,
    is_wanted,
    join,
    leaves_alone,
    wanted,
)
from penstock.inference.flights import Flights
from penstock.inference.row_answers import Columns, RowAnswer, answers_of, apart
from penstock.inference.rows import picked
from penstock.inference.shared_store import SharedStore
from penstock.inference.ticket import Result, Ticket, throw
from penstock.inference.worth import Worth
from penstock.observability.caching import CacheMeter

Soon = Callable[[Callable[[], None]], object]
"""Runs a callback after the events at hand are dealt with."""
Find = Callable[[Sequence[bytes]], Sequence[RowAnswer | None]]
Keep = Callable[[Sequence[bytes], Columns], None]


class Orders:
    """Has what is missing of a request computed, or looked up elsewhere, once for all who want the same.

    A row that is being computed, of which `flights` tells, is waited for. Who waits keeps its own deadline, and leaves
    by itself: rows go on for as long as anybody waits for them. Who waits for another's computation shares its answers,
    and an error of the model's where it was about no other rows; else its rows are asked for again.
    """

    def __init__(
        self,
        flights: Flights,
        batcher: Batcher,
        shared: SharedStore | None,
        *,
        find: Find,
        keep: Keep,
        timer: Timer,
        soon: Soon,
        meter: CacheMeter,
        worth: Worth,
    ) -> None:
        self._flights = flights
        self._batcher = batcher
        self._shared = shared
        self._find = find
        self._keep = keep
        self._timer = timer
        self._soon = soon
        self._meter = meter
        self._worth = worth
        self._orders: dict[Ticket, Order] = {}
        self._deadlines = Alarm(timer, self._expire)

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._orders)

    def withdraw(self, ticket: Ticket, error: Exception) -> bool:
        """Whether this ticket was one of them; it is no more."""
        order = self._orders.get(ticket)
        if order is not None:
            self._fail(order, error)
        return order is not None

    def close(self) -> None:
        """Fails whoever still waits."""
        for order in list(self._orders.values()):
            self._fail(order, NotReady())
        self._deadlines.cancel()

    # ---------------------------------------------------------------- asking
    def take(self, ticket: Ticket, keys: Sequence[bytes], parts: list[RowAnswer | None], *, timed: int) -> None:
        """A request, and the parts of its answer that are kept. Raises as `Batcher.admit` does. What that costs counts
        `timed` times."""
        missing = [(place, place) for place, part in enumerate(parts) if part is None]
        self._seek(Order(ticket, parts), wanted(keys, missing), self._asks_elsewhere, timed=timed)

    def _seek(self, order: Order, places: Wanted, elsewhere: SharedStore | None, *, timed: int = 0) -> None:
        """Waits for who has these rows computed, and has the others looked up elsewhere, or computed."""
        expected_s = 0.0
        if elsewhere is None:
            places, expected_s = self._admit(order, places)
            if order.ticket.done:
                return
            if not order.left:
                self._finish(order, order.result())
                return
        began = clock() if timed else 0.0
        new_keys = self._join(order, places)
        computation = self._take_off(order, new_keys, places) if new_keys else None
        if timed:
            self._worth.spent(timed * (clock() - began))
        if computation is None:
            return
        computation.expected_s = expected_s
        if elsewhere is None:
            self._batcher.push(computation)
        else:
            self._watch(order)
            elsewhere.find(new_keys, computation.probabilities, partial(self._found, computation))

    def _admit(self, order: Order, places: Wanted) -> tuple[Wanted, float]:
        """Finds room for the rows that nobody has computed. That may mean to look for answers, so that some of them may
        be kept by then: what is still missing, and how long it would wait, is returned."""
        ticket, admitted, expected_s = order.ticket, 0, 0.0
        while not ticket.done and (new := self._new(places, high=ticket.high)) > admitted:
            changes, admitted = self._flights.changes, new
            nbytes = ticket.nbytes * new // ticket.rows.count
            expected_s = self._batcher.admit(ticket.deadline, new, nbytes, high=ticket.high)
            if self._flights.changes != changes and not ticket.done:
                places = self._missing(order, places)
        return places, expected_s

    def _new(self, places: Wanted, *, high: bool) -> int:
        """How many of these rows nobody has computed."""
        return sum([self._flights.of(key, high=high) is None for key in places])

    def _missing(self, order: Order, places: Wanted) -> Wanted:
        """Gives an order what is kept by now of these rows; which are not, is returned."""
        keys = list(places)
        answers = self._find(keys) or [None] * len(keys)
        order.keep([(row, place) for row, key in enumerate(keys) for place in places[key]], answers)
        return {key: places[key] for key, answer in zip(keys, answers, strict=True) if answer is None}

    def _join(self, order: Order, places: Wanted) -> list[bytes]:
        """Waits for the rows that are being computed; the others are returned."""
        self._orders[order.ticket] = order
        new: list[bytes] = []
        flights: dict[Ticket, dict[bytes, Sequence[int]]] = {}
        for key, of_key in places.items():
            if (flight := self._flights.of(key, high=order.ticket.high)) is None:
                new.append(key)
            else:
                flights.setdefault(flight, {})[key] = of_key
        for flight, rows in flights.items():
            join(flight, order, rows)
            if flight.deadline > order.ticket.deadline or self._shared is not None or not has_owner(flight):
                self._watch(order)
        return new

    def watch(self, guests: Iterable[Order]) -> None:
        """Sees to the deadlines of those who wait for rows whose owner has left."""
        for guest in guests:
            self._watch(guest)

    def _watch(self, order: Order) -> None:
        """Sees to its deadline: who computes its rows has more time, or may come to have."""
        order.watched = True
        self._deadlines.wake_by(order.ticket.deadline)

    @property
    def _asks_elsewhere(self) -> SharedStore | None:
        """Where several machines keep answers, if that can be asked now."""
        return self._shared if self._shared is not None and self._shared.is_here() else None

    def _take_off(self, order: Order, keys: Sequence[bytes], places: Wanted) -> Computation:
        """A computation of these rows, which others can join."""
        rows = picked(order.ticket.rows, [places[key][0] for key in keys])
        links = [(row, place) for row, key in enumerate(keys) for place in places[key]]
        computation = Computation(keys, rows, self._settled, order, links, self._timer.time())
        computation.suspect = order.suspect
        self._flights.take_off(computation)
        return computation

    # ---------------------------------------------------------------- what others keep
    def _found(self, computation: Computation, answers: Sequence[RowAnswer | None]) -> None:
        """Hands out what was kept, and has the rest computed."""
        if not is_wanted(computation):
            return
        self._worth.waited(self._timer.time() - computation.queued_at)
        self._flights.land(computation)
        orders = computation.dismiss_all()
        missing = {row for row, answer in enumerate(answers) if answer is None}
        if missing:
            self._compute_rest(computation.keys, missing, orders)
        for order, links in orders.items():
            if not order.ticket.done:
                order.keep(links, answers)
                if not order.left:
                    self._finish(order, order.result())

    def _compute_rest(self, keys: Sequence[bytes], missing: AbstractSet[int], orders: Mapping[Order, Links]) -> None:
        """Each goes on by itself, with its own priority and deadline, and only with what it wants. Those of high
        priority go first, so that the others can wait for them."""
        for order in sorted(orders, key=lambda order: not order.ticket.high):
            if rest := [(row, place) for row, place in orders[order] if row in missing]:
                self._seek_on(order, wanted(keys, rest), None)

    # ---------------------------------------------------------------- answers
    def _settled(self, computation: Ticket) -> None:
        """The rows of a computation are there, or are not, or its owner waits no more while a host is at it."""
        assert isinstance(computation, Computation)
        owner, computation.owner = computation.owner, None
        if not computation.done:
            self.watch(computation.guests or ())
            if owner is not None:
                self._blame(owner, computation)
            return
        self._flights.land(computation)
        guests, result = dismiss(computation), computation.result
        whole = answers_of(result, len(computation.keys))
        if result is None or not whole:
            if owner is not None:
                self._blame(owner, computation)
            self._failed(computation, guests)
            return
        self._keep(computation.keys, whole)
        answers = apart(whole)
        self._meter.misses.value += len(answers)
        if owner is not None:
            owner.misses += len(answers)
            if computation.is_whole(owner):
                self._finish(owner, result)
            else:
                self._hand(owner, computation.links, computation, answers)
        self._pass_on(computation, answers, guests)

    def pass_on(self, by: Ticket, answers: Sequence[RowAnswer]) -> None:
        """What became of a ticket's rows, to its guests."""
        guests = dismiss(by)
        if answers:
            self._pass_on(by, answers, guests)
        else:
            self._failed(by, guests)

    def _pass_on(self, by: Ticket, answers: Sequence[RowAnswer], guests: Mapping[Order, Links]) -> None:
        for guest, links in guests.items():
            self._hand(guest, links, by, answers)

    def _hand(self, order: Order, links: Links, by: Ticket, answers: Sequence[RowAnswer]) -> None:
        """Gives an order its rows, unless it has left while others were answered."""
        if not order.ticket.done:
            order.take(links, answers, by)
            if not order.left:
                self._finish(order, order.result())

    def _finish(self, order: Order, result: Result) -> None:
        """Whatever goes wrong with one, others wait for theirs."""
        self._orders.pop(order.ticket, None)
        meter = self._meter
        meter.hits.value += order.cached
        meter.shared.value += len(order.parts) - order.cached - order.misses
        try:
            order.ticket.answer(result)
        except Exception as fault:  # noqa: BLE001  # which the event loop tells of
            self._soon(partial(throw, fault))

    def _failed(self, by: Ticket, guests: Mapping[Order, Links]) -> None:
        """Those who share the blame are told, as they wanted all of the rows; who wanted some of them asks for these
        again, and goes alone if they may have ended the model's process."""
        error = error_of(by)
        for guest, links in guests.items():
            if is_shared(error, by, links):
                self._blame(guest, by)
            else:
                guest.suspect |= is_end(error)
                self._soon(partial(self._seek_again, guest, wanted(by.keys, links)))

    def _blame(self, order: Order, by: Ticket) -> None:
        if not order.ticket.done:
            order.ticket.sent_at = max(by.sent_at, order.ticket.queued_at)
            self._fail(order, error_of(by))

    def _seek_again(self, order: Order, places: Wanted) -> None:
        self._seek_on(order, places, self._asks_elsewhere)

    def _seek_on(self, order: Order, places: Wanted, elsewhere: SharedStore | None) -> None:
        """As `_seek`, for one that waits already."""
        if order.ticket.done:
            return
        try:
            if order.ticket.deadline <= self._timer.time():
                raise self._batcher.too_late()
            self._seek(order, places, elsewhere)
        except RequestError as error:
            self._fail(order, error)

    # ---------------------------------------------------------------- leaving
    def _fail(self, order: Order, error: Exception) -> None:
        self._orders.pop(order.ticket, None)
        for computation in order.computations:
            if leaves_alone(computation, order):
                self._batcher.withdraw(computation)
        try:
            order.ticket.fail(error)
        except Exception as fault:  # noqa: BLE001  # which the event loop tells of: others are to be told, too
            self._soon(partial(throw, fault))

    def _expire(self, now: float) -> float | None:
        watched = [order for order in self._orders.values() if order.watched]
        overdue = [order for order in watched if order.ticket.deadline <= now]
        following = min([order.ticket.deadline for order in watched if order.ticket.deadline > now], default=None)
        searched_s = self._timer.time() - now
        for order in overdue:
            self._fail(order, self._batcher.too_late())
        return following and max(following, now + searched_s / SEARCHING)
