"""The queue of one model version, and the batches that are made of it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from penstock.config import Model
from penstock.errors import (
    ClientGone,
    DeadlineExceeded,
    GaveWay,
    HostLost,
    ModelFailed,
    NotReady,
    PredictTimeout,
    RequestError,
)
from penstock.inference.admission import BATCH_BYTES, TURN_S, Admission
from penstock.inference.alarm import Alarm, Timer
from penstock.inference.fleet import Fleet
from penstock.inference.forecast import Capacity, Forecast
from penstock.inference.hosts import Flight, Host, held
from penstock.inference.outputs import Outputs, hand_out
from penstock.inference.queue import TicketQueue
from penstock.inference.suspects import Suspects
from penstock.inference.ticket import Ticket
from penstock.model.batch import Answer

QUEUE_BYTES = 64 * 2**20
ENDED = "The model's process ended while it held this request alone: on account of it, or killed from outside."
"""A front sees the end of a socket, and that looks the same however the process came to it."""
SEARCHING = 0.05
"""The share of the time that may go into looking for what is overdue, where much waits and much of it expires: what is
due by then is told a little later, all at once."""


class Meter(Protocol):
    """What hears of batches."""

    def batch(self, rows: int, seconds: float, raw: Mapping[str, memoryview], /) -> None:
        """One was answered: its rows, the model's seconds, and the raw outputs by name."""

    def busy(self, seconds: float, /) -> None:
        """The model worked for so long, whatever came of it."""

    def waited(self, expected_s: float, waited_s: float, /) -> None:
        """How long the first request of a batch was expected to wait for its answer, and how long it did."""

    def split(self) -> None:
        """A batch failed and is tried again in halves."""

    def left(self, reason: str, /) -> None:
        """A request left the queue and was never computed: it "expired", was "cancelled" or "gave_way"."""


class Batcher:
    """Takes tickets, sends batches, settles every ticket exactly once.

    Batching is greedy: a batch is whatever waits when a host is free, so a lone request pays nothing and a busy host
    batches by itself. What is queued can be withdrawn; what was sent is computed, and a late answer is discarded.

    `soon` runs a callback after the events at hand are dealt with; `hung` is told of a host that overran. The
    hosts serve so many `fronts`, this one included.
    """

    def __init__(
        self,
        settings: Model,
        *,
        timer: Timer,
        soon: Callable[[Callable[[], None]], object],
        meter: Meter,
        hung: Callable[[Host], None],
        load_s: float = 0.0,
        fronts: int = 1,
    ) -> None:
        self._window_s = settings.batching.max_wait_ms / 1000
        self._most_rows = settings.batching.max_rows
        self._timeout_s = settings.predict_timeout_s
        self._timer = timer
        self._soon = soon
        self._meter = meter
        self._hung = hung
        self._queue = TicketQueue(settings.queue.rows, QUEUE_BYTES)
        self._suspects = Suspects()
        self._fleet = Fleet(timer.time(), 2.0 + 2.0 * load_s, settings.predict_timeout_s, fronts)
        self.forecast = Forecast(self._most_rows)
        self._admission = Admission(settings, timer, self._fleet, self._queue, self._suspects, self.forecast)
        self.admit = self._admission.admit
        self._arrived_at: float | None = None
        self._deadlines = Alarm(timer, self._expire)
        self._overruns = Alarm(timer, self._check_hosts)
        self._window = Alarm(timer, self._close_window)

    # ---------------------------------------------------------------- requests
    @property
    def queued_rows(self) -> int:
        return self._queue.rows

    @property
    def hosts(self) -> int:
        """How many hosts are attached."""
        return len(self._fleet)

    def capacity(self) -> Capacity | None:
        """What the hosts can do, as far as was seen of them."""
        return self.forecast.capacity(len(self._fleet))

    def submit(self, ticket: Ticket) -> None:
        """Queues a ticket. Raises as `admit` does."""
        ticket.expected_s = self.admit(ticket.deadline, ticket.rows.count, ticket.nbytes, high=ticket.high)
        self.push(ticket)

    def push(self, ticket: Ticket) -> None:
        """Queues a ticket that was just admitted."""
        for low in self._queue.push(ticket):
            self._meter.left("gave_way")
            low.fail(GaveWay())
        self._deadlines.wake_by(ticket.deadline)
        if not self._fleet:
            self._watch_hosts()
        now = ticket.queued_at
        if self._arrived_at is None:
            self._arrived_at = now
            self._soon(self._pump_arrived)
        elif self._queue.rows >= self._most_rows or now >= self._arrived_at + TURN_S:
            self._pump()

    def withdraw(self, ticket: Ticket) -> None:
        """The client went away: what is still queued is never computed."""
        self._fail([ticket], ClientGone, "cancelled")

    # ---------------------------------------------------------------- hosts
    def attach(self, host: Host) -> None:
        self._fleet.attach(host)
        self._admission.changed()
        self._soon(self._pump)

    def answered(self, host: Host, flight: Flight, answer: Answer, outputs: Outputs | None) -> None:
        """A host is done with a batch. One that failed is split until the culprit stands alone."""
        now = self._timer.time()
        self._admission.changed()
        tickets = flight.tickets
        if outputs is None and not answer.expired and len(tickets) > 1:
            self._suspects.failed(tickets)
            self._meter.split()
        elif outputs is not None:
            self._learn(flight, answer.seconds, now)
        self._pump()  # the host computes the next batch while this one's answers are written
        self._meter.busy(answer.seconds)
        if outputs is not None:
            hand_out(tickets, answer, outputs)
            self._meter.batch(flight.rows, answer.seconds, outputs.raw)
        elif answer.expired:
            self._fail(tickets, DeadlineExceeded)
        elif len(tickets) == 1:
            error = ModelFailed()
            error.add_note(answer.error or "")  # for the log: the client does not hear of the model's insides
            tickets[0].fail(error)

    def lost(self, host: Host, *, broken: bool = False, unread: bool = False) -> None:
        """A host is gone. Who was alone in its batch is taken for the cause, unless the host never took that batch;
        until those who now wait are through, requests run one at a time, so that a repeated offender harms nobody
        else."""
        self._detach(host)
        alone = len(held(host)) == 1 and not broken and not unread
        self._fail(held(host), partial(ModelFailed, ENDED) if alone else HostLost)
        if broken:
            self._hung(host)
        self._suspects.crashed(len(self._queue))
        self._pump()

    def close(self) -> None:
        """Fails whatever is left and lets go of the hosts."""
        for alarm in (self._deadlines, self._overruns, self._window):
            alarm.cancel()
        for host in self._fleet:
            self._detach(host)
            host.close()
            self._fail(held(host), HostLost)
        self._fail(self._waiting(), NotReady)

    def _detach(self, host: Host) -> None:
        self._fleet.detach(host, self._timer.time())
        self._watch_hosts()

    def _learn(self, flight: Flight, seconds: float, now: float) -> None:
        first = flight.tickets[0]
        high = sum([ticket.rows.count for ticket in flight.tickets if ticket.high]) / flight.rows
        late_s = None
        if first.expected_s:
            waited_s = now - first.queued_at
            late_s = waited_s - first.expected_s
            self._meter.waited(first.expected_s, waited_s)
        self.forecast.answered(flight.rows, seconds, now - flight.sent_at, high, late_s)

    # ---------------------------------------------------------------- batches
    def _pump_arrived(self) -> None:
        """Everything that arrived together goes together."""
        if self._arrived_at is not None:
            self.forecast.lagged(self._timer.time() - self._arrived_at)
            self._arrived_at = None
        self._pump()

    def _pump(self) -> None:
        while (self._queue or self._suspects) and (host := self._fleet.free()) is not None:
            now = self._timer.time()
            tickets = self._suspects.next() or self._next_queued(now)
            if not tickets:
                return
            for ticket in tickets:
                ticket.sent_at = now
            self._overruns.wake_by(now + self._timeout_s)
            flight = Flight(tickets, now)
            self._admission.sent(flight.rows, now)
            self._fleet.send(host, flight)

    def _next_queued(self, now: float) -> Sequence[Ticket]:
        """What waits, as far as it fits together."""
        if self._window_s and self._holds(now):
            return ()
        batch: list[Ticket] = []
        rows = size = 0
        most = 1 if self._suspects.alone else self._most_rows
        while (ticket := self._queue.first()) is not None:
            if ticket.deadline <= now:
                self._fail([ticket], DeadlineExceeded, "expired")
                continue
            rows += ticket.rows.count
            size += ticket.nbytes
            if batch and (rows > most or size > BATCH_BYTES or ticket.rows.shapes != batch[0].rows.shapes):
                break
            self._queue.remove(ticket)
            batch.append(ticket)
        self._suspects.went(len(batch))
        return batch

    def _holds(self, now: float) -> bool:
        """Whether the batch at hand is still to be filled."""
        first = self._queue.first()
        closes = first.queued_at + self._window_s if first else now
        if now >= closes or self._queue.rows >= self._most_rows:
            return False
        self._window.wake_by(closes)
        return True

    def _close_window(self, now: float) -> None:
        self._pump()

    # ---------------------------------------------------------------- time
    def _expire(self, now: float) -> float | None:
        """Fails what is overdue, wherever it is; the model is never called for what was still queued."""
        sent = [ticket for host in self._fleet for ticket in held(host)]
        unanswered = [*self._waiting(), *sent]
        overdue = [ticket for ticket in unanswered if ticket.deadline <= now]
        self._fail(overdue, DeadlineExceeded if self._fleet else _not_back, "expired")
        following = min((ticket.deadline for ticket in unanswered if not ticket.done), default=None)
        done = self._timer.time()
        return following and max(following, done + (done - now) * (1 / SEARCHING - 1))

    def _check_hosts(self, now: float) -> float | None:
        """Gives up on hosts that overran, and on waiting where no host comes back."""
        for host in self._fleet.overdue(now):
            self._detach(host)
            host.close()
            self._fail(held(host), PredictTimeout)
            self._hung(host)
        if not self._fleet and not self._fleet.hopes(now):
            self._fail(self._waiting(), HostLost)
        return self._fleet.next_check(now, waiting=bool(self._waiting()))

    def _watch_hosts(self) -> None:
        if (at := self._fleet.next_check(self._timer.time(), waiting=True)) is not None:
            self._overruns.wake_by(at)

    def _waiting(self) -> list[Ticket]:
        """Who is not with a host: the queue, and what is left of batches that failed."""
        return [*self._suspects.waiting(), *self._queue]

    def _fail(self, tickets: Sequence[Ticket], error: Callable[[], RequestError], reason: str = "lost") -> None:
        for ticket in tickets:
            if ticket.queued:
                self._queue.remove(ticket)
                self._meter.left(reason)
            ticket.fail(error())


def _not_back() -> NotReady:
    """Not that the model took too long: there was none to ask."""
    return NotReady("The model's process is being restarted, and was not back before the request's deadline.")
