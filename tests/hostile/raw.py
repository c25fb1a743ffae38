"""Bytes that are no request, or nearly one, or several, or one to one reader and another to the next."""

from collections.abc import Callable, Sequence
from random import Random

from tests.hostile.inputs import STATUSES, Input, cut
from tests.hostile.served import Model

ROW = b'{"features":[1,2]}'
REFUSED = frozenset({400, 405, 408, 413, 415, 431})

LINES = [
    b"GET /health", b"GET /health HTTP/0.9", b"GET /health HTTP/1.2", b"GET /health HTTP/2.0",
    b"GET /health HTTP/11.1", b"GET /health http/1.1", b"GET /health HTTP/1.1 ", b"GET\t/health\tHTTP/1.1",
    b"GET health HTTP/1.1", b"GET * HTTP/1.1", b"PRI * HTTP/2.0", b"CONNECT x:443 HTTP/1.1", b"BREW / HTTP/1.1",
    b"get /health HTTP/1.1", b"GET /\xff HTTP/1.1", b"GET /a b HTTP/1.1", b"GET / HTTP/1.1\r", b"GET /#a HTTP/1.1",
    b"GET ftp://x/ HTTP/1.1", b" GET / HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET /\x1b HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01", b"", b"GET", b"POST /predict HTTP/1.", b"RTSP/1.0 200 OK", b"HTTP/1.1 200 OK",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2",
]  # fmt: skip
FIELDS = [
    b"host: y", b"host:", b"content-length: 1", b"content-length: 999999999", b"content-length: -1",
    b"content-length: +18", b"content-length: 18, 18", b"content-length: 0x12", b"content-length: 18 18",
    b"content-length:", b"content-length: \xb2", b"content-length: 18446744073709551616",
    b"content-length: 00000000000000000018", b"transfer-encoding: chunked", b"transfer-encoding: gzip",
    b"transfer-encoding: chunked, gzip", b"transfer-encoding: identity", b"transfer-encoding:",
    b"transfer-encoding : chunked", b"transfer-encoding:\x0bchunked", b"Transfer-Encoding: CHUNKED", b" folded",
    b"\tfolded", b"transfer-encoding: chunked\r\ntransfer-encoding: x", b"name", b": empty", b"na me: x",
    b"name : x", b"n\x00me: x", b"x: a\x00b", b"x: a\rb", b"x: a\nb: c", b"x: \x1b[31m", b"x: \x7f", b"x: \x85",
    b"n\xe4me: x", b"connection: close", b"connection: upgrade\r\nupgrade: h2c",
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==", b"expect: 100-continue",
    b"trailer: host", b"content-encoding: gzip", b"x-request-id: a\x0bb", b"\x0b: \x0c", b"a;b: c",
]  # fmt: skip
SIZES = [
    b"12", b"0", b"1", b"ffffffff", b"ffffffffffffffff", b"10000000000000000", b"-1", b"+12", b"0x12", b" 12",
    b"12 ", b"12;", b"12;a=\"\r\n", b"", b"g", b"12\n", b"12;" + b"a" * 3000, b"000000000000000000012", b"1_2",
    b"\xb2",
]  # fmt: skip
CONTROLS = [bytes([byte]) for byte in [*range(32), 127, 128, 255]]


def raw(random: Random, models: Sequence[Model], marker: str) -> Input:
    make = random.choice(MAKERS)
    data, statuses = make(random, marker.encode())
    for _ in range(random.choice([0, 0, 1, 2, 4])):
        data = random.choice(DAMAGES)(random, data)
        statuses = STATUSES
    return Input(cut(random, data), statuses, make.__name__, marker.encode(), call=False)


def request(*fields: bytes, line: bytes = b"POST /models/sum/predict HTTP/1.1", body: bytes = ROW) -> bytes:
    return b"\r\n".join([line, *fields]) + b"\r\n\r\n" + body


def usual(marker: bytes) -> list[bytes]:
    return [b"host: x", b"content-type: application/json", b"x-own: " + marker]


# ------------------------------------------------------------------ what is made
def near_request(random: Random, marker: bytes) -> tuple[bytes, frozenset[int]]:
    fields = [*usual(marker), b"content-length: %d" % len(ROW)]
    fields.insert(random.randrange(len(fields) + 1), random.choice(FIELDS))
    return request(*fields), STATUSES


def odd_line(random: Random, marker: bytes) -> tuple[bytes, frozenset[int]]:
    return request(*usual(marker), line=random.choice(LINES), body=b""), STATUSES


def both_lengths(random: Random, marker: bytes) -> tuple[bytes, frozenset[int]]:
    """The classic of request smuggling: refused, and nothing behind it is answered."""
    inner = request(*usual(marker), line=b"GET /" + marker + b" HTTP/1.1", body=b"")
    body = b"0\r\n\r\n" + inner
    lengths = [b"content-length: %d" % random.choice([4, 5, len(body)]), b"transfer-encoding: chunked"]
    random.shuffle(lengths)
    return request(*usual(marker), *lengths, body=body), REFUSED


def two_lengths(random: Random, marker: bytes) -> tuple[bytes, frozenset[int]]:
    lengths = [b"content-length: %d" % n for n in (len(ROW), random.choice([0, 5, len(ROW), 999]))]
    return request(*usual(marker), *lengths), REFUSED


def odd_chunks(random: Random, marker: bytes) -> tuple[bytes, frozenset[int]]:
    end = random.choice([b"\r\n", b"\r\n", b"\n", b"\r", b"", b"\r\r\n"])
    last = random.choice(
        [
            b"0\r\n\r\n",
            b"0\r\n",
            b"0",
            b"00000\r\n\r\n",
            b"0\r\nx: y\r\n\r\n",
            b"0\r\nhost: %b\r\n\r\n" % marker,
            b"\r\n",
        ]
    )
    body = random.choice(SIZES) + end + ROW + end + last
    return request(*usual(marker), b"transfer-encoding: chunked", body=body), STATUSES


def pipelined(random: Random, marker: bytes) -> tuple[bytes, frozenset[int]]:
    fields = [*usual(marker), b"content-length: %d" % len(ROW)]
    good = [
        request(*fields),
        request(*usual(marker), line=b"GET /health HTTP/1.1", body=b""),
        request(*fields, body=b"x" * len(ROW)),
        request(*usual(marker), line=b"GET /" + marker + b" HTTP/1.1", body=b""),
        request(*fields, b"expect: 100-continue"),
        b"\r\n\r\n" + request(*fields),
    ]
    return b"".join(random.choices(good, k=random.choice([2, 5, 50]))), STATUSES


def truncated(random: Random, marker: bytes) -> tuple[bytes, frozenset[int]]:
    whole = request(*usual(marker), b"content-length: %d" % len(ROW))
    return whole[: random.randrange(len(whole))], STATUSES


def noise(random: Random, marker: bytes) -> tuple[bytes, frozenset[int]]:
    return random.randbytes(random.choice([1, 10, 100, 3000])) + marker, STATUSES


def large_head(random: Random, marker: bytes) -> tuple[bytes, frozenset[int]]:
    start, filler = random.choice(
        [(b"GET /", marker), (b"GET / HTTP/1.1\r\nx: ", marker), (b"GET / HTTP/1.1\r\n", b"%b: \r\n" % marker)]
    )
    return start + filler * 4000, STATUSES


def other_protocol(random: Random, marker: bytes) -> tuple[bytes, frozenset[int]]:
    return random.choice(
        [
            b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + random.randbytes(160),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
            b"SSH-2.0-" + marker + b"\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"\x80\x02cposix\nsystem\n",
            b"EHLO " + marker + b"\r\n",
            b"\xff\xd8\xff\xe0",
            b'{"features":[1,2]}\n',
        ]
    ), STATUSES


MAKERS: list[Callable[[Random, bytes], tuple[bytes, frozenset[int]]]] = [
    near_request, near_request, odd_line, both_lengths, two_lengths, odd_chunks, pipelined, truncated, noise,
    large_head, other_protocol,
]  # fmt: skip


# ------------------------------------------------------------------ what is done to it
def flip(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) or 1)
    return data[:at] + random.randbytes(1) + data[at + 1 :]


def insert(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(CONTROLS) * random.choice([1, 1, 5]) + data[at:]


def remove(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at + random.choice([1, 2, 20]) :]


def repeat(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    span = data[at : at + random.choice([1, 10, 100])]
    return data[:at] + span * random.choice([2, 3, 50]) + data[at:]


def bare(random: Random, data: bytes) -> bytes:
    return data.replace(b"\r\n", random.choice([b"\n", b"\r", b"\r\r\n", b"\n\r", b"\x85"]), random.choice([1, 3, 99]))


DAMAGES: list[Callable[[Random, bytes], bytes]] = [flip, insert, remove, repeat, bare]
