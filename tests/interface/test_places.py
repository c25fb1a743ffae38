"""More connections than a front holds: who asks for health is answered, others are told, nobody is left hanging."""

import asyncio
import resource
import socket
from contextlib import ExitStack
from math import inf

import pytest

from penstock.config import Limits
from penstock.interface.places import FEWEST, GUESTS, OWN, capacity
from tests.interface.echoing import GET, Service, serving, statuses, until

pytestmark = pytest.mark.anyio

LIMITS = Limits(connections=3)
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("wanted", "descriptors", "most"),
    [
        (10_000, 20_000, 10_000),
        (10_000, 1024, 1024 - GUESTS - OWN),
        (10_000, 50, FEWEST),
        (3, 1024, 3),
        (3, 50, 3),
        (3, inf, 3),
    ],
)
def test_there_are_as_many_places_as_descriptors_allow(wanted: int, descriptors: float, most: int) -> None:
    assert capacity(wanted, descriptors) == most


def silent(service: Service, among: ExitStack) -> socket.socket:
    return among.enter_context(socket.create_connection(("127.0.0.1", service.port)))


async def test_beyond_the_limit_health_is_answered_and_the_rest_is_told_to_come_again() -> None:
    async with serving(LIMITS) as (service, server):
        with ExitStack() as stack:
            for _ in range(LIMITS.connections):
                silent(service, stack)
            await until(lambda: server.connections == LIMITS.connections)
            for path in (b"/health", b"/ready", b"/metrics", b"/health?probe=1"):
                answer = await service.talk(HEALTH.replace(b"/health", path))
                assert (statuses(answer), b"connection: close" in answer) == ([200], True)
            answer = await service.talk(GET)
            assert (statuses(answer), service.refused) == ([503], ["too_many_connections"])
            assert b"retry-after: 1" in answer
            assert b"connection: close" in answer
        await until(lambda: server.connections == 0)
        assert statuses(await service.talk(GET.replace(b"host", b"connection: close\r\nhost"))) == [200]


async def test_a_place_is_kept_with_its_requests() -> None:
    async with serving(LIMITS) as (service, server):
        with ExitStack() as stack:
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            for _ in range(20):
                silent(service, stack)
            await until(lambda: server.connections == 21)
            for _ in range(3):
                writer.write(GET)
                assert b" 200 " in await reader.readuntil(b"0000")
            writer.close()


async def test_a_refused_client_that_sends_a_large_body_reads_the_answer() -> None:
    async with serving(Limits(connections=1)) as (service, server):
        with ExitStack() as stack:
            silent(service, stack)
            await until(lambda: server.connections == 1)
            head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n"
            answer = await service.talk(head, *[b"x" * 50_000] * 40)
            assert statuses(answer) == [503]


async def test_silent_guests_make_room_for_whoever_asks() -> None:
    """A flood of connections that say nothing does not keep the probe out, nor does it stay."""
    async with serving(LIMITS) as (service, server):
        with ExitStack() as stack:
            for _ in range(5 * GUESTS):
                silent(service, stack)
            for _ in range(10):
                assert statuses(await service.talk(HEALTH)) == [200]
            assert server.connections <= LIMITS.connections + GUESTS
            await until(lambda: server.connections <= LIMITS.connections)


async def test_the_limit_on_descriptors_is_kept_far_from() -> None:
    """Where few descriptors are to be had there are fewer places; none is ever missing for an accept."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(Limits(connections=10**9)) as (_, server):
        assert server.places.most == soft - GUESTS - OWN
