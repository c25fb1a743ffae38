"""A server of the front's protocol with an application that says little, and clients for it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from penstock.config import Limits
from penstock.errors import ClientGone, RequestError
from penstock.interface.call import Call, Receive, Scope, Send
from penstock.interface.errors import ErrorResponse, error_response
from penstock.interface.lane import Lane
from penstock.interface.scope import GONE
from penstock.interface.server import HttpServer

LIMITS = Limits(body=1000, headers=2000, header_s=0.5, body_s=0.5, idle_s=0.2)
HASTY = Limits(header_s=0.2, body_s=0.2, send_s=0.2, idle_s=30)  # where the limit is what a test waits for
LARGE = 8_000_000  # more than the kernel buffers
PART = 100_000
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class NoLane:
    """A lane without endpoints, which notes what the protocol refuses by itself."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.codes: list[str] = []

    def endpoint(self, path: str) -> None:
        return None

    def refused(self, error: RequestError, scope: Scope) -> ErrorResponse:
        assert scope["client"][0] == "127.0.0.1"
        self.codes.append(error.code)
        return error_response(error, "none")


class Service:
    """A server on a port of its own with an application that reads the body and answers with its length.

    The answers to `/large` and `/parts` are LARGE bytes long, and the second is sent in parts. `hold` keeps all answers
    back while it is cleared.
    """

    def __init__(self, listener: socket.socket, limits: Limits) -> None:
        self.port = listener.getsockname()[1]
        self.lane = NoLane(limits)
        self.gone: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()

    @property
    def refused(self) -> list[str]:
        return self.lane.codes

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope)
        scope[GONE] = lambda: self.gone.append(call.request_id)
        try:
            call.require_length(self.lane.limits)
            body = await call.body(receive, self.lane.limits)
            await self.hold.wait()
            answer = bytes(LARGE) if scope["path"] in ("/large", "/parts") else b"%04d" % len(body)
            status, headers = 200, [(b"content-length", b"%d" % len(answer))]
        except ClientGone:
            return
        except RequestError as error:
            status, headers, answer = error_response(error, call.request_id)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        while scope["path"] == "/parts" and len(answer) > PART:
            await send({"type": "http.response.body", "body": answer[:PART], "more_body": True})
            answer = answer[PART:]
        await send({"type": "http.response.body", "body": answer})

    async def talk(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Sends the parts, waits for the end of the connection, gives everything that came back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            return await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()


@asynccontextmanager
async def serving(limits: Limits = LIMITS) -> AsyncIterator[tuple[Service, HttpServer]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    service = Service(listener, limits)
    server = HttpServer(service.app, cast(Lane, service.lane))
    await server.listen(0, listener)
    try:
        yield service, server
    finally:
        service.hold.set()
        await server.stop(0.0)


async def flood(writer: asyncio.StreamWriter, part: bytes = b"x" * 100_000) -> None:
    """Sends without end."""
    while True:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


async def until(done: Callable[[], bool]) -> None:
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")
