"""Answers that are kept, between the engine and the queue of a model version: row by row, and each row computed once,
however many want it at the same time."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from time import thread_time as clock

from penstock.errors import ClientGone
from penstock.inference.alarm import Timer
from penstock.inference.batcher import Batcher
from penstock.inference.computation import Left, leave
from penstock.inference.flights import Flights
from penstock.inference.orders import Orders, Soon
from penstock.inference.outputs import Outputs
from penstock.inference.row_answers import Columns, RowAnswer, Span, again, answers_of, apart, columns, picked, together
from penstock.inference.row_keys import RowKeys
from penstock.inference.row_store import NOTHING, RowStore
from penstock.inference.shared_store import SharedStore
from penstock.inference.ticket import Freshness, Ticket, throw
from penstock.inference.worth import Judge, Worth, stands_for
from penstock.observability.caching import CacheMeter

Landed = list[tuple[Ticket, Span]]
"""Tickets that are computed, and where their rows stand in the batch."""


class Cache:
    """Answers tickets with what is kept, and has the batcher compute the rest.

    Every ticket is settled once: with the answer to each of its rows, at once where all of them are kept, or with an
    error. A request none of whose rows is known is computed by its own ticket, and others may wait for its rows: it is
    the one that a cache must not make much dearer. All that is harder is for `Orders`.
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
        self._put = store.put if shared is None else shared.put
        self._batcher = batcher
        self._soon = soon
        self._meter = meter
        self._worth = worth
        self._looks = count(1)
        self._batches = count(1)
        self._flights = Flights()
        self._orders = Orders(
            self._flights,
            batcher,
            shared,
            find=store.find,
            keep=self._keep,
            timer=timer,
            soon=soon,
            meter=meter,
            worth=worth,
        )
        batcher.computed = self._computed

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._orders and not self._flights

    def submit(self, ticket: Ticket, *, admitted: bool = False) -> None:
        """Settles a ticket, now or later, while it `is_on`. Where there are rows to be computed it raises as
        `Batcher.submit` does, unless the ticket was `admitted` just now."""
        if ticket.freshness is not Freshness.ANY:
            self._pass_by(ticket)
            return
        timed = 0 if self.judge is None else stands_for(ticket.rows.count, self._looks)
        began = clock() if timed else 0.0
        keys = self._keys.of(ticket.rows, probabilities=ticket.probabilities)
        is_new = self._are_new(keys)
        parts = NOTHING if is_new else self._store.find(keys)
        if timed and self.judge is not None:
            self._worth.spent(timed * (clock() - began))
            self.judge.look()
        if is_new and self._shared is None:
            self._compute(ticket, keys, admitted=admitted, timed=timed)
        elif parts and None not in parts:
            self._answer(ticket, parts)
        else:
            self._orders.take(ticket, keys, list(parts) or [None] * len(keys), timed=timed)

    def switch(self, *, on: bool) -> None:
        """Answers are kept from now on, or are not. Who waits goes on to."""
        self.is_on = on
        self._store.clear()

    def withdraw(self, ticket: Ticket) -> None:
        """The client went away: what nobody else waits for is not computed."""
        if self._orders.withdraw(ticket, ClientGone()):
            return
        if ticket.guests and not ticket.done:
            self._leave(ticket, ClientGone())
        else:
            self._batcher.withdraw(ticket)

    def close(self) -> None:
        """Fails whoever still waits."""
        self._orders.close()
        if self.judge is not None:
            self.judge.close()
        self.switch(on=False)
        self._meter.close()

    # ---------------------------------------------------------------- asking
    def _are_new(self, keys: Sequence[bytes]) -> bool:
        """Whether none of these rows is kept or being computed, and no two are the same."""
        kept, low, high = self._store.kept, self._flights.low, self._flights.high
        if len(keys) == 1:
            return keys[0] not in kept and keys[0] not in low and keys[0] not in high
        apart_from = kept.keys().isdisjoint(keys) and low.keys().isdisjoint(keys) and high.keys().isdisjoint(keys)
        return apart_from and len(set(keys)) == len(keys)

    def _answer(self, ticket: Ticket, parts: Sequence[RowAnswer | None]) -> None:
        """All of its rows are kept."""
        kept = [part for part in parts if part is not None]
        self._meter.hits.value += len(kept)
        ticket.answer(again(kept[0]) if len(kept) == 1 else together(kept, 0.0, 0.0, len(kept)))

    def _compute(self, ticket: Ticket, keys: Sequence[bytes], *, admitted: bool, timed: int) -> None:
        """Has the batcher compute a request that is new."""
        flights = self._flights
        if not admitted:
            changes = flights.changes
            ticket.expected_s = self._batcher.admit(ticket.deadline, len(keys), ticket.nbytes, high=ticket.high)
            # That may mean to look for answers, and whoever got one may have asked for these rows.
            if flights.changes != changes and not self._are_new(keys):
                self._orders.take(ticket, keys, list(self._store.find(keys)) or [None] * len(keys), timed=timed)
                return
        began = clock() if timed else 0.0
        ticket.keys, ticket.failed = keys, self._failed
        flights.take_off(ticket)
        if timed:
            self._worth.spent(timed * (clock() - began))
        self._batcher.push(ticket)

    def _pass_by(self, ticket: Ticket) -> None:
        """The model is asked, whatever is kept."""
        if ticket.freshness is Freshness.NEW:
            keys = self._keys.of(ticket.rows, probabilities=ticket.probabilities)
            ticket.settled = partial(self._renewed, keys, ticket.settled)
        self._batcher.submit(ticket)
        self._meter.bypassed.value += ticket.rows.count

    def _renewed(self, keys: Sequence[bytes], settled: Callable[[Ticket], object], ticket: Ticket) -> None:
        self._keep(keys, answers_of(ticket.result, len(keys)))
        settled(ticket)

    # ---------------------------------------------------------------- answers
    def _computed(self, tickets: Sequence[Ticket], outputs: Outputs) -> None:
        """A batch is answered, and so are the owners of its tickets: what is new is kept, and given to whoever else
        waits for it."""
        if not self._flights:
            return
        timed = 0 if self.judge is None else stands_for(len(outputs.fields[0]), self._batches)
        began = clock() if timed else 0.0
        landed, rows = _landed(tickets)
        self._flights.land(*[ticket for ticket, _ in landed])
        guests: list[tuple[Ticket, Sequence[RowAnswer]]] = []
        for stated in {ticket.probabilities for ticket, _ in landed}:
            alike = [(ticket, span) for ticket, span in landed if ticket.probabilities == stated]
            whole = _answers(outputs, rows, stated=stated)
            self._keep_of(alike, whole if len(alike) == len(tickets) else picked(whole, [span for _, span in alike]))
            guests += [(ticket, apart(picked(whole, [span]))) for ticket, span in alike if ticket.guests is not None]
        if timed:
            self._worth.spent(timed * (clock() - began))
        for ticket, its_answers in guests:
            self._pass_on(ticket, its_answers)

    def _keep_of(self, landed: Landed, answers: Columns) -> None:
        if answers:
            keys = [key for ticket, _ in landed for key in ticket.keys]
            self._meter.misses.value += len(keys)
            self._keep(keys, answers)

    def _keep(self, keys: Sequence[bytes], answers: Columns) -> None:
        if self.is_on and answers:
            self._put(keys, answers)

    def _failed(self, ticket: Ticket) -> None:
        """What was to be computed was not, or its owner waits no more while a host is at it."""
        if not ticket.done:
            self._leave(ticket, ticket.error or ClientGone())
            return
        ticket.failed = None
        self._flights.land(ticket)
        try:
            ticket.settled(ticket)
        except Exception as fault:  # noqa: BLE001  # which the event loop tells of: guests wait for the same rows
            self._soon(partial(throw, fault))
        self._pass_on(ticket, ())

    def _leave(self, ticket: Ticket, error: Exception) -> None:
        """Its owner goes. It is computed for its guests, or to be kept."""
        ticket.guests = ticket.guests or {}
        self._orders.watch(ticket.guests)
        leave(ticket, error)

    def _pass_on(self, ticket: Ticket, answers: Sequence[RowAnswer]) -> None:
        """What became of its rows, to the guests of a ticket."""
        self._orders.pass_on(ticket, answers)
        if isinstance(ticket.settled, Left):
            ticket.result, ticket.error = None, ticket.settled.error  # as its owner was told, who may look again


def _landed(tickets: Sequence[Ticket]) -> tuple[Landed, int]:
    """Those tickets of a batch for whose rows others could wait, as they can no more; and how many rows it has."""
    landed, end = [], 0
    for ticket in tickets:
        start, end = end, end + ticket.rows.count
        if ticket.failed is not None:
            ticket.failed = None
            landed.append((ticket, (start, end)))
    return landed, end


def _answers(outputs: Outputs, rows: int, *, stated: bool) -> Columns:
    """The answers to a batch of so many rows, with probabilities if these were `stated`."""
    beside = (outputs.probabilities, outputs.ranks) if stated else (None, None)
    return columns((outputs.confidence, *beside, *outputs.fields), rows)
