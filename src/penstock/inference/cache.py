"""Answers that are kept, between the engine and the queue of a model version: row by row, and each row computed once,
however many want it at the same time."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from time import thread_time as clock

from penstock.errors import ClientGone, HostLost, ModelFailed, NotReady, PredictTimeout, RequestError
from penstock.inference.admission import SMALL
from penstock.inference.alarm import Alarm, Timer
from penstock.inference.batcher import SEARCHING, Batcher
from penstock.inference.computation import NOBODY, ONLY, Computation, Links, Lone, Order, Underway, Wanted, join, wanted
from penstock.inference.row_answers import RowAnswer, again, apart
from penstock.inference.row_keys import RowKeys
from penstock.inference.row_store import RowStore
from penstock.inference.rows import Rows, picked
from penstock.inference.shared_store import SharedStore
from penstock.inference.ticket import Freshness, Result, Ticket, throw
from penstock.inference.worth import EVERY, Judge, Worth
from penstock.observability.caching import CacheMeter

Soon = Callable[[Callable[[], None]], object]
"""Runs a callback after the events at hand are dealt with."""
OWN = (ModelFailed, HostLost, PredictTimeout)
"""What is the doing of the model or of the row: whoever waits for the same would get it, too."""
Flights = dict[bytes, tuple[Underway, int]]


class Cache:
    """Answers tickets with what is kept, and has the batcher compute the rest.

    Every ticket is settled once: with the answer to each of its rows, at once where all of them are kept, or with an
    error. It keeps its own deadline, and leaves by itself. Rows that are being computed go on for as long as anybody
    waits for them. Who waits for another's computation shares its answers, and an error of the model's where it was
    about that row alone; else the row is asked for again.

    The only row of a request is computed by the request's own ticket, which then is the batcher's to settle.
    """

    def __init__(
        self,
        keys: RowKeys,
        store: RowStore,
        batcher: Batcher,
        *,
        shared: SharedStore | None = None,
        timer: Timer,
        soon: Soon,
        meter: CacheMeter,
        worth: Worth,
    ) -> None:
        self.is_on = True
        self.judge: Judge | None = None
        self._keys = keys
        self._store = store
        self._shared = shared
        self._batcher = batcher
        self._timer = timer
        self._soon = soon
        self._meter = meter
        self._worth = worth
        self._looks = 0
        self._keeps = 0
        self._is_timed = False
        self._orders: dict[Ticket, Order] = {}
        self._hosts: dict[Ticket, Lone] = {}  # who has guests
        self._flights: tuple[Flights, Flights] = ({}, {})  # where a row is being computed: in low priority, in high
        self._deadlines = Alarm(timer, self._expire)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not (self._orders or self._hosts or any(self._flights))

    def submit(self, ticket: Ticket) -> None:
        """Settles a ticket, now or later, while it `is_on`. Raises as `Batcher.submit` does, where there are rows to be
        computed."""
        if ticket.freshness is Freshness.ANY:
            self._look_up(ticket)
        else:
            self._pass_by(ticket)

    def switch(self, *, on: bool) -> None:
        """Answers are kept from now on, or are not. Who waits goes on to."""
        self.is_on = on
        self._store.clear()

    def withdraw(self, ticket: Ticket) -> None:
        """The client went away: what nobody else waits for is not computed."""
        if (order := self._orders.get(ticket)) is not None:
            self._fail(order, ClientGone())
        elif (lone := self._hosts.get(ticket)) is not None and lone.guests:
            lone.leave(ClientGone())
        else:
            self._batcher.withdraw(ticket)

    def close(self) -> None:
        """Fails whoever still waits."""
        for order in list(self._orders.values()):
            self._fail(order, NotReady())
        self._deadlines.cancel()
        if self.judge is not None:
            self.judge.close()
        self.switch(on=False)
        self._meter.close()

    # ---------------------------------------------------------------- asking
    def _look_up(self, ticket: Ticket) -> None:
        self._looks += 1
        self._is_timed = not self._looks % EVERY
        began = clock() if self._is_timed else 0.0
        keys = self._keys.of(ticket.rows, probabilities=ticket.probabilities)
        get = self._store.get
        found = get(keys[0])
        parts = [found, *map(get, keys[1:])] if len(keys) > 1 else None
        if self._is_timed:
            self._worth.spent(clock() - began)
            if self.judge is not None:
                self.judge.look()
        if parts is not None:
            self._look_on(ticket, keys, parts)
        elif found is not None:
            self._meter.hits.value += 1
            ticket.answer(again(found))
        else:
            self._seek_one(ticket, keys)

    def _look_on(self, ticket: Ticket, keys: Sequence[bytes], parts: list[RowAnswer | None]) -> None:
        """At what is missing of several rows."""
        wanted: dict[bytes, list[int]] = {}
        for place, part in enumerate(parts):
            if part is None:
                wanted.setdefault(keys[place], []).append(place)
        order = Order(ticket, parts, parts.count(None))
        if wanted:
            self._seek(order, wanted, self._asks_elsewhere)
        else:
            self._answer(order, order.result())

    def _pass_by(self, ticket: Ticket) -> None:
        """The model is asked, whatever is kept."""
        if ticket.freshness is Freshness.NEW:
            keys = self._keys.of(ticket.rows, probabilities=ticket.probabilities)
            ticket.settled = partial(self._renewed, keys, ticket.settled)
        self._batcher.submit(ticket)
        self._meter.bypassed.value += ticket.rows.count

    def _renewed(self, keys: Sequence[bytes], settled: Callable[[Ticket], object], ticket: Ticket) -> None:
        if ticket.result is not None and (answers := _rows_of(ticket.result, len(keys))):
            self._keep(keys, answers)
        settled(ticket)

    def _seek_one(self, ticket: Ticket, keys: Sequence[bytes]) -> None:
        """As `_seek`, for the only row of a request."""
        key, (low, high) = keys[0], self._flights
        flight = self._flight(key, ticket) if key in low or key in high else None
        if flight is None and self._shared is not None and self._shared.is_here():
            self._begin(Order(ticket, [None], 1), keys, ticket.rows, ONLY, self._shared, 0.0)
            return
        if flight is None:
            nbytes = ticket.nbytes if ticket.nbytes > SMALL else 0
            ticket.expected_s = self._batcher.admit(ticket.deadline, 1, nbytes, high=ticket.high)
            if key in low or key in high:  # it has looked for answers, and who got one has asked again
                flight = self._flight(key, ticket)
        if flight is None:
            self._compute_alone(ticket, keys)
        else:
            self._join(Order(ticket, [None], 1), *flight, (0,))

    def _compute_alone(self, ticket: Ticket, keys: Sequence[bytes]) -> None:
        """Has the batcher compute the only row of a request, for which there is room."""
        began = clock() if self._is_timed else 0.0
        lone = Lone(keys, ticket)
        ticket.settled = partial(self._settled_alone, lone)
        self._flights[ticket.high][keys[0]] = lone, 0
        if self._is_timed:
            self._worth.spent(clock() - began)
        self._batcher.push(ticket)

    def _seek(self, order: Order, wanted: Wanted, elsewhere: SharedStore | None) -> None:
        """Waits for who has these rows computed, and has the others looked up elsewhere, or computed. Raises as
        `Batcher.admit` does."""
        ticket, expected_s = order.ticket, 0.0
        if elsewhere is None and (new := sum([self._flight(key, ticket) is None for key in wanted])):
            nbytes = ticket.nbytes * new // ticket.rows.count
            expected_s = self._batcher.admit(ticket.deadline, new, nbytes, high=ticket.high)
            if ticket.done:
                return
        own = []
        for key, places in wanted.items():  # once more: it may have looked for answers, and some have come
            if (flight := self._flight(key, ticket)) is None:
                own.append(key)
            else:
                self._join(order, *flight, places)
        if own:
            rows = picked(ticket.rows, [wanted[key][0] for key in own])
            links = [(row, place) for row, key in enumerate(own) for place in wanted[key]]
            self._begin(order, own, rows, links, elsewhere, expected_s)

    def _flight(self, key: bytes, ticket: Ticket) -> tuple[Underway, int] | None:
        """Where the row of a ticket is being computed. One of high priority does not wait in the queue for another."""
        low, high = self._flights
        if (flight := high.get(key)) is not None or (flight := low.get(key)) is None or not ticket.high:
            return flight
        return None if flight[0].ticket.queued else flight

    def _join(self, order: Order, computation: Underway, row: int, places: Sequence[int]) -> None:
        self._orders[order.ticket] = order
        join(computation, order, [(row, place) for place in places])
        if isinstance(computation, Lone):
            self._hosts[computation.ticket] = computation
        if computation.ticket.deadline > order.ticket.deadline or self._shared is not None:
            self._watch(order)

    def _watch(self, order: Order) -> None:
        """Sees to its deadline: who computes its rows has more time, or may come to have."""
        order.watched = True
        self._deadlines.wake_by(order.ticket.deadline)

    @property
    def _asks_elsewhere(self) -> SharedStore | None:
        """Where several machines keep answers, if that can be asked now."""
        return self._shared if self._shared is not None and self._shared.is_here() else None

    def _begin(
        self,
        order: Order,
        keys: Sequence[bytes],
        rows: Rows,
        links: Links,
        elsewhere: SharedStore | None,
        expected_s: float,
    ) -> None:
        """Has these rows looked up elsewhere, or else computed, for which there is room."""
        began = clock() if self._is_timed else 0.0
        self._orders[order.ticket] = order
        computation = self._take_off(keys, rows, order, links)
        computation.expected_s = expected_s
        if elsewhere is not None:
            self._watch(order)
            elsewhere.find(keys, computation.probabilities, partial(self._found, computation))
        if self._is_timed:
            self._worth.spent(clock() - began)
        if elsewhere is None:
            self._batcher.push(computation)

    def _take_off(self, keys: Sequence[bytes], rows: Rows, owner: Order, links: Links) -> Computation:
        """A computation that others can join."""
        computation = Computation(keys, rows, self._settled, owner, links, self._timer.time())
        flights = self._flights[computation.high]
        for row, key in enumerate(keys):
            flights[key] = computation, row
        return computation

    # ---------------------------------------------------------------- what others keep
    def _found(self, computation: Computation, answers: Sequence[RowAnswer | None]) -> None:
        """Hands out what was kept, and has the rest computed."""
        if not computation.is_wanted:
            return
        self._worth.waited(self._timer.time() - computation.queued_at)
        self._land(computation)
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
        assert isinstance(computation, Computation)
        self._land(computation)
        if not computation.is_wanted:
            return
        owner, guests = computation.owner, computation.dismiss()
        result = computation.result
        answers = _rows_of(result, len(computation.keys)) if result is not None else []
        if result is None or not answers:
            self._failed(computation.keys, computation, owner, guests)
            return
        self._keep(computation.keys, answers)
        if owner is not None:
            owner.misses += len(answers)
            if computation.is_whole(owner):
                self._finish(owner, result)
            else:
                self._hand(owner, computation.links, computation, answers)
        for guest, links in guests.items():
            self._hand(guest, links, computation, answers)

    def _settled_alone(self, lone: Lone, ticket: Ticket) -> None:
        """The only row of a request is computed, or is not."""
        del ticket.settled  # which leads back to it: a circle
        self._land(lone)
        result, guests = ticket.result, NOBODY
        if lone.guests is not None:
            del self._hosts[ticket]
            guests = lone.dismiss()
        answers = _rows_of(result, 1) if result is not None else []
        if answers:
            self._keep(lone.keys, answers)
        if lone.settled is not None:
            self._meter.misses.value += len(answers)
            try:
                lone.settled(ticket)
            except Exception as fault:  # noqa: BLE001  # which the event loop tells of: guests wait for the same row
                self._soon(partial(throw, fault))
        if guests:
            self._pass_on(lone.keys, ticket, answers, guests)
        if lone.settled is None:
            ticket.result, ticket.error = None, ClientGone()  # as its owner was told, who may look again

    def _pass_on(
        self, keys: Sequence[bytes], by: Ticket, answers: Sequence[RowAnswer], guests: Mapping[Order, Links]
    ) -> None:
        """What became of rows, to those who want the same."""
        if not answers:
            self._failed(keys, by, None, guests)
        else:
            for guest, links in guests.items():
                self._hand(guest, links, by, answers)

    def _hand(self, order: Order, links: Links, by: Ticket, answers: Sequence[RowAnswer]) -> None:
        """Gives an order its rows, unless it has left while others were answered."""
        if not order.ticket.done:
            order.take(links, answers, by)
            if not order.left:
                self._finish(order, order.result())

    def _keep(self, keys: Sequence[bytes], answers: Sequence[RowAnswer]) -> None:
        if not self.is_on:
            return
        self._keeps += 1
        is_timed = not self._keeps % EVERY
        began = clock() if is_timed else 0.0
        put = self._store.put if self._shared is None else self._shared.put
        for at, key in enumerate(keys):
            put(key, answers[at])
        if is_timed:
            self._worth.spent(clock() - began)

    def _finish(self, order: Order, result: Result) -> None:
        """Whatever goes wrong with one, others wait for theirs."""
        try:
            self._answer(order, result)
        except Exception as fault:  # noqa: BLE001  # which the event loop tells of
            self._soon(partial(throw, fault))

    def _answer(self, order: Order, result: Result) -> None:
        self._orders.pop(order.ticket, None)
        meter = self._meter
        meter.hits.value += order.cached
        meter.misses.value += order.misses
        meter.shared.value += len(order.parts) - order.cached - order.misses
        order.ticket.answer(result)

    def _failed(self, keys: Sequence[bytes], by: Ticket, owner: Order | None, guests: Mapping[Order, Links]) -> None:
        """Those who share the blame are told; who wanted another's row asks for it again."""
        error = by.error if by.result is None and by.error is not None else ModelFailed()
        is_shared = len(keys) == 1 and isinstance(error, OWN)
        for order in (owner, *guests) if is_shared else (owner,):
            if order is not None and not order.ticket.done:
                order.ticket.sent_at = max(by.sent_at, order.ticket.queued_at)
                self._fail(order, error)
        if not is_shared:
            for guest, links in guests.items():
                self._soon(partial(self._seek_again, guest, wanted(keys, links)))

    def _seek_again(self, order: Order, wanted: Wanted) -> None:
        self._seek_on(order, wanted, self._asks_elsewhere)

    def _seek_on(self, order: Order, wanted: Wanted, elsewhere: SharedStore | None) -> None:
        """As `_seek`, for one that waits already."""
        self._is_timed = False
        if order.ticket.done:
            return
        try:
            if order.ticket.deadline <= self._timer.time():
                raise self._batcher.too_late()
            self._seek(order, wanted, elsewhere)
        except RequestError as error:
            self._fail(order, error)

    # ---------------------------------------------------------------- leaving
    def _fail(self, order: Order, error: Exception) -> None:
        self._orders.pop(order.ticket, None)
        for computation in order.computations:
            if computation.leaves_alone(order):
                self._batcher.withdraw(computation.ticket)
        try:
            order.ticket.fail(error)
        except Exception as fault:  # noqa: BLE001  # which the event loop tells of: others are to be told, too
            self._soon(partial(throw, fault))

    def _land(self, computation: Underway) -> None:
        """Nobody can join it any more."""
        flights = self._flights[computation.ticket.high]
        for key in computation.keys:
            if key in flights and flights[key][0] is computation:
                del flights[key]

    def _expire(self, now: float) -> float | None:
        watched = [order for order in self._orders.values() if order.watched]
        overdue = [order for order in watched if order.ticket.deadline <= now]
        following = min([order.ticket.deadline for order in watched if order.ticket.deadline > now], default=None)
        searched_s = self._timer.time() - now
        for order in overdue:
            self._fail(order, self._batcher.too_late())
        return following and max(following, now + searched_s / SEARCHING)


def _rows_of(result: Result, count: int) -> list[RowAnswer]:
    """The answer to each of so many rows; none where the host has answered something else."""
    try:
        answers = apart(result)
    except (ValueError, IndexError):
        return []
    return answers if len(answers) == count else []
