"""The queue of one model version, and the batches that are made of it."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from penstock.config import Model
from penstock.errors import (
    ClientGone,
    DeadlineExceeded,
    HostLost,
    ModelFailed,
    NotReady,
    PredictTimeout,
    QueueFull,
    RequestError,
)
from penstock.inference.alarm import Alarm, Timer
from penstock.inference.hosts import Flight, Host
from penstock.inference.outputs import Outputs, hand_out
from penstock.inference.queue import TicketQueue
from penstock.inference.ticket import Ticket
from penstock.model.batch import Answer

BATCH_BYTES = 16 * 2**20
QUEUE_BYTES = 64 * 2**20


class Meter(Protocol):
    """What hears of every batch that was answered: its rows, the model's seconds, and the raw outputs by name."""

    def batch(self, rows: int, seconds: float, raw: Mapping[str, memoryview], /) -> None: ...


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
        self._settings = settings
        self._wait_s = settings.batching.max_wait_ms / 1000
        self._timer = timer
        self._soon = soon
        self._meter = meter
        self._hung = hung
        self._patience = 2.0 + 2.0 * load_s
        self._queue = TicketQueue(settings.queue.rows, QUEUE_BYTES)
        self._again: deque[Sequence[Ticket]] = deque()
        self._alone = 0
        self._hosts: list[Host] = []
        self._hostless_since: float | None = timer.time()
        self._pumping = False
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
        return len(self._hosts)

    def submit(self, ticket: Ticket) -> None:
        """Queues a ticket. Raises QueueFull, or NotReady where no host is there or soon to come."""
        if not self._hosts and not self._patient(self._timer.time()):
            raise NotReady
        if not self._queue.takes(ticket):
            raise QueueFull
        self._queue.push(ticket)
        self._deadlines.wake_by(ticket.deadline)
        if not self._hosts:
            self._overruns.wake_by(self._timer.time() + self._patience)
        self._pump_soon()

    def withdraw(self, ticket: Ticket) -> None:
        """The client went away: what is still queued is never computed."""
        self._fail([ticket], ClientGone)

    # ---------------------------------------------------------------- hosts
    def attach(self, host: Host) -> None:
        self._hosts.append(host)
        self._hostless_since = None
        self._pump_soon()

    def answered(self, flight: Flight, answer: Answer, outputs: Outputs | None) -> None:
        """A host is done with a batch. One that failed is split until the culprit stands alone."""
        if outputs is None and len(flight.tickets) > 1:
            half = len(flight.tickets) // 2
            self._again += (flight.tickets[:half], flight.tickets[half:])
        self._pump()  # the host computes the next batch while this one's answers are written
        if outputs is not None:
            hand_out(flight.tickets, answer, outputs)
            self._meter.batch(flight.rows, answer.seconds, outputs.raw)
        elif len(flight.tickets) == 1:
            error = ModelFailed()
            error.add_note(answer.error or "")  # for the log: the client does not hear of the model's insides
            flight.tickets[0].fail(error)

    def lost(self, host: Host, *, broken: bool = False, unread: bool = False) -> None:
        """A host is gone. Who was alone in the batch that ended it is to blame, unless the host never took that batch;
        until those who now wait are through, requests run one at a time, so that a repeated offender harms nobody
        else."""
        self._detach(host)
        for flight in host.flights:
            alone = len(flight.tickets) == 1 and not broken and not unread
            for ticket in flight.tickets:
                ticket.fail(ModelFailed("This request ended the model's process.") if alone else HostLost())
        if broken:
            self._hung(host)
        self._alone = len(self._queue)
        self._again = deque([ticket] for group in self._again for ticket in group)
        self._pump()

    def close(self) -> None:
        """Fails whatever is left and lets go of the hosts."""
        for alarm in (self._deadlines, self._overruns, self._window):
            alarm.cancel()
        for host in list(self._hosts):
            self._detach(host)
            host.close()
            self._fail([t for flight in host.flights for t in flight.tickets], HostLost)
        self._fail(self._waiting(), NotReady)

    def _detach(self, host: Host) -> None:
        if host in self._hosts:
            self._hosts.remove(host)
        if not self._hosts:
            self._hostless_since = self._timer.time()
            self._overruns.wake_by(self._hostless_since + self._patience)

    # ---------------------------------------------------------------- batches
    def _pump_soon(self) -> None:
        """Everything that arrived together goes together."""
        if not self._pumping:
            self._pumping = True
            self._soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        while self._queue or self._again:
            host = self._free_host()
            if host is None:
                return
            tickets = self._take(self._timer.time())
            if not tickets:
                return
            self._send(host, tickets)

    def _free_host(self) -> Host | None:
        free = [host for host in self._hosts if len(host.flights) < host.depth]
        if len(free) > 1:
            return min(free, key=lambda host: len(host.flights))
        return free[0] if free else None

    def _send(self, host: Host, tickets: Sequence[Ticket]) -> None:
        now = self._timer.time()
        for ticket in tickets:
            ticket.sent_at = now
        self._overruns.wake_by(now + self._settings.predict_timeout_s)
        host.send(Flight(tickets, now))

    def _take(self, now: float) -> Sequence[Ticket]:
        """The next batch: the half of a failed one, or what waits, as far as it fits together."""
        while self._again:
            if group := [ticket for ticket in self._again.popleft() if not ticket.done]:
                return group
        if self._wait_s and self._holds(now):
            return ()
        return self._fill(now)

    def _fill(self, now: float) -> Sequence[Ticket]:
        batch: list[Ticket] = []
        rows = size = 0
        most = 1 if self._alone else self._settings.batching.max_rows
        while (ticket := self._queue.first()) is not None:
            if ticket.deadline <= now:
                self._fail([ticket], DeadlineExceeded)
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
        if now >= closes or self._queue.rows >= self._settings.batching.max_rows:
            return False
        self._window.wake_by(closes)
        return True

    def _close_window(self, now: float) -> None:
        self._pump()

    # ---------------------------------------------------------------- time
    def _expire(self, now: float) -> float | None:
        """Fails what is overdue, wherever it is; the model is never called for what was still queued."""
        sent = [ticket for host in self._hosts for flight in host.flights for ticket in flight.tickets]
        unanswered = [*self._waiting(), *sent]
        overdue = [ticket for ticket in unanswered if ticket.deadline <= now]
        self._fail(overdue, DeadlineExceeded if self._hosts else _not_back)
        return min((ticket.deadline for ticket in unanswered if not ticket.done), default=None)

    def _check_hosts(self, now: float) -> float | None:
        """Gives up on hosts that overran, and on waiting where no host comes back."""
        timeout = self._settings.predict_timeout_s
        for host in list(self._hosts):
            if host.flights and host.flights[0].sent_at + timeout <= now:
                self._detach(host)
                host.close()
                self._fail([t for flight in host.flights for t in flight.tickets], PredictTimeout)
                self._hung(host)
        if not self._hosts and not self._patient(now):
            self._fail(self._waiting(), HostLost)
        due = [host.flights[0].sent_at + timeout for host in self._hosts if host.flights]
        if self._waiting() and self._hostless_since is not None:
            due.append(self._hostless_since + self._patience)
        return min(due, default=None)

    def _waiting(self) -> list[Ticket]:
        """Who is not with a host: the queue, and what is left of batches that failed."""
        return [*(ticket for group in self._again for ticket in group if not ticket.done), *self._queue]

    def _patient(self, now: float) -> bool:
        """A host that has just gone is restarted at once: requests may wait for it for a while."""
        return self._hostless_since is not None and now < self._hostless_since + self._patience

    def _fail(self, tickets: Sequence[Ticket], error: Callable[[], RequestError]) -> None:
        for ticket in tickets:
            ticket.fail(error())
            if ticket.queued:
                self._queue.remove(ticket)


def _not_back() -> NotReady:
    """Not that the model took too long: there was none to ask."""
    return NotReady("The model's process is being restarted, and was not back before the request's deadline.")
