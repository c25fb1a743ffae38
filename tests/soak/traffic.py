"""The mix of requests that a service gets in a long life, and what each is to be answered with."""

import asyncio
import random
from collections import Counter
from itertools import cycle
from typing import NamedTuple

import uvloop

from tests.soak.client import Connection, Lost, connect, request

PREDICT, BATCH = "/predict", "/predict-batch"
SHARES = {  # of a thousand requests
    "single": 775,
    "batch": 100,
    "health": 30,
    "models": 9,
    "metrics": 1,
    "bad": 70,
    "vanishing": 15,
}
BAD = (  # the body, its status
    (b'{"features": [1, 2, 3, 0]', 400),
    (b'{"features": [1, 2, 3]}', 400),
    (b'{"features": [1, 2, NaN, 0]}', 400),
    (b'{"features": [1, 2, 1e400, 0]}', 400),
    (b'{"features": [1, 2, "3", 0]}', 422),
    (b'{"features": [1, 2, null, 0]}', 422),
    (b'{"rows": []}', 422),
    (b"", 400),
)


class Asking(NamedTuple):
    """A request, the status and a part of the body of its answer. `leave` is how much of it a client sends that goes
    away: all of it, and it does not wait for the answer, where that is as long as the request."""

    kind: str
    request: bytes
    status: int = 200
    holds: bytes = b""
    leave: int | None = None


def mix(seed: int) -> list[Asking]:
    """A thousand requests for the classifier of models.py, in a shuffled order."""
    draw = random.Random(seed)
    make = {
        "single": _single,
        "batch": _batch,
        "health": lambda _: Asking("health", request("/health"), holds=b'"status":"healthy"'),
        "models": lambda _: Asking("models", request("/models"), holds=b'"largest"'),
        "metrics": lambda _: Asking("metrics", request("/metrics"), holds=b"penstock_requests_total{"),
        "bad": _bad,
        "vanishing": _vanishing,
    }
    asked = [make[kind](draw) for kind, share in SHARES.items() for _ in range(share)]
    draw.shuffle(asked)
    return asked


def send(port: int, asked: list[Asking], requests: int, connections: int = 32) -> Counter[str]:
    """Sends `requests` of these, in turn, and checks every answer; returns how many there were of each kind."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_send(port, asked, requests, connections))


async def _send(port: int, asked: list[Asking], requests: int, connections: int) -> Counter[str]:
    turns = zip(range(requests), cycle(asked), strict=False)
    sent: Counter[str] = Counter()

    async def client() -> None:
        connection = await connect(port)
        for _, asking in turns:
            sent[asking.kind] += 1
            if not await _ask(connection, asking):
                connection.close()
                connection = await connect(port)
        connection.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return sent


async def _ask(connection: Connection, asking: Asking) -> bool:
    """Whether the connection is to be used again. Raises AssertionError where the answer is wrong."""
    if asking.leave is not None:
        connection.send(asking.request[: asking.leave])
        await asyncio.sleep(0)
        connection.vanish()
        return False
    try:
        answer = await connection.ask(asking.request)
    except Lost as lost:
        raise AssertionError(f"no answer to {asking}") from lost
    if answer.status != asking.status or asking.holds not in answer.body:
        raise AssertionError(f"{asking} was answered {answer}")
    return not answer.last


def _row(draw: random.Random) -> tuple[list[float], int]:
    """A row, and which of its first three features is the largest."""
    scores = draw.sample(range(100), 3)
    return [*(score / 8 for score in scores), round(draw.random(), 4)], scores.index(max(scores))


def _single(draw: random.Random) -> Asking:
    row, label = _row(draw)
    return Asking("single", request(PREDICT, {"features": row}), holds=b'{"prediction":%d,' % label)


def _batch(draw: random.Random) -> Asking:
    rows, labels = zip(*(_row(draw) for _ in range(draw.randint(1, 40))), strict=True)
    holds = b'{"predictions":[%s],' % ",".join(map(str, labels)).encode()
    return Asking("batch", request(BATCH, {"batch": rows}), holds=holds)


def _bad(draw: random.Random) -> Asking:
    """A body that does not fit; now and then a path, a method, or what is no HTTP at all."""
    body, status = draw.choice(BAD)
    return draw.choice(
        (
            *[Asking("bad", request(PREDICT, body), status)] * 7,
            Asking("bad", request(f"/{draw.getrandbits(64):x}"), 404),
            Asking("bad", request(f"/models/{draw.getrandbits(64):x}/predict", body), 404),
            Asking("bad", request(PREDICT, method="DELETE"), 405),
            Asking("bad", b"\x16\x03\x01 not HTTP\r\n\r\n", 400),
        )
    )


def _vanishing(draw: random.Random) -> Asking:
    whole = draw.choice((_single, _batch))(draw).request
    return Asking("vanishing", whole, leave=draw.choice((0, draw.randint(1, len(whole) - 1), len(whole))))
