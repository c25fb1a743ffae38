"""A fast client: HTTP/1.1 over asyncio, one request at a time on each connection, as little work as can be."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

END = b"\r\n\r\n"
LENGTH = b"content-length: "


class Answer(NamedTuple):
    status: int
    head: bytes
    body: bytes

    @property
    def last(self) -> bool:
        """Whether the server closes the connection after this answer."""
        return b"connection: close" in self.head

    def header(self, name: str) -> str:
        """The value of one, "" where it is not there."""
        _, _, rest = self.head.partition(b"\r\n%s: " % name.encode())
        return rest.partition(b"\r\n")[0].decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Lost(Exception):
    """The connection ended before the answer did."""


class Connection(asyncio.Protocol):
    """One connection; `ask` sends a request and returns the answer. Raises Lost."""

    def __init__(self) -> None:
        self.lost = False
        self.transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._got = b""
        self._answer: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes) -> Answer:
        self.send(request)
        return await self.answer()

    def send(self, data: bytes) -> None:
        if self.lost:
            raise Lost
        self.transport.write(data)

    def answer(self) -> asyncio.Future[Answer]:
        """The answer to what was sent, or is still being sent."""
        self._answer = self._loop.create_future()
        self._settle()
        return self._answer

    def close(self) -> None:
        self.transport.close()

    def vanish(self) -> None:
        """As a client that is killed: with a reset, whatever is under way."""
        self.transport.abort()

    # ---------------------------------------------------------------- asyncio's side
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not below it

    def data_received(self, data: bytes) -> None:
        self._got = self._got + data if self._got else data
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._settle()

    def _settle(self) -> None:
        if self._answer is None or self._answer.done():
            return
        got = self._got
        end = got.find(END)
        if end >= 0:
            at = got.find(LENGTH, 0, end) + len(LENGTH)
            whole = end + 4 + int(got[at : got.find(b"\r", at)])
            if len(got) >= whole:
                self._got = got[whole:]
                self._answer.set_result(Answer(int(got[9:12]), got[:end], got[end + 4 : whole]))
                return
        if self.lost:
            self._answer.set_exception(Lost())


async def connect(port: int) -> Connection:
    """A new connection. Raises OSError where none is to be had."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


def request(path: str, body: Any = None, method: str | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of one; a body that is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    fields = {"host": "soak", **({} if body is None else {"content-type": "application/json"}), **(headers or {})}
    if body is not None:
        fields["content-length"] = str(len(data))
    lines = [
        f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1",
        *(f"{k}: {v}" for k, v in fields.items()),
    ]
    return "\r\n".join(lines).encode() + END + data
