"""What the head of a request may not say, beyond what the parser refuses: a table, over a real socket."""

import asyncio

import pytest

from penstock.config import Limits
from tests.interface.echoing import serving, statuses

pytestmark = pytest.mark.anyio

LIMITS = Limits(body=1000, header_s=0.5, body_s=0.5, idle_s=0.2)
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
    (b"GET /a b HTTP/1.1", [b"host: x"], 400),
    (b"GET /\x00 HTTP/1.1", [b"host: x"], 400),
    (b"GET /\xc3\xa4 HTTP/1.1", [b"host: x"], 400),
    (b"GET\t/\tHTTP/1.1", [b"host: x"], 400),
    (b"GET / HTTP/1.2", [b"host: x"], 400),
    (b"GET / http/1.1", [b"host: x"], 400),
    (b"get / HTTP/1.1", [b"host: x"], 400),
    (b"BREW / HTTP/1.1", [b"host: x"], 400),
    (b"GET  / HTTP/1.1", [b"host: x"], 400),
    (b"GET /  HTTP/1.1", [b"host: x"], 400),
    (b"POST   /   HTTP/1.1", [b"host: x", b"content-length: 0"], 400),
    (b"GET  / HTTP/1.0", [], 400),
    (b"SOURCE / ICE/1.0", [b"host: x"], 400),
    (b"OPTIONS / RTSP/1.0", [b"host: x"], 400),
    (b"DESCRIBE / RTSP/1.0", [b"host: x"], 400),
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

POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
FRAMES: list[tuple[bytes, int]] = [
    (POST + b"content-length: 3\r\n\r\nabc", 200),
    (POST + b"content-length: 0003 \r\n\r\nabc", 200),
    (POST + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc", 400),
    (POST + b"content-length: 3\r\ncontent-length: 5\r\n\r\nabc", 400),
    (POST + b"content-length: 3, 3\r\n\r\nabc", 400),
    (POST + b"content-length: +3\r\n\r\nabc", 400),
    (POST + b"content-length: -3\r\n\r\nabc", 400),
    (POST + b"content-length: 0x3\r\n\r\nabc", 400),
    (POST + b"content-length: 3 3\r\n\r\nabc", 400),
    (POST + b"content-length:\r\n\r\nabc", 400),
    (POST + b"content-length: 99999999999999999999\r\n\r\nabc", 400),
    (POST + b"content-length: 999999999\r\n\r\nabc", 413),
    (POST + CHUNKED + b"\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n", 200),
    (POST + CHUNKED + b"\r\n\r\n0003\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n", 200),
    (POST + CHUNKED + b"\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400),
    (POST + CHUNKED + b"\r\n\r\n 3\r\nabc\r\n0\r\n\r\n", 400),
    (POST + CHUNKED + b"\r\n\r\n3 \r\nabc\r\n0\r\n\r\n", 400),
    (POST + CHUNKED + b"\r\n\r\n3\nabc\n0\n\n", 400),
    (POST + CHUNKED + b"\r\n\r\n3\r\nabc0\r\n\r\n", 400),
    (POST + CHUNKED + b"\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", 400),
    (POST + CHUNKED + b"\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400),
    (POST + CHUNKED + b"\r\n\r\n3\r\nabc\r\n0\r\ncontent-length: 5\r\n\r\n", 400),
    (POST + b"transfer-encoding : chunked\r\n\r\n" + BODY, 400),
    (POST + b"transfer-encoding:\x0bchunked\r\n\r\n" + BODY, 400),
    (POST + b"x: a\r\n folded\r\n\r\n", 400),
    (POST + b" x: a\r\n\r\n", 400),
    (POST + b"x : a\r\n\r\n", 400),
    (POST + b"x y: a\r\n\r\n", 400),
    (POST + b": a\r\n\r\n", 400),
    (POST + b"x\r\n\r\n", 400),
    (POST + b"x\xe4: a\r\n\r\n", 400),
    (POST + b"x: a\x00b\r\n\r\n", 400),
    (POST + b"x: a\rb\r\n\r\n", 400),
    (POST + b"x: a\x1b[31m\r\n\r\n", 400),
    (POST + b"x: a\x7f\r\n\r\n", 400),
    (POST + b"x: \xe4\r\n\r\n", 200),
    (POST.replace(b"\r\n", b"\n") + b"\n", 400),
    (b"\r\n" + POST + b"\r\n", 200),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
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


async def test_what_is_framed_wrongly_is_refused_and_nothing_behind_it_is_answered() -> None:
    async with serving(LIMITS) as (service, _):
        answers = await asyncio.gather(*(service.talk(request) for request, _ in FRAMES))
    for (request, status), answer in zip(FRAMES, answers, strict=True):
        assert statuses(answer)[:1] == [status], request
        assert b" 200 " not in answer or status == 200, request


async def test_a_request_line_is_looked_at_however_it_comes() -> None:
    good, wide = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"GET  / HTTP/1.1\r\nhost: x\r\n\r\n"
    async with serving(LIMITS) as (service, _):
        answers = await asyncio.gather(
            service.talk(good, wide, pause=0.05),
            service.talk(good + b"\r\n" + good, b"\r\n" + good, pause=0.05),
            service.talk(*[bytes([byte]) for byte in good], pause=0.002),
            service.talk(*[bytes([byte]) for byte in wide], pause=0.002),
            service.talk(good + good[:9], good[9:] + good[:3], good[3:], pause=0.05),
            service.talk(good, wide.replace(b"\n", b"\nx: ", 1)[:20], good, pause=0.05),
        )
    assert [*map(statuses, answers)] == [[200, 400], [200] * 3, [200], [400], [200] * 3, [200, 400]]


async def test_a_host_is_looked_at_again_when_it_changes() -> None:
    get = b"GET / HTTP/1.1\r\nhost: %b\r\n\r\n"
    later = (get % b"x").replace(b"1.1", b"2.0")
    async with serving(LIMITS) as (service, _):
        answers = await asyncio.gather(
            service.talk(get % b"x" + get % b"y", get % b"x"),
            service.talk(get % b"x", get % b"x/", pause=0.05),
            service.talk(get % b"x", later, pause=0.05),
        )
    assert [*map(statuses, answers)] == [[200, 200, 200], [200, 400], [200, 400]]


OFFERS = [b"connection: upgrade\r\nupgrade: websocket", b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c"]
LENGTHS = [b"content-length: 3\r\n\r\nabc", CHUNKED + b"\r\n\r\n" + BODY]


async def test_an_offer_to_change_the_protocol_is_ignored_and_the_request_answered() -> None:
    """Java's HttpClient makes one with its first request."""
    requests = [POST + offer + b"\r\n" + length for offer in OFFERS for length in LENGTHS]
    get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    async with serving(LIMITS) as (service, _):
        whole = await asyncio.gather(*(service.talk(request, get, pause=0.05) for request in requests))
        in_two = await asyncio.gather(*(service.talk(each[:-2], each[-2:], pause=0.05) for each in requests))
    assert [*map(statuses, whole)] == [[200, 200]] * 4
    assert [answer.split(b"\r\n\r\n")[1][:4] for answer in (*whole, *in_two)] == [b"0003"] * 8


async def test_a_row_of_such_offers_is_cut_short() -> None:
    request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    async with serving(LIMITS) as (service, _):
        at_once, in_turn = await asyncio.gather(
            service.talk(request * 3000), service.talk(request, request, pause=0.05)
        )
    assert (statuses(at_once), statuses(in_turn)) == ([200], [200, 200])
