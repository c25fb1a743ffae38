"""TLS, as a front speaks it: the certificate in force, and the handshakes that are under way."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from penstock.config import Limits
from penstock.model.tls import Pair, context_of

SHORTEST_S = 0.001  # uvloop wants more than nothing
BREATH_S = 1.0  # until it is tried again to accept, where that failed


class Certificate:
    """What newcomers are shown. Who is connected already does not notice that it is exchanged."""

    def __init__(self, pair: Pair) -> None:
        self.context = self._shown = context_of(pair)
        self.context.sni_callback = self._turn

    def take(self, pair: Pair) -> None:
        """A context of its own: loaded into one that has another kind of key, that key would be shown still."""
        self._shown = context_of(pair)

    def _turn(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """OpenSSL asks this in every handshake, also where the client names no server."""
        connection.context = self._shown


class Newcomer(asyncio.Protocol):
    """Has a connection until its handshake is through, when `join` finds it a protocol for good."""

    def __init__(self, join: Callable[[Any], object]) -> None:
        self._join = join

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._join(transport)


class Handshakes:
    """Accepts connections and shakes hands: at most `most()` at a time, in place of the oldest one if there are more.

    asyncio's own server would do so without a bound, and give up its listener where descriptors run out by it.
    """

    def __init__(
        self, certificate: Certificate, limits: Limits, most: Callable[[], int], join: Callable[[Any], object]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._certificate = certificate
        self._limits = limits
        self._most = most
        self._join = join
        self._under_way: dict[asyncio.Task[None], None] = {}  # in the order in which they came

    def __len__(self) -> int:
        return len(self._under_way)

    def listen(self, listener: socket.socket) -> "Listening":
        return Listening(self._loop, listener, self.begin)

    def begin(self, accepted: socket.socket) -> None:
        """Shakes hands with who has just been accepted."""
        while len(self._under_way) >= self._most():
            oldest = next(iter(self._under_way))
            del self._under_way[oldest]
            oldest.cancel()
        task = self._loop.create_task(self._shake(accepted))
        self._under_way[task] = None
        task.add_done_callback(self._forget)

    async def _shake(self, accepted: socket.socket) -> None:
        """A client that speaks no TLS, or does not get on with it, is hung up on; that is all there is to say of it."""
        with suppress(OSError):
            await self._loop.connect_accepted_socket(
                lambda: Newcomer(self._join),
                accepted,
                ssl=self._certificate.context,
                ssl_handshake_timeout=max(self._limits.header_s, SHORTEST_S),
                ssl_shutdown_timeout=max(self._limits.send_s, SHORTEST_S),
            )

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)


class Listening:
    """Accepts from a listener until it is closed."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: socket.socket, begin: Callable[[socket.socket], object]
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._begin = begin
        self._open = True
        self._resume()

    def close(self) -> None:
        self._open = False
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _resume(self) -> None:
        if self._open:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            self._begin(self._listener.accept()[0])
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the client has gone
        except OSError:  # no descriptors, no memory: the listener would stay readable
            self._loop.remove_reader(self._listener)
            self._loop.call_later(BREATH_S, self._resume)
