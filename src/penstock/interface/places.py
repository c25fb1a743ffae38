"""How many connections a front holds, and which are let in beyond that.

A process that runs out of descriptors cannot accept, open a file or take a socket from its supervisor, and the
event loop gives up a listener that fails. So connections are capped well under the limit, and above the cap a few
guests are let in for one request each: whoever asks for health or figures gets them, everybody else a 503.
"""

import resource
from collections.abc import Collection
from math import inf
from typing import Any

from penstock.errors import TooManyConnections
from penstock.interface.lane import Lane
from penstock.interface.protocol import Protocol
from penstock.interface.scope import clock

GUESTS = 64
GUEST_S = 1.0  # in which a guest must have asked
OWN = 128  # descriptors that are not connections: listeners, hosts, logs, libraries, handshakes, connections that close
FEWEST = 8
ALWAYS_ANSWERED = (b"/health", b"/ready", b"/metrics")


class Places:
    """Counts connections by `connections`, which holds all of them; `most` of them are no guests."""

    def __init__(self, lane: Lane, connections: Collection[object]) -> None:
        self.most = capacity(lane.limits.connections, descriptor_limit())
        self._connections = connections
        self._guests: dict[Guest, None] = {}  # in the order in which they came

    @property
    def full(self) -> bool:
        return len(self._connections) - len(self._guests) >= self.most

    def come(self, guest: "Guest") -> None:
        """Takes in a guest, in place of the oldest one if there are too many: who asks at once is served first."""
        self._guests[guest] = None
        if len(self._guests) > GUESTS:
            oldest = next(iter(self._guests))
            del self._guests[oldest]
            oldest.transport.abort()

    def go(self, guest: "Guest") -> None:
        self._guests.pop(guest, None)


class Guest(Protocol):
    """A connection beyond those that the front holds, for one request."""

    def __init__(self, *args: Any, places: Places, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places
        self._due = clock() + min(GUEST_S, self._limits.header_s)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._places.come(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._places.go(self)

    def on_message_begin(self) -> None:
        due = self._due
        super().on_message_begin()
        self._due = due

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        if self.url.partition(b"?")[0] not in ALWAYS_ANSWERED:
            self._turn_away(TooManyConnections())
            return
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.keep_alive = False


def capacity(wanted: int, descriptors: float) -> int:
    """How many of the `wanted` connections `descriptors` allow for."""
    return int(min(wanted, max(FEWEST, descriptors - GUESTS - OWN)))


def descriptor_limit() -> float:
    """How many descriptors this process may have; the supervisor has raised it as far as it may."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if soft == resource.RLIM_INFINITY else soft
