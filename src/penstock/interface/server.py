"""The HTTP server of a front: uvicorn's protocol, and a life that only the supervisor rules.

uvicorn's own server listens to signals, closes idle connections on which a request may just be on its way, and waits
without limit. This one accepts from listeners handed to it, drains, and ends.
"""

import asyncio
import contextlib
import socket
import time
from email.utils import formatdate
from functools import partial
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from penstock.interface.connection import CLOSE, SWEEP_S
from penstock.interface.lane import Lane
from penstock.interface.places import GUESTS, Guest, Places
from penstock.interface.protocol import Protocol
from penstock.interface.scope import clock
from penstock.interface.tls import Certificate, Handshakes, Listening

BACKLOG = 2048
SETTLE_S = 0.1  # for connections whose handshake is under way when the listeners are about to close


class HttpServer:
    """Serves `app` on any number of listeners, on the running event loop: over TLS where there is a certificate."""

    def __init__(self, app: Any, lane: Lane, certificate: Certificate | None = None) -> None:
        config = uvicorn.Config(
            app,
            http=Protocol,
            interface="asgi3",
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        config.load()
        self._state = ServerState()
        self.places = Places(lane, self._state.connections)
        arguments: dict[str, Any] = {"config": config, "server_state": self._state, "app_state": {}, "lane": lane}
        self._hold = partial(Protocol, **arguments)
        self._invite = partial(Guest, **arguments, places=self.places)
        self._loop = asyncio.get_running_loop()
        self._listeners: dict[int, tuple[socket.socket, asyncio.AbstractServer | Listening]] = {}
        self._handshakes = Handshakes(certificate, lane.limits, self._room, self._join) if certificate else None
        self._always: list[tuple[bytes, bytes]] = []
        self._stopping = False
        self._tick()

    @property
    def connections(self) -> int:
        return len(self._state.connections)

    async def listen(self, slot: int, listener: socket.socket) -> None:
        """Accepts connections from one listener more, that of `slot`."""
        listener.setblocking(False)
        if self._handshakes is not None:
            self._listeners[slot] = listener, self._handshakes.listen(listener)
            return
        server = await self._loop.create_server(self._connect, sock=listener, backlog=BACKLOG)
        self._listeners[slot] = listener, server

    def leave(self, slot: int) -> None:
        """Leaves the listener of `slot` to another process that holds it, and what stands in its queue too."""
        if slot in self._listeners:
            self._listeners.pop(slot)[1].close()

    async def retire(self, linger_s: float, finish_s: float) -> int:
        """Leaves all listeners to others and serves on until nobody is connected; returns how many were cut.

        A connection that is silent for `linger_s` is closed. Until then it is not, since a request may be on its way
        on it: one in use gets its `connection: close` with an answer instead.
        """
        self.drain()
        for slot in list(self._listeners):
            self.leave(slot)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(linger_s):
                await self._empty()
        return await self.stop(finish_s)

    def drain(self) -> None:
        """Serves on, but closes each connection with its next answer."""
        if not self._always:
            self._always = [CLOSE]
            self._set_headers()

    async def stop(self, finish_s: float) -> int:
        """Takes no more connections and gives those there are `finish_s` seconds; returns how many were cut.

        The supervisor has seen to it that the kernel begins no more connections with the listeners.
        """
        self.drain()
        self._stopping = True
        self._shut_down()
        if self._listeners:
            await asyncio.sleep(SETTLE_S)
        for slot, (listener, _) in list(self._listeners.items()):
            await self._take_in(listener)
            self.leave(slot)
        self._shut_down()  # those that came since
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(finish_s):
                await self._empty()
        return sum(connection.busy for connection in self._connections())

    def _shut_down(self) -> None:
        for connection in self._connections():
            connection.shutdown()

    async def _empty(self) -> None:
        """Waits until nobody is connected; uvicorn has nothing that would say so."""
        while self._state.connections or self._handshakes:  # noqa: ASYNC110 # hence the looking
            await asyncio.sleep(0.02)

    async def _take_in(self, listener: socket.socket) -> None:
        """Whoever stands in the accept queue was connected as far as they know, and is served like the others."""
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            if self._handshakes is not None:
                self._handshakes.begin(accepted)
            else:
                await self._loop.connect_accepted_socket(self._connect, accepted)

    def _join(self, transport: Any) -> None:
        """The handshake is through: from here on it is a connection like any other."""
        protocol = self._connect()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._stopping:
            protocol.shutdown()

    def _room(self) -> int:
        """How many handshakes there may be: who asks at once is served first, as among guests."""
        return max(GUESTS, self.places.most - len(self._state.connections))

    def _connect(self) -> Protocol:
        """Whoever is to have the connection that was accepted."""
        return self._invite() if self.places.full else self._hold()

    def _tick(self) -> None:
        """Ends overdue connections and keeps the date."""
        self._loop.call_later(SWEEP_S, self._tick)
        now = clock()
        for connection in self._connections():
            connection.sweep(now)
        self._set_headers()

    def _connections(self) -> list[Protocol]:
        return [connection for connection in self._state.connections if isinstance(connection, Protocol)]

    def _set_headers(self) -> None:
        date = formatdate(time.time(), usegmt=True).encode("ascii")
        self._state.default_headers = [(b"date", date), *self._always]
