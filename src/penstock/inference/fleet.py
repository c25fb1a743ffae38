"""The hosts of one model version: who is free, who overran, and whether one is soon to come."""

from collections.abc import Iterator

from penstock.inference.forecast import Forecast
from penstock.inference.hosts import Flight, Host


class Fleet:
    """Hosts, the one that was least lately sent a batch first.

    A host that has just gone is restarted at once: for `patience_s` after the last one went, one is soon to come. A
    batch may take `timeout_s` from when its host begins it, which is when those of the other `fronts` are done. All
    times are seconds of one monotonic clock.
    """

    def __init__(self, now: float, patience_s: float, timeout_s: float, fronts: int = 1) -> None:
        self._hosts: list[Host] = []
        self._patience_s = patience_s
        self._timeout_s = timeout_s
        self._turns_s = fronts * timeout_s
        self._empty_since: float | None = now

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[Host]:
        return iter(tuple(self._hosts))

    def attach(self, host: Host) -> None:
        self._hosts.append(host)
        self._empty_since = None

    def detach(self, host: Host, now: float) -> None:
        """Forgets a host, if it is not forgotten."""
        if host in self._hosts:
            self._hosts.remove(host)
            if not self._hosts:
                self._empty_since = now

    def abandon(self) -> None:
        """No host is to come any more."""
        self._empty_since = None

    def free(self) -> Host | None:
        """The host that has nothing to do; of several the one that was least lately chosen."""
        for host in self._hosts:
            if host.flight is None:
                return host
        return None

    def send(self, host: Host, flight: Flight) -> None:
        """Hands a batch to one of the hosts."""
        if len(self._hosts) > 1:
            self._hosts.remove(host)
            self._hosts.append(host)
        host.send(flight)

    def look(self) -> None:
        """Takes the answers that are there."""
        for host in self:
            if host.flight is not None:
                host.look()

    def free_in_s(self, now: float, forecast: Forecast) -> float:
        """Until one of them is expected to take another batch."""
        return max(0.0, min((_done_at(host, forecast) for host in self._hosts), default=now) - now)

    def busy_until(self, forecast: Forecast) -> float:
        """When all of them are expected to be done with what they hold."""
        return max([_done_at(host, forecast) for host in self._hosts], default=0.0)

    def hopes(self, now: float) -> bool:
        """Whether there is none, and one is soon to come."""
        return self._empty_since is not None and now < self._empty_since + self._patience_s

    def overdue(self, now: float) -> list[Host]:
        """Those that have not answered in time."""
        return [host for host in self._hosts if host.flight and self._due_at(host, host.flight, now) <= now]

    def next_check(self, now: float, *, waiting: bool) -> float | None:
        """When to look again for those that overran, or, while somebody is `waiting`, whether there is still hope."""
        due = [self._due_at(host, host.flight, now) for host in self._hosts if host.flight]
        if waiting and self._empty_since is not None:
            due.append(self._empty_since + self._patience_s)
        return min(due, default=None)

    def _due_at(self, host: Host, flight: Flight, now: float) -> float:
        """Until when the host has time, as far as can be said `now`.

        One that has not begun is at the batch of another front, which will find out if it hangs. But a stopped one
        never begins, so that it is given a turn for each front and no more.
        """
        soonest = flight.sent_at + self._timeout_s
        if now < soonest:
            return soonest
        latest = flight.sent_at + self._turns_s
        begun_at = host.begun_at()
        return min(now + self._timeout_s, latest) if begun_at is None else min(begun_at, latest) + self._timeout_s


def _done_at(host: Host, forecast: Forecast) -> float:
    """When the host is done with what it holds; long ago where that is nothing."""
    return host.flight.sent_at + forecast.batch_s(host.flight.rows) if host.flight else 0.0
