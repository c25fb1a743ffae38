"""The queue of one model version, and the batches that are made of it."""

from collections.abc import Callable, Sequence
from functools import partial

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
from penstock.inference.again import Again
from penstock.inference.alarm import Alarm, Timer
from penstock.inference.fleet import Fleet
from penstock.inference.forecast import Capacity, Forecast
from penstock.inference.hosts import Flight, Host, held
from penstock.inference.meter import Meter
from penstock.inference.outputs import Outputs, hand_out
from penstock.inference.queue import TicketQueue
from penstock.inference.ticket import Ticket, throw
from penstock.inference.window import Window
from penstock.model.batch import Answer

QUEUE_BYTES = 64 * 2**20
ENDED = "The model's process ended while it held this request alone: on account of it, or killed from outside."
"""A front sees the end of a socket, and that looks the same however the process came to it."""
PATIENCE_S = 3.0  # beside what loading took twice: a process has to start, and the first restarts come within 2 s
AWAY = "The model's process is being restarted, and was not back soon enough."
NOT_BACK = "The model's process is being restarted, and was not back before the request's deadline."
WORTH_TELLING_S = 0.001
"""A batch that waited so long in its host, for those of other fronts, was still queued as far as its clients know."""
SEARCHING = 0.05
"""The share of the time that may go into looking for what is overdue, where much waits and much of it expires: what is
due by then is told a little later, all at once."""


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
        self._most_rows = settings.batching.max_rows
        self._heeds_priority = settings.queue.priority != "off"
        self._timeout_s = settings.predict_timeout_s
        self._timer = timer
        self._soon = soon
        self._meter = meter
        self._hung = hung
        self._queue = TicketQueue(settings.queue.rows, QUEUE_BYTES)
        self._again = Again()
        self._fleet = Fleet(timer.time(), PATIENCE_S + 2.0 * load_s, settings.predict_timeout_s, fronts)
        self.forecast = Forecast(self._most_rows)
        self._admission = Admission(settings, timer, self._fleet, self._queue, self._again, self.forecast)
        self.admit = self._admission.admit
        self.computed: Callable[[Sequence[Ticket], Outputs], object] = lambda tickets, outputs: None
        """Gets each batch when its tickets are answered."""
        self._arrived_at: float | None = None
        self._deadlines = Alarm(timer, self._expire)
        self._overruns = Alarm(timer, self._check_hosts)
        self._window = Window(settings.batching, timer, self._queue, self.forecast, self._pump)

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
        if self._window.is_asked_for:
            self._window.joined(ticket)
        self._deadlines.wake_by(ticket.deadline)
        if not self._fleet:
            self._watch_hosts()
        now = ticket.queued_at
        if self._arrived_at is None:
            self._arrived_at = now
            self._soon(self._pump_arrived)
        elif self._queue.rows >= self._most_rows or now >= self._arrived_at + TURN_S:
            self._pump()

    @property
    def is_idle(self) -> bool:
        """Whether a host is free and nobody waits for it."""
        return not self._queue and not self._again and self._fleet.free() is not None

    def send_apart(self, ticket: Ticket) -> None:
        """Has a host compute this ticket in a batch of its own, if `is_idle`.

        For what nobody waits for: it never stands in the queue, and goes behind all that does.
        """
        if self.is_idle and (host := self._fleet.free()) is not None:
            self._send(host, [ticket], self._timer.time())

    def withdraw(self, ticket: Ticket) -> None:
        """The client went away: what is still queued is never computed."""
        if not ticket.queued and any(ticket in held(host) for host in self._fleet):
            self._tell(ticket.leave, ClientGone())
        else:
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
        if answer.expired:
            self._again.regroup([ticket for ticket in tickets if ticket.deadline > now])
        elif outputs is None and len(tickets) > 1:
            self._again.halve(tickets)
            self._meter.split()
        elif outputs is not None:
            self._learn(flight, answer.seconds, now)
        self._pump()  # the host computes the next batch while this one's answers are written
        self._meter.busy(answer.seconds)
        if flight.begun_at - flight.sent_at > WORTH_TELLING_S:
            for ticket in tickets:
                ticket.sent_at = flight.begun_at
        if outputs is not None:
            for fault in hand_out(tickets, answer, outputs):
                self._soon(partial(throw, fault))
            self.computed(tickets, outputs)
            self._meter.batch(flight.rows, answer.seconds, outputs.raw)
        elif answer.expired:
            self._too_late([ticket for ticket in tickets if ticket.deadline <= now])
        elif len(tickets) == 1:
            error = ModelFailed()
            error.add_note(answer.error or "")  # for the log: the client does not hear of the model's insides
            tickets[0].fail(error)

    def lost(self, host: Host, *, broken: bool = False, unread: bool = False) -> None:
        """A host is gone. Who was alone in its batch is taken for the cause, unless the host never took that batch;
        until those who now wait are through, requests run one at a time, so that a repeated offender harms nobody
        else."""
        self._detach(host)
        self._queue.suspect_all()
        self._again.part()
        alone = len(held(host)) == 1 and not broken and not unread
        self._fail(held(host), partial(ModelFailed, ENDED) if alone else HostLost)
        if broken:
            self._hung(host)
        self._pump()

    def close(self) -> None:
        """Fails whatever is left and lets go of the hosts."""
        for waiting in (self._deadlines, self._overruns, self._window):
            waiting.cancel()
        for host in self._fleet:
            self._detach(host)
            host.close()
            self._fail(held(host), HostLost)
        self._fail(self._waiting(), NotReady)
        self._fleet.abandon()

    def _detach(self, host: Host) -> None:
        self._fleet.detach(host, self._timer.time())
        self._admission.changed()
        self._watch_hosts()

    def _learn(self, flight: Flight, seconds: float, now: float) -> None:
        first = flight.tickets[0]
        high = 0.0
        if self._heeds_priority:
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
        while (self._queue or self._again) and (host := self._fleet.free()) is not None:
            now = self._timer.time()
            is_again = self._again.is_next(others=bool(self._queue))
            if not is_again and self._window.holds(now):
                return
            tickets, overdue = self._again.next(now) if is_again else self._next_queued(now)
            if tickets:
                self._send(host, tickets, now)
            if overdue:  # told only now: who is told may ask for more, and this host is not free any more
                self._fail(overdue, DeadlineExceeded)

    def _send(self, host: Host, tickets: Sequence[Ticket], now: float) -> None:
        for ticket in tickets:
            ticket.sent_at = now
        self._overruns.wake_by(now + self._timeout_s)
        flight = Flight(tickets, now)
        self._admission.sent()
        self._fleet.send(host, flight)

    def _next_queued(self, now: float) -> tuple[Sequence[Ticket], Sequence[Ticket]]:
        """What waits, as far as it fits together; and what comes too late for that."""
        batch, overdue = self._queue.take(now, self._most_rows, BATCH_BYTES)
        self._window.went()
        for _ in overdue:
            self._meter.left("expired")
        return batch, overdue

    # ---------------------------------------------------------------- time
    def _expire(self, now: float) -> float | None:
        """Tells who is overdue, wherever it is; the model is never called for what was still queued."""
        waiting, sent = self._waiting(), [ticket for host in self._fleet for ticket in held(host)]
        unanswered = [*waiting, *sent]
        following = min((ticket.deadline for ticket in unanswered if ticket.deadline > now), default=None)
        searched_s = self._timer.time() - now
        self._fail([ticket for ticket in waiting if ticket.deadline <= now], self.too_late, "expired")
        for ticket in sent:
            if ticket.deadline <= now:
                self._tell(ticket.leave, self.too_late())
        return following and max(following, now + searched_s / SEARCHING)

    def too_late(self) -> RequestError:
        """For who was still waiting when its deadline passed. Where there was no model to ask, it is not that it took
        too long."""
        return DeadlineExceeded() if self._fleet else NotReady(NOT_BACK)

    def _check_hosts(self, now: float) -> float | None:
        """Gives up on hosts that overran, and on waiting where no host comes back."""
        for host in self._fleet.overdue(now):
            self._detach(host)
            host.close()
            self._fail(held(host), PredictTimeout)
            self._meter.busy(self._timeout_s)
            self._hung(host)
        if not self._fleet and not self._fleet.hopes(now):
            self._fail(self._waiting(), partial(HostLost, AWAY))
        return self._fleet.next_check(now, waiting=bool(self._waiting()))

    def _watch_hosts(self) -> None:
        if (at := self._fleet.next_check(self._timer.time(), waiting=True)) is not None:
            self._overruns.wake_by(at)

    def _waiting(self) -> list[Ticket]:
        """Who is not with a host: the queue, and what is left of batches that failed."""
        return [*self._again.waiting(), *self._queue]

    def _too_late(self, tickets: Sequence[Ticket]) -> None:
        """Their deadline passed, and the model was not called for them."""
        for ticket in tickets:
            self._meter.left("expired")
            self._tell(ticket.fail, DeadlineExceeded())

    def _fail(self, tickets: Sequence[Ticket], error: Callable[[], RequestError], reason: str = "lost") -> None:
        for ticket in tickets:
            if ticket.queued:
                self._queue.remove(ticket)
                self._meter.left(reason)
            self._tell(ticket.fail, error())

    def _tell(self, told: Callable[[RequestError], None], error: RequestError) -> None:
        """Whatever goes wrong with it, the next one is told, too."""
        try:
            told(error)
        except Exception as fault:  # noqa: BLE001  # which the event loop tells of
            self._soon(partial(throw, fault))
