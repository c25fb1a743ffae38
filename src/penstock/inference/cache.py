"""Answers that are kept, between the engine and the queue of a model version: row by row, and each row computed once,
however many want it at the same time."""

from collections.abc import Callable
from functools import partial
from time import perf_counter as clock

from penstock.errors import ClientGone, HostLost, ModelFailed, NotReady, PredictTimeout, RequestError
from penstock.inference.alarm import Alarm, Timer
from penstock.inference.batcher import SEARCHING, Batcher
from penstock.inference.computation import Computation, Order, Wanted
from penstock.inference.row_answers import apart
from penstock.inference.row_keys import RowKeys
from penstock.inference.row_store import RowStore
from penstock.inference.rows import picked
from penstock.inference.ticket import Freshness, Result, Ticket
from penstock.inference.worth import EVERY, Judge, Worth
from penstock.observability.caching import CacheMeter

Soon = Callable[[Callable[[], None]], object]
"""Runs a callback after the events at hand are dealt with."""
FIRST = (0,)
OWN = (ModelFailed, HostLost, PredictTimeout)
"""What is the doing of the model or of the row: whoever waits for the same would get it, too."""


Flights = dict[bytes, tuple[Computation, int]]


class Cache:
    """Answers tickets with what is kept, and has the batcher compute the rest.

    Every ticket is settled once: with the answer to each of its rows, at once where all of them are kept, or with an
    error. It keeps its own deadline, and leaves by itself. Rows that are being computed go on for as long as anybody
    waits for them. Who waits for another's computation shares its answers, and an error of the model's where it was
    about that row alone; else the row is asked for again.
    """

    def __init__(
        self,
        keys: RowKeys,
        store: RowStore,
        batcher: Batcher,
        *,
        timer: Timer,
        soon: Soon,
        meter: CacheMeter,
        worth: Worth,
    ) -> None:
        self.is_on = True
        self.judge: Judge | None = None
        self._keys = keys
        self._store = store
        self._batcher = batcher
        self._timer = timer
        self._soon = soon
        self._meter = meter
        self._worth = worth
        self._looks = 0
        self._keeps = 0
        self._is_timed = False
        self._orders: dict[Ticket, Order] = {}
        self._flights: tuple[Flights, Flights] = ({}, {})  # where a row is being computed: in low priority, in high
        self._computing: dict[Ticket, Computation] = {}
        self._deadlines = Alarm(timer, self._expire)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not (self._orders or any(self._flights) or self._computing)

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
        order = self._orders.get(ticket)
        if order is None:
            self._batcher.withdraw(ticket)
        else:
            self._fail(order, ClientGone())

    def close(self) -> None:
        """Fails whoever still waits."""
        for order in list(self._orders.values()):
            self._fail(order, NotReady())
        self._deadlines.cancel()
        self.switch(on=False)
        self._meter.close()

    # ---------------------------------------------------------------- asking
    def _look_up(self, ticket: Ticket) -> None:
        self._looks += 1
        self._is_timed = not self._looks % EVERY
        began = clock() if self._is_timed else 0.0
        keys = self._keys.of(ticket.rows, probabilities=ticket.probabilities)
        parts = [self._store.get(key) for key in keys]
        if self._is_timed:
            self._worth.spent(clock() - began)
            if self.judge is not None:
                self.judge.look()
        if len(keys) > 1:
            self._look_on(ticket, keys, parts)
        elif (found := parts[0]) is not None:
            self._meter.hits.value += 1
            ticket.answer(found)
        else:
            self._seek(Order(ticket, parts, 1), {keys[0]: FIRST})

    def _look_on(self, ticket: Ticket, keys: list[bytes], parts: list[Result | None]) -> None:
        """At what is missing of several rows."""
        wanted: dict[bytes, list[int]] = {}
        for place, part in enumerate(parts):
            if part is None:
                wanted.setdefault(keys[place], []).append(place)
        order = Order(ticket, parts, parts.count(None))
        if wanted:
            self._seek(order, wanted)
        else:
            self._finish(order, order.result())

    def _pass_by(self, ticket: Ticket) -> None:
        """The model is asked, whatever is kept."""
        if ticket.freshness is Freshness.NEW:
            keys = self._keys.of(ticket.rows, probabilities=ticket.probabilities)
            ticket.settled = partial(self._renewed, keys, ticket.settled)
        self._batcher.submit(ticket)
        self._meter.bypassed.value += ticket.rows.count

    def _renewed(self, keys: list[bytes], settled: Callable[[Ticket], object], ticket: Ticket) -> None:
        if ticket.result is not None and (answers := _rows_of(ticket.result, len(keys))):
            self._keep(keys, answers)
        settled(ticket)

    def _seek(self, order: Order, wanted: Wanted) -> None:
        """Waits for who has these rows computed, and has the others computed. Raises as `Batcher.admit` does."""
        ticket, expected_s = order.ticket, 0.0
        if new := sum([self._flight(key, ticket) is None for key in wanted]):
            nbytes = ticket.nbytes * new // ticket.rows.count
            expected_s = self._batcher.admit(ticket.deadline, new, nbytes, high=ticket.high)
            if ticket.done:
                return
        own = []
        for key, places in wanted.items():  # once more: answers may have come in the meantime
            if (flight := self._flight(key, ticket)) is None:
                own.append(key)
            else:
                computation, row = flight
                computation.join(order, [(row, place) for place in places])
                self._watch(order, computation)
        self._orders[ticket] = order
        if own:
            began = clock() if self._is_timed else 0.0
            asked = self._prepared(order, own, wanted)
            if self._is_timed:
                self._worth.spent(clock() - began)
            asked.expected_s = expected_s
            self._batcher.push(asked)

    def _flight(self, key: bytes, ticket: Ticket) -> tuple[Computation, int] | None:
        """Where the row of a ticket is being computed. One of high priority does not wait in the queue for another."""
        low, high = self._flights
        if (flight := high.get(key)) is not None or (flight := low.get(key)) is None or not ticket.high:
            return flight
        by = flight[0].ticket
        return None if by is not None and by.queued else flight

    def _watch(self, order: Order, computation: Computation) -> None:
        """Sees to its deadline, where the computation has more time."""
        if computation.ticket is not None and computation.ticket.deadline > order.ticket.deadline:
            order.watched = True
            self._deadlines.wake_by(order.ticket.deadline)

    def _prepared(self, order: Order, keys: list[bytes], wanted: Wanted) -> Ticket:
        """The ticket with which the batcher is to be asked for these rows."""
        ticket = order.ticket
        computation = Computation(keys, picked(ticket.rows, [wanted[key][0] for key in keys]), order)
        computation.join(order, [(row, place) for row, key in enumerate(keys) for place in wanted[key]])
        flights = self._flights[ticket.high]
        for row, key in enumerate(keys):
            flights[key] = computation, row
        own = computation.ticket = Ticket(
            computation.rows,
            self._settled,
            probabilities=ticket.probabilities,
            high=ticket.high,
            deadline=ticket.deadline,
            queued_at=self._timer.time(),
        )
        self._computing[own] = computation
        return own

    # ---------------------------------------------------------------- answers
    def _settled(self, ticket: Ticket) -> None:
        computation = self._computing.pop(ticket, None)
        if computation is None:
            return
        self._land(computation)
        result = ticket.result
        if result is None:
            self._failed(computation, ticket.error or NotReady())
        elif answers := _rows_of(result, len(computation.keys)):
            self._answered(computation, ticket, result, answers)
        else:
            self._failed(computation, ModelFailed())

    def _answered(self, computation: Computation, ticket: Ticket, result: Result, answers: list[Result]) -> None:
        self._keep(computation.keys, answers)
        waiting, computation.waiting = computation.waiting, {}
        owner, computation.owner = computation.owner, None  # which knows its computations: a circle
        for order, links in waiting.items():
            if order.ticket.done:
                continue  # it left while others were answered
            order.take(links, answers)
            order.computed(ticket, result)
            if order is owner:
                order.misses += len(answers)
            if not order.left:
                whole = order is owner and len(answers) == len(order.parts)
                self._finish(order, Result(*result[:-1], 0) if whole else order.result())

    def _keep(self, keys: list[bytes], answers: list[Result]) -> None:
        if not self.is_on:
            return
        self._keeps += 1
        is_timed = not self._keeps % EVERY
        began = clock() if is_timed else 0.0
        for key, answer in zip(keys, answers, strict=True):
            self._store.put(key, answer)
        if is_timed:
            self._worth.spent(clock() - began)

    def _finish(self, order: Order, result: Result) -> None:
        self._orders.pop(order.ticket, None)
        meter = self._meter
        meter.hits.value += order.cached
        meter.misses.value += order.misses
        meter.shared.value += len(order.parts) - order.cached - order.misses
        order.ticket.answer(result)

    def _failed(self, computation: Computation, error: RequestError) -> None:
        """Those who share the blame are told; who wanted another's row asks for it again."""
        is_shared = len(computation.keys) == 1 and isinstance(error, OWN)
        waiting, computation.waiting = computation.waiting, {}
        owner, computation.owner = computation.owner, None
        for order, links in waiting.items():
            if order.ticket.done:
                continue
            if is_shared or order is owner:
                self._fail(order, error, computation.ticket)
            else:
                self._soon(partial(self._seek_again, order, computation.wanted(links)))

    def _seek_again(self, order: Order, wanted: Wanted) -> None:
        self._is_timed = False
        if not order.ticket.done:
            try:
                self._seek(order, wanted)
            except RequestError as error:
                self._fail(order, error)

    # ---------------------------------------------------------------- leaving
    def _fail(self, order: Order, error: RequestError, by: Ticket | None = None) -> None:
        ticket = order.ticket
        self._orders.pop(ticket, None)
        for computation in order.computations:
            computation.leave(order)
            if not computation.waiting:
                self._abandon(computation)
        if by is not None:
            ticket.sent_at = max(by.sent_at, ticket.queued_at)
        ticket.fail(error)

    def _abandon(self, computation: Computation) -> None:
        """Nobody waits for it."""
        ticket = computation.ticket
        if ticket is not None and self._computing.pop(ticket, None) is not None:
            self._land(computation)
            self._batcher.withdraw(ticket)

    def _land(self, computation: Computation) -> None:
        """Nobody can join it any more."""
        flights = self._flights[computation.high]
        for key in computation.keys:
            del flights[key]

    def _expire(self, now: float) -> float | None:
        watched = [order for order in self._orders.values() if order.watched]
        overdue = [order for order in watched if order.ticket.deadline <= now]
        following = min([order.ticket.deadline for order in watched if order.ticket.deadline > now], default=None)
        searched_s = self._timer.time() - now
        for order in overdue:
            self._fail(order, self._batcher.too_late())
        return following and max(following, now + searched_s / SEARCHING)


def _rows_of(result: Result, count: int) -> list[Result]:
    """The answer to each of so many rows; none where the host has answered something else."""
    try:
        answers = apart(result)
    except (ValueError, IndexError):
        return []
    return answers if len(answers) == count else []
