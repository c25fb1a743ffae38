"""The limits that uvicorn lacks, over real sockets: sizes and times of headers and bodies, silence, and the drain."""

import asyncio
from contextlib import closing

import pytest

from tests.interface.echoing import GET, HASTY, flood, serving, statuses

pytestmark = pytest.mark.anyio


async def test_requests_on_one_connection_are_answered_in_turn_until_it_falls_silent() -> None:
    async with serving() as (service, _):
        answer = await service.talk(GET + GET, GET)
        assert statuses(answer) == [200, 200, 200]


async def test_a_large_head_that_began_behind_another_request_is_431() -> None:
    """What came of it together with that one counts as well."""
    get = b"GET / HTTP/1.1\r\nhost: x\r\n"
    for begun in (1200, 1999):
        async with serving() as (service, _):
            answer = await service.talk(
                get + b"\r\n" + get + b"a: " + b"b" * begun, b"b" * 900 + b"\r\n\r\n", pause=0.05
            )
            assert (statuses(answer), service.refused) == ([200, 431], ["headers_too_large"])


@pytest.mark.parametrize(
    "head", [b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", b"GET / HTTP/1.1\r\na: " + b"b" * 5000]
)
async def test_a_head_that_is_too_large_is_431_whether_or_not_it_ends(head: bytes) -> None:
    async with serving() as (service, _):
        answer = await service.talk(head)
        assert (statuses(answer), service.refused) == ([431], ["headers_too_large"])
        assert b"connection: close" in answer


async def test_many_small_headers_are_too_large_together() -> None:
    async with serving() as (service, _):
        head = b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % i for i in range(400)) + b"\r\n"
        assert statuses(await service.talk(head)) == [431]


async def test_a_refused_client_that_sends_on_reads_the_answer_and_not_a_reset() -> None:
    async with serving() as (service, _):
        answer = await service.talk(b"GET / HTTP/1.1\r\na: ", *[b"b" * 50_000] * 100)
        assert statuses(answer) == [431]


async def test_what_is_not_http_is_400_in_our_own_words() -> None:
    async with serving() as (service, _):
        answer = await service.talk(b"HELLO\r\n\r\n")
        assert (statuses(answer), service.refused) == ([400], ["malformed_request"])
        assert b'"code":"malformed_request"' in answer


async def test_headers_that_do_not_arrive_in_time_are_408() -> None:
    async with serving(HASTY) as (service, _):
        assert statuses(await service.talk(b"GET / HTTP/1.1\r\n")) == [408]


async def test_a_byte_now_and_then_does_not_prolong_the_time() -> None:
    async with serving(HASTY) as (service, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        with closing(writer):
            answering = asyncio.create_task(reader.read(1000))
            for byte in GET:  # all of it takes more than half a second
                if not answering.done():
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)
            assert statuses(await answering) == [408]


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with serving(HASTY) as (service, _):
        assert await service.talk() == b""


async def test_a_body_that_does_not_arrive_in_time_is_408() -> None:
    async with serving(HASTY) as (service, _):
        answer = await service.talk(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
        assert (statuses(answer), service.refused) == ([408], [])


async def test_a_chunked_body_that_turns_to_nonsense_is_400() -> None:
    async with serving() as (service, _):
        answer = await service.talk(
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", b"zz\r\n", pause=0.05
        )
        assert statuses(answer) == [400]


@pytest.mark.parametrize("length", [b"content-length: 5000", b"transfer-encoding: chunked"])
async def test_a_body_that_is_too_large_is_413_and_the_connection_goes_on(length: bytes) -> None:
    body = b"1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n" if b"chunked" in length else b"x" * 5000
    async with serving() as (service, _):
        answer = await service.talk(b"POST / HTTP/1.1\r\nhost: x\r\n" + length + b"\r\n\r\n", body, GET)
        assert statuses(answer) == [413, 200]


ENDING = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5000000\r\n\r\n"
LONG = ENDING.replace(b"connection: close\r\n", b"")


async def test_whoever_is_to_be_closed_and_sends_on_reads_the_answer_and_not_a_reset() -> None:
    async with serving() as (service, _):
        answer = await service.talk(ENDING, *[b"b" * 50_000] * 100)
        assert (statuses(answer), service.refused) == ([413], [])


async def test_so_does_whoever_is_to_be_closed_because_the_server_drains() -> None:
    async with serving() as (service, server):
        server.drain()
        answer = await service.talk(LONG, *[b"b" * 50_000] * 100)
        assert statuses(answer) == [413]
        assert b"connection: close" in answer


async def test_an_endless_body_is_refused_and_cut_off() -> None:
    async with serving() as (service, _):
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(head)
        answer = await reader.readuntil(b"}")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(flood(writer), 10)
        assert statuses(answer) == [413]


async def test_trailers_without_end_are_cut_off() -> None:
    async with serving() as (service, _):
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(flood(writer, b"x-more: " + b"y" * 50_000 + b"\r\n"), 10)


async def test_many_pipelined_requests_are_all_answered() -> None:
    async with serving() as (service, _):
        answer = await service.talk(GET * 1500)
        assert statuses(answer) == [200] * 1500


async def test_a_client_that_goes_away_is_noticed() -> None:
    async with serving() as (service, _):
        service.hold.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(GET)
        await asyncio.sleep(0.05)
        writer.close()
        for _ in range(100):
            if service.gone:
                break
            await asyncio.sleep(0.02)
        assert len(service.gone) == 1


async def test_garbage_behind_a_whole_request_does_not_cost_its_answer() -> None:
    async with serving() as (service, _):
        answer = await service.talk(GET + b"\x00\x01\r\n\r\n")
        assert statuses(answer)[0] == 200


async def test_a_draining_server_answers_with_close_and_serves_a_request_that_was_under_way() -> None:
    async with serving() as (service, server):
        service.hold.clear()
        answering = asyncio.create_task(service.talk(GET))
        idle = asyncio.create_task(service.talk(b"", GET, pause=0.2))
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(server.stop(5.0))
        await asyncio.sleep(0.05)
        service.hold.set()
        first, second = await answering, await idle
        assert (statuses(first), statuses(second), await stopping) == ([200], [200], 0)
        assert b"connection: close" in first
        assert b"connection: close" in second


async def test_what_is_not_done_in_time_is_cut_and_counted() -> None:
    async with serving() as (service, server):
        service.hold.clear()
        answering = asyncio.create_task(service.talk(GET))
        await asyncio.sleep(0.1)
        assert await server.stop(0.1) == 1
        answering.cancel()
