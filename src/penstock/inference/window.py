"""The time for which a batch is held back so that more may join it, where that is asked for."""

import math
from collections.abc import Callable

from penstock.config import Batching
from penstock.inference.alarm import Alarm, Timer
from penstock.inference.forecast import Forecast
from penstock.inference.queue import TicketQueue
from penstock.inference.ticket import Ticket


class Window:
    """Opens with the first request of a batch and closes after `max_wait_ms`, when the batch is full, or when one of
    those that wait would else not be answered before its deadline. `closed` is called when it closes by itself."""

    def __init__(
        self, settings: Batching, timer: Timer, queue: TicketQueue, forecast: Forecast, closed: Callable[[], object]
    ) -> None:
        self.is_asked_for = settings.max_wait_ms > 0
        self._longest_s = settings.max_wait_ms / 1000
        self._most_rows = settings.max_rows
        self._queue = queue
        self._forecast = forecast
        self._closed = closed
        self._latest = math.inf
        self._alarm = Alarm(timer, self._ring)

    def joined(self, ticket: Ticket) -> None:
        """A request was queued."""
        self._latest = min(self._latest, self._latest_for(ticket))

    def went(self) -> None:
        """A batch was made of what waited."""
        if self.is_asked_for:
            self._latest = min(map(self._latest_for, self._queue), default=math.inf)

    def holds(self, now: float) -> bool:
        """Whether the batch at hand is still to be filled."""
        first = self._queue.first()
        if not self.is_asked_for or first is None or self._queue.rows >= self._most_rows:
            return False
        closes = min(first.queued_at + self._longest_s, self._latest)
        if now >= closes:
            return False
        self._alarm.wake_by(closes)
        return True

    def cancel(self) -> None:
        """Nothing is to be made of what waits any more."""
        self._alarm.cancel()

    def _latest_for(self, ticket: Ticket) -> float:
        """When this one has to go: with time for a full batch, and with half of its own."""
        spare_s = self._forecast.full_s + self._forecast.margin_s
        return min(ticket.deadline - spare_s, (ticket.queued_at + ticket.deadline) / 2)

    def _ring(self, now: float) -> None:
        self._closed()
