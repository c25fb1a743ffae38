"""The queue of one model version, and the batches that are made of it."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
    QueueFull,
    RequestError,
    WaitTooLong,
)
from penstock.inference.alarm import Alarm, Timer
from penstock.inference.fleet import Fleet
from penstock.inference.forecast import Capacity, Forecast
from penstock.inference.hosts import Flight, Host
from penstock.inference.outputs import Outputs, hand_out
from penstock.inference.queue import TicketQueue
from penstock.inference.ticket import Ticket
from penstock.model.batch import Answer

BATCH_BYTES = 16 * 2**20
QUEUE_BYTES = 64 * 2**20
LONGEST_RETRY_S = 60
ENDED = "The model's process ended while it held this request alone: on account of it, or killed from outside."
"""A front sees the end of a socket, and that looks the same however the process came to it."""
TURN_S = 0.002
"""A turn of the event loop should take no longer. Where thousands of connections have something to say it does: then
hosts are looked after in the middle of it, or else they would stand idle while requests for them are refused."""


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

    `soon` runs a callback after the events at hand are dealt with; `hung` is told of a host that overran.
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
    ) -> None:
        self._wait_s = settings.batching.max_wait_ms / 1000
        self._most_rows = settings.batching.max_rows
        self._timeout_s = settings.predict_timeout_s
        self._timer = timer
        self._soon = soon
        self._meter = meter
        self._hung = hung
        self._queue = TicketQueue(settings.queue.rows, QUEUE_BYTES)
        self._again: deque[Sequence[Ticket]] = deque()
        self._alone = 0
        self._fleet = Fleet(timer.time(), 2.0 + 2.0 * load_s, settings.predict_timeout_s)
        self._busy_until = 0.0
        self.forecast = Forecast(self._most_rows)
        self._arrived_at: float | None = None
        self._look_at = 0.0
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

    def admit(self, deadline: float, rows: int = 1, nbytes: int = 0, *, high: bool = False) -> float:
        """How many seconds such a request would wait for its answer; 0 where it has time enough, or nothing is known.

        Raises what it would be refused with: DeadlineExceeded, WaitTooLong, QueueFull, or NotReady where no host is
        there or soon to come. A host that is free takes a batch whatever is expected: else a wrong expectation would
        never be put right.
        """
        now = self._timer.time()
        if now >= self._look_at:
            self._look_at = now + TURN_S
            self._fleet.look()
        expected_s = 0.0
        if deadline <= now:
            raise DeadlineExceeded
        if not self._fleet:
            if not self._fleet.hopes(now):
                raise NotReady
        elif self._queue and self._has_time(now, deadline, rows, nbytes) and self._queue.takes(rows, nbytes):
            return 0.0
        elif not self._goes_next(rows):
            expected_s = self._expected_s(now, rows, nbytes, high=high)
        surely_s = expected_s and expected_s + self.forecast.margin_s
        if now + surely_s > deadline:
            raise WaitTooLong(retry_after=_whole_seconds(now + surely_s - deadline))
        if not self._queue.takes(rows, nbytes, high=high):
            raise QueueFull(retry_after=_whole_seconds(expected_s))
        return expected_s

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

    def _goes_next(self, rows: int) -> bool:
        """Whether a host is free for a batch that has room for so many rows."""
        return (not self._queue or self._queue.rows + rows <= self._most_rows) and self._fleet.free() is not None

    def _has_time(self, now: float, deadline: float, rows: int, nbytes: int) -> bool:
        """Whether a request has so much time that there is no need to look closer: as nearly all have."""
        if self._again or self._alone or nbytes * self._most_rows > BATCH_BYTES * rows:
            return False
        batches = (self._queue.rows + rows) // self._most_rows + 2
        forecast = self.forecast
        slowest_s = batches * forecast.full_s + forecast.lag_s + forecast.margin_s
        return max(now, self._busy_until) + slowest_s < deadline

    def _expected_s(self, now: float, rows: int, nbytes: int, *, high: bool) -> float:
        again = sum([ticket.rows.count for group in self._again for ticket in group])
        most = self._most_rows
        if nbytes * most > BATCH_BYTES * rows:
            most = max(1, BATCH_BYTES * rows // nbytes)
        return self.forecast.answer_s(
            again + self._queue.rows_before(high=high),
            rows,
            most=most,
            apart=len(self._again) + self._alone,
            hosts=len(self._fleet),
            free_in_s=self._fleet.free_in_s(now, self.forecast),
            high=high,
        )

    # ---------------------------------------------------------------- hosts
    def attach(self, host: Host) -> None:
        self._fleet.attach(host)
        self._soon(self._pump)

    def answered(self, host: Host, flight: Flight, answer: Answer, outputs: Outputs | None) -> None:
        """A host is done with a batch. One that failed is split until the culprit stands alone."""
        now = self._timer.time()
        tickets = flight.tickets
        if outputs is None and not answer.expired and len(tickets) > 1:
            self._again += (tickets[: len(tickets) // 2], tickets[len(tickets) // 2 :])
            self._meter.split()
        elif outputs is not None:
            self._learn(flight, answer.seconds, now)
        if host.flights:
            host.flights[0].begun_at = now
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
        for flight in host.flights:
            alone = len(flight.tickets) == 1 and not broken and not unread
            for ticket in flight.tickets:
                ticket.fail(ModelFailed(ENDED) if alone else HostLost())
        if broken:
            self._hung(host)
        self._alone = len(self._queue)
        self._again = deque([ticket] for group in self._again for ticket in group)
        self._pump()

    def close(self) -> None:
        """Fails whatever is left and lets go of the hosts."""
        for alarm in (self._deadlines, self._overruns, self._window):
            alarm.cancel()
        for host in self._fleet:
            self._detach(host)
            host.close()
            self._fail([t for flight in host.flights for t in flight.tickets], HostLost)
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
        self.forecast.answered(flight.rows, seconds, now - flight.begun_at, high, late_s)

    # ---------------------------------------------------------------- batches
    def _pump_arrived(self) -> None:
        """Everything that arrived together goes together."""
        if self._arrived_at is not None:
            self.forecast.lagged(self._timer.time() - self._arrived_at)
            self._arrived_at = None
        self._pump()

    def _pump(self) -> None:
        while (self._queue or self._again) and (host := self._fleet.free()) is not None:
            now = self._timer.time()
            tickets = self._next_again() or self._next_queued(now)
            if not tickets:
                return
            for ticket in tickets:
                ticket.sent_at = now
            self._overruns.wake_by(now + self._timeout_s)
            flight = Flight(tickets, now)
            self._busy_until = max(self._busy_until, now + self.forecast.batch_s(flight.rows))
            self._fleet.send(host, flight)

    def _next_again(self) -> Sequence[Ticket]:
        """The half of a failed batch."""
        while self._again:
            if group := [ticket for ticket in self._again.popleft() if not ticket.done]:
                return group
        return ()

    def _next_queued(self, now: float) -> Sequence[Ticket]:
        """What waits, as far as it fits together."""
        if self._wait_s and self._holds(now):
            return ()
        batch: list[Ticket] = []
        rows = size = 0
        most = 1 if self._alone else self._most_rows
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
        self._alone = max(0, self._alone - len(batch))
        return batch

    def _holds(self, now: float) -> bool:
        """Whether the batch at hand is still to be filled."""
        first = self._queue.first()
        closes = first.queued_at + self._wait_s if first else now
        if now >= closes or self._queue.rows >= self._most_rows:
            return False
        self._window.wake_by(closes)
        return True

    def _close_window(self, now: float) -> None:
        self._pump()

    # ---------------------------------------------------------------- time
    def _expire(self, now: float) -> float | None:
        """Fails what is overdue, wherever it is; the model is never called for what was still queued."""
        sent = [ticket for host in self._fleet for flight in host.flights for ticket in flight.tickets]
        unanswered = [*self._waiting(), *sent]
        overdue = [ticket for ticket in unanswered if ticket.deadline <= now]
        self._fail(overdue, DeadlineExceeded if self._fleet else _not_back, "expired")
        return min((ticket.deadline for ticket in unanswered if not ticket.done), default=None)

    def _check_hosts(self, now: float) -> float | None:
        """Gives up on hosts that overran, and on waiting where no host comes back."""
        for host in self._fleet.overdue(now):
            self._detach(host)
            host.close()
            self._fail([t for flight in host.flights for t in flight.tickets], PredictTimeout)
            self._hung(host)
        if not self._fleet and not self._fleet.hopes(now):
            self._fail(self._waiting(), HostLost)
        return self._fleet.next_check(waiting=bool(self._waiting()))

    def _watch_hosts(self) -> None:
        if (at := self._fleet.next_check(waiting=True)) is not None:
            self._overruns.wake_by(at)

    def _waiting(self) -> list[Ticket]:
        """Who is not with a host: the queue, and what is left of batches that failed."""
        return [*(ticket for group in self._again for ticket in group if not ticket.done), *self._queue]

    def _fail(self, tickets: Sequence[Ticket], error: Callable[[], RequestError], reason: str = "lost") -> None:
        for ticket in tickets:
            if ticket.queued:
                self._queue.remove(ticket)
                self._meter.left(reason)
            ticket.fail(error())


def _not_back() -> NotReady:
    """Not that the model took too long: there was none to ask."""
    return NotReady("The model's process is being restarted, and was not back before the request's deadline.")


def _whole_seconds(wait_s: float) -> int:
    return min(max(1, math.ceil(wait_s)), LONGEST_RETRY_S)
