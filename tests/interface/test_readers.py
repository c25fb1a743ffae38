"""Clients that do not take their answers: they are read from no further, hold little memory, and are let go in time."""

import asyncio
import errno
import socket

import pytest

from penstock.config import Limits
from penstock.interface.server import HttpServer
from tests.interface.echoing import GET, HASTY, LARGE, Service, serving, statuses, until

pytestmark = pytest.mark.anyio

LIMITS = Limits(send_s=0.5, idle_s=30)
LARGE_GET = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n"


async def connect(service: Service, receive_buffer: int = 2048) -> socket.socket:
    """A client with next to no room for an answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", service.port))
    return client


@pytest.mark.parametrize(
    "sent",
    [
        LARGE_GET,
        LARGE_GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        LARGE_GET + GET,
        LARGE_GET * 20,
        GET + LARGE_GET + b"\x00nonsense",
    ],
    ids=["kept alive", "to be closed", "pipelined", "twenty", "followed by nonsense"],
)
async def test_whoever_does_not_take_an_answer_is_let_go(sent: bytes) -> None:
    async with serving(HASTY) as (service, server):
        with await connect(service) as client:
            await asyncio.get_running_loop().sock_sendall(client, sent)
            await until(lambda: server.connections == 1)
            await until(lambda: server.connections == 0)


async def test_answers_that_the_kernel_still_holds_when_a_connection_has_been_idle_go_with_it() -> None:
    """They fit into its buffer, so the server has nothing left to send; the kernel would try to for minutes."""
    async with serving(Limits(idle_s=0.5)) as (service, server):
        with await connect(service) as client:
            await asyncio.get_running_loop().sock_sendall(client, GET * 500)
            await until(lambda: server.connections == 1)
            await until(lambda: server.connections == 0)
            await until(lambda: client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET)


async def test_taking_a_byte_now_and_then_does_not_prolong_the_time() -> None:
    async with serving(HASTY) as (service, server):
        with await connect(service) as client:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, LARGE_GET)
            await loop.sock_recv(client, 1)
            for _ in range(300):
                if not server.connections:
                    return
                await asyncio.sleep(0.02)
                await loop.sock_recv(client, 1)
        raise AssertionError("it was let go on")


async def test_whoever_takes_large_answers_one_after_the_other_is_served_for_longer_than_the_limit() -> None:
    async with serving(LIMITS) as (service, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        until_s = asyncio.get_running_loop().time() + 3 * LIMITS.send_s
        while asyncio.get_running_loop().time() < until_s:
            writer.write(LARGE_GET)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(LARGE)
        writer.close()


async def test_a_connection_older_than_the_limit_is_given_all_of_it_for_an_answer_in_parts() -> None:
    """The time counts from the first bytes that wait, not from the end of the answer before."""
    async with serving(Limits(send_s=1.5, idle_s=30)) as (service, _):
        loop = asyncio.get_running_loop()
        with await connect(service, 2**16) as client:
            await loop.sock_sendall(client, GET)
            assert statuses(await loop.sock_recv(client, 1000)) == [200]
            await asyncio.sleep(1.7)
            await loop.sock_sendall(client, GET.replace(b"GET /", b"GET /parts"))
            await asyncio.sleep(0.4)  # a sweep finds some of it waiting
            taken = 0
            while taken < LARGE:
                part = await loop.sock_recv(client, 2**20)
                assert part, "it was cut short"
                taken += len(part)


async def test_what_is_pipelined_is_not_read_ahead_of_the_answers() -> None:
    """A connection holds the requests of one read, however many more are sent behind them."""
    async with serving(LIMITS) as (service, server):
        service.hold.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx"
        writer.write(request * 40_000)  # two megabytes
        await until(lambda: waiting(server) > 0)
        most = waiting(server)
        for _ in range(200):  # each answer used to have another read taken in
            service.hold.set()
            await asyncio.sleep(0)
            service.hold.clear()
            await asyncio.sleep(0)
            most = max(most, waiting(server))
        writer.close()
        assert most < 10_000


async def test_a_client_that_reads_late_gets_all_of_its_pipelined_answers() -> None:
    async with serving(LIMITS) as (service, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        for _ in range(30):
            writer.write(GET * 100)
        writer.write(GET.replace(b"host", b"connection: close\r\nhost"))
        await asyncio.sleep(0.2)
        assert statuses(await asyncio.wait_for(reader.read(), 10)) == [200] * 3001
        writer.close()


def waiting(server: HttpServer) -> int:
    return sum(len(connection.pipeline) for connection in server._connections())
