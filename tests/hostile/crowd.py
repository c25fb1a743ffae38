"""A crowd of slow sockets: silent ones, some that send a byte now and then, some that do not take their answers."""

import asyncio
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

HEAD = b"POST /models/sum/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BATCH = b'{"batch":[' + b",".join([b"[1,2]"] * 50) + b"]}"
UNREAD = HEAD.replace(b"predict", b"predict-batch") + b"content-length: %d\r\n\r\n" % len(BATCH) + BATCH


class Crowd:
    """`each` sockets of every kind, opened at once. `lived` tells for how many seconds those of a kind were held."""

    def __init__(self, port: int, each: int, every_s: float = 0.05) -> None:
        self.lived: dict[str, list[float]] = defaultdict(list)
        self.kinds: list[Callable[[socket.socket], Awaitable[None]]] = [
            self.silent, self.slow_head, self.slow_body, self.unread, self.unread_pipeline,
        ]  # fmt: skip
        self._port = port
        self._each = each
        self._every_s = every_s

    async def come_and_go(self) -> None:
        """Until the server has ended every one of them."""
        await asyncio.gather(*(self._one(kind) for kind in self.kinds for _ in range(self._each)))

    async def stay(self, within_s: float = 0.0) -> None:
        """They come one after the other within so long, and each that is ended comes again, for ever."""
        crowd = [kind for _ in range(self._each) for kind in self.kinds]
        await asyncio.gather(*(self._again(kind, within_s * i / len(crowd)) for i, kind in enumerate(crowd)))

    async def _again(self, kind: Callable[[socket.socket], Awaitable[None]], after_s: float) -> None:
        await asyncio.sleep(after_s)
        while True:
            await self._one(kind)

    async def _one(self, kind: Callable[[socket.socket], Awaitable[None]]) -> None:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self._port))
            began = time.monotonic()
            try:
                await kind(client)
            except (ConnectionError, TimeoutError):
                pass
            self.lived[kind.__name__].append(time.monotonic() - began)

    # ---------------------------------------------------------------- the kinds
    async def silent(self, client: socket.socket) -> None:
        await asyncio.get_running_loop().sock_recv(client, 1)

    async def slow_head(self, client: socket.socket) -> None:
        await self._drip(client, HEAD + b"x-more: " + b"y" * 100_000)

    async def slow_body(self, client: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(client, HEAD + b"content-length: 100000\r\n\r\n")
        await self._drip(client, b" " * 100_000)

    async def unread(self, client: socket.socket) -> None:
        """More than the kernel and the server hold of a page."""
        await self._ignore(client, b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 30)

    async def unread_pipeline(self, client: socket.socket) -> None:
        await self._ignore(client, UNREAD * 300)

    async def _drip(self, client: socket.socket, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for byte in data:
            await loop.sock_sendall(client, bytes([byte]))
            await asyncio.sleep(self._every_s)
            if ended(client):
                return

    async def _ignore(self, client: socket.socket, data: bytes) -> None:
        """Sends, and takes no answer. What is gone without a word of it answers another byte with a reset."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, data)
        while True:
            await asyncio.sleep(self._every_s)
            await loop.sock_sendall(client, b"G")


def ended(client: socket.socket) -> bool:
    """Whether the server has closed: its answer, if any, is read."""
    try:
        while client.recv(4096):
            pass
    except BlockingIOError:
        return False
    return True


@asynccontextmanager
async def staying(crowd: Crowd) -> AsyncIterator[None]:
    """Has the crowd there meanwhile."""
    task = asyncio.create_task(crowd.stay())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
