"""What the head of a request may not say, beyond what the parser refuses: a table, over a real socket."""

import asyncio

import pytest

from penstock.config import Limits
from tests.interface.echoing import serving, statuses

pytestmark = pytest.mark.anyio

LIMITS = Limits(header_s=0.5, body_s=0.5, idle_s=0.3)
CHUNKED = b"transfer-encoding: chunked"
BODY = b"3\r\nabc\r\n0\r\n\r\n"

HEADS: list[tuple[bytes, list[bytes], int]] = [
    (b"GET / HTTP/1.1", [b"host: x"], 200),
    (b"GET / HTTP/1.1", [b"host: x:8000"], 200),
    (b"GET / HTTP/1.1", [b"host: [::1]:8000"], 200),
    (b"GET / HTTP/1.1", [b"host:"], 200),
    (b"GET / HTTP/1.1", [], 400),
    (b"GET / HTTP/1.0", [], 200),
    (b"GET / HTTP/1.0", [b"connection: keep-alive"], 200),
    (b"GET / HTTP/1.1", [b"host: x", b"host: x"], 400),
    (b"GET / HTTP/1.0", [b"host: x", b"host: y"], 400),
    (b"GET / HTTP/1.1", [b"host: x/y"], 400),
    (b"GET / HTTP/1.1", [b"host: a b"], 400),
    (b"GET / HTTP/1.1", [b"host: user@x"], 400),
    (b"GET / HTTP/1.1", [b"host: \xe4"], 400),
    (b"GET / HTTP/0.9", [b"host: x"], 400),
    (b"GET / HTTP/2.0", [b"host: x"], 400),
    (b"GET / HTTP/2.0", [b"host: x", b"connection: keep-alive"], 400),
    (b"GET /", [], 400),
    (b"GET http://other/ HTTP/1.1", [b"host: x"], 200),
    (b"GET HTTPS://other:1/?a=b HTTP/1.1", [b"host: x"], 200),
    (b"GET ftp://other/ HTTP/1.1", [b"host: x"], 400),
    (b"GET * HTTP/1.1", [b"host: x"], 400),
    (b"OPTIONS * HTTP/1.1", [b"host: x"], 200),
    (b"GET /a#b HTTP/1.1", [b"host: x"], 400),
    (b"GET other:80 HTTP/1.1", [b"host: x"], 400),
    (b"CONNECT other:80 HTTP/1.1", [b"host: x"], 400),
    (b"CONNECT / HTTP/1.1", [b"host: x"], 400),
    (b"GET / HTTP/1.1", [b"host: x", b"content-type: a", b"content-type: b"], 400),
    (b"GET / HTTP/1.1", [b"host: x", b"content-encoding: gzip", b"Content-Encoding: identity"], 400),
    (b"GET / HTTP/1.1", [b"host: x", b"x-request-timeout-ms: 1", b"x-request-timeout-ms: 9000"], 400),
    (b"GET / HTTP/1.1", [b"host: x", b"accept: a", b"accept: b"], 200),
    (b"GET / HTTP/1.1", [b"host: x", *[b"a: b"] * 98], 200),
    (b"GET / HTTP/1.1", [b"host: x", *[b"a: b"] * 100], 431),
]

CODINGS: list[tuple[bytes, list[bytes], int]] = [
    (b"1.1", [CHUNKED], 200),
    (b"1.1", [b"transfer-encoding: Chunked"], 200),
    (b"1.1", [b"transfer-encoding: gzip, chunked"], 415),
    (b"1.1", [b"transfer-encoding: chunked, chunked"], 400),
    (b"1.1", [b"transfer-encoding: gzip"], 415),
    (b"1.1", [b"transfer-encoding: identity"], 415),
    (b"1.1", [b"transfer-encoding: xchunked"], 415),
    (b"1.1", [b"transfer-encoding: gzip", CHUNKED], 400),
    (b"1.1", [CHUNKED, b"content-length: 3"], 400),
    (b"1.1", [b"content-length: 3", CHUNKED], 400),
    (b"1.0", [CHUNKED], 400),
    (b"1.0", [CHUNKED, b"connection: keep-alive"], 400),
]


async def test_a_head_that_can_be_read_in_two_ways_is_refused() -> None:
    requests = [b"\r\n".join([line, *headers]) + b"\r\n\r\n" for line, headers, _ in HEADS]
    async with serving(LIMITS) as (service, _):
        answers = await asyncio.gather(*map(service.talk, requests))
    for request, answer, (_, _, status) in zip(requests, answers, HEADS, strict=True):
        assert statuses(answer) == [status], request
        assert b"connection: close" in answer or status == 200


async def test_chunked_is_the_only_transfer_encoding() -> None:
    requests = [
        b"\r\n".join([b"POST / HTTP/" + version, b"host: x", *headers]) + b"\r\n\r\n" + BODY
        for version, headers, _ in CODINGS
    ]
    async with serving(LIMITS) as (service, _):
        answers = await asyncio.gather(*map(service.talk, requests))
    for request, answer, (_, _, status) in zip(requests, answers, CODINGS, strict=True):
        assert statuses(answer) == [status], request


async def test_a_host_is_looked_at_again_when_it_changes() -> None:
    get = b"GET / HTTP/1.1\r\nhost: %b\r\n\r\n"
    async with serving(LIMITS) as (service, _):
        assert statuses(await service.talk(get % b"x" + get % b"y", get % b"x")) == [200, 200, 200]
        assert statuses(await service.talk(get % b"x", get % b"x/", pause=0.05)) == [200, 400]
        later = (get % b"x").replace(b"1.1", b"2.0")
        assert statuses(await service.talk(get % b"x", later, pause=0.05)) == [200, 400]


OFFERS = [b"connection: upgrade\r\nupgrade: websocket", b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c"]


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("length", [b"content-length: 3\r\n\r\nabc", CHUNKED + b"\r\n\r\n" + BODY])
async def test_an_offer_to_change_the_protocol_is_ignored_and_the_request_answered(offer: bytes, length: bytes) -> None:
    """Java's HttpClient makes one with its first request."""
    request = b"POST / HTTP/1.1\r\nhost: x\r\n" + offer + b"\r\n" + length
    async with serving(LIMITS) as (service, _):
        whole = await service.talk(request, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", pause=0.05)
        in_two = await service.talk(request[:-2], request[-2:], pause=0.05)
        for answer in (whole, in_two):
            assert answer.split(b"\r\n\r\n")[1].startswith(b"0003")
        assert statuses(whole) == [200, 200]


async def test_a_row_of_such_offers_is_cut_short() -> None:
    request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    async with serving(LIMITS) as (service, _):
        assert statuses(await service.talk(request * 3000)) == [200]
        assert statuses(await service.talk(request, request, pause=0.05)) == [200, 200]
