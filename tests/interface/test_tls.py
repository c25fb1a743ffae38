"""TLS over real sockets: who does not get through the handshake counts for nothing, and who does is held to the same
limits as anybody."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any, cast

import pytest

from penstock.config import Limits
from penstock.interface.connection import SWEEP_S
from penstock.interface.lane import Lane
from penstock.interface.places import GUESTS
from penstock.interface.server import HttpServer
from penstock.interface.tls import Certificate
from penstock.model.tls import read_pair
from tests.certificates import Files, certificate
from tests.interface.echoing import GET, HASTY, LIMITS, Service, statuses, until

pytestmark = [pytest.mark.anyio, pytest.mark.needs("openssl")]

HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return certificate(tmp_path_factory.mktemp("tls"))


class Secure(Service):
    """The same service, known by a certificate."""

    def __init__(self, listener: socket.socket, limits: Limits, files: Files) -> None:
        super().__init__(listener, limits)
        pair = read_pair(str(files.certificate), str(files.key))
        assert pair is not None
        self.certificate = Certificate(pair)
        self.trust = files.trust

    async def connect(self, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = {} if "sock" in options else {"host": "127.0.0.1", "port": self.port}
        return await asyncio.open_connection(**(place | {"ssl": self.trust} | options))

    async def talk(self, *parts: bytes, pause: float = 0.0) -> bytes:
        reader, writer = await self.connect()
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        try:
            return await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.transport.abort()

    async def refusal(self, *parts: bytes) -> bytes:
        """The head and the body of the answer to who is refused; the end of the connection is not waited for."""
        reader, writer = await self.connect()
        for part in parts:
            writer.write(part)
            await writer.drain()
        try:
            return await asyncio.wait_for(reader.readuntil(b"}"), 5)
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(files: Files, limits: Limits = LIMITS) -> AsyncIterator[tuple[Secure, HttpServer]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    service = Secure(listener, limits, files)
    server = HttpServer(service.app, cast(Lane, service.lane), service.certificate)
    await server.listen(0, listener)
    try:
        yield service, server
    finally:
        service.hold.set()
        await server.stop(0.0)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side has ended the connection, in whichever way."""
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""


async def test_requests_are_answered_in_turn_until_the_connection_falls_silent(files: Files) -> None:
    async with serving(files) as (service, server):
        assert statuses(await service.talk(GET + GET, GET)) == [200, 200, 200]
        await until(lambda: server.connections == 0)


async def test_http_1_is_agreed_on_and_the_newest_tls(files: Files) -> None:
    async with serving(files) as (service, _):
        offer = files.trust
        offer.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await service.connect(ssl=offer)
        spoken = writer.get_extra_info("ssl_object")
        assert (spoken.selected_alpn_protocol(), spoken.version()) == ("http/1.1", "TLSv1.3")
        writer.close()


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01", GET, bytes(range(256)) * 300], ids=range(4))
async def test_who_does_not_shake_hands_is_hung_up_on_and_counts_for_nothing(said: bytes, files: Files) -> None:
    """Silence, half a hello, plain HTTP, and nonsense."""
    async with serving(files, HASTY) as (service, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(said)
        assert b"HTTP" not in await ended(reader)
        assert server.connections == 0
        assert statuses(await service.talk(GET.replace(b"host", b"connection: close\r\nhost"))) == [200]
        writer.close()


async def test_silent_handshakes_make_room_for_whoever_asks(files: Files) -> None:
    """A flood of them is held to a bound, long before any of them is overdue; nor does it keep the probe out."""
    async with serving(files, Limits(connections=3, header_s=60)) as (service, _):
        with ExitStack() as stack:
            flood = [
                stack.enter_context(socket.create_connection(("127.0.0.1", service.port))) for _ in range(5 * GUESTS)
            ]
            for _ in range(5):
                answer = await service.talk(HEALTH.replace(b"host", b"connection: close\r\nhost"))
                assert statuses(answer) == [200]
            for each in flood:
                each.setblocking(False)
            assert sum(is_open(each) for each in flood) <= GUESTS


def is_open(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


async def test_beyond_the_limit_health_is_answered_and_the_rest_is_told_to_come_again(files: Files) -> None:
    async with serving(files, Limits(connections=2)) as (service, server):
        held = [await service.connect() for _ in range(2)]
        await until(lambda: server.connections == 2)
        assert statuses(await service.talk(HEALTH)) == [200]
        assert (statuses(await service.refusal(GET)), service.refused) == ([503], ["too_many_connections"])
        for _, writer in held:
            writer.transport.abort()


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ((b"HELLO\r\n\r\n",), 400),
        ((b"GET / HTTP/1.1\r\na: ", *[b"b" * 50_000] * 40), 431),
        ((b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n", *[b"x" * 50_000] * 40), 413),
        ((b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n",), 408),
        ((b"GET / HT",), 408),
    ],
)
async def test_who_is_refused_reads_why_whatever_it_is_still_sending(
    parts: tuple[bytes, ...], status: int, files: Files
) -> None:
    async with serving(files, LIMITS) as (service, server):
        assert statuses(await service.refusal(*parts)) == [status]
        await until(lambda: server.connections == 0)


async def test_an_answer_that_nobody_takes_is_given_up(files: Files) -> None:
    async with serving(files, Limits(send_s=0.2)) as (service, server):
        service.hold.clear()
        _, writer = await service.connect(limit=1)
        try:
            writer.write(GET.replace(b"/", b"/large", 1))
            await until(lambda: server.connections == 1)
            service.hold.set()
            await until(lambda: server.connections == 0)
        finally:
            writer.transport.abort()


async def test_a_slow_client_gets_all_of_its_last_answer(files: Files) -> None:
    """The end is said behind the answer, and not waited for so briefly that it would cut it."""
    async with serving(files, Limits(send_s=30)) as (service, _):
        reader, writer = await service.connect()
        writer.write(GET.replace(b"/", b"/large", 1).replace(b"host", b"connection: close\r\nhost"))
        await asyncio.sleep(3 * SWEEP_S)
        assert len(await ended(reader)) > 8_000_000


async def test_a_stop_waits_for_who_is_shaking_hands_and_not_for_who_never_will(files: Files) -> None:
    async with serving(files, Limits(header_s=1)) as (service, server):
        mute = socket.create_connection(("127.0.0.1", service.port))
        with mute, socket.create_connection(("127.0.0.1", service.port)) as slow:
            stopping = asyncio.create_task(server.stop(20.0))
            await asyncio.sleep(0)
            reader, writer = await service.connect(sock=slow, server_hostname="localhost")
            writer.write(GET)
            answer = await ended(reader)
            assert (statuses(answer), b"connection: close" in answer) == ([200], True)
            assert await stopping == 0
        assert server.connections == 0


async def test_idle_connections_end_soon_though_the_client_never_says_farewell(files: Files) -> None:
    async with serving(files) as (service, server):
        silent = await asyncio.to_thread(
            lambda: files.trust.wrap_socket(
                socket.create_connection(("127.0.0.1", service.port)), server_hostname="localhost"
            )
        )
        with silent:
            await until(lambda: server.connections == 1)
            assert await server.stop(20.0) == 0
            assert await asyncio.to_thread(silent.recv, 9) == b"", "an end, and no reset"


@pytest.mark.parametrize("kinds", [("ec", "ec"), ("rsa", "ec")])
async def test_newcomers_are_shown_the_new_certificate_and_the_others_live_on(
    kinds: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    old, new = (certificate(folder, f"{kind}-{i}", kind=kind) for i, kind in enumerate(kinds))
    async with serving(old) as (service, _):
        reader, writer = await service.connect()
        pair = read_pair(str(new.certificate), str(new.key))
        assert pair is not None
        service.certificate.take(pair)
        with pytest.raises(ssl.SSLCertVerificationError):
            await service.connect()
        _, late = await service.connect(ssl=new.trust)
        assert late.get_extra_info("peercert")["subject"][0][0][1] == new.certificate.stem
        writer.write(GET)
        assert b" 200 " in await reader.readuntil(b"0000")
        for each in (writer, late):
            each.transport.abort()
