"""Hostile input by number: input 17 of seed 3 is the same bytes for ever, so a failure can be sent again by itself."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from tests.hostile.served import Model

STATUSES = frozenset({200, 307, 400, 404, 405, 408, 413, 415, 422, 431, 503, 504})
"""What the status table has for what comes without a key; 500 is counted apart."""


class Input(NamedTuple):
    """What to send in these pieces, and what may come back.

    A `call` is one whole request, answered by one answer. What is not may be anything: it gets any number of answers
    and is followed on the same connection by a right request. `marker` stands in it and must not come back.
    """

    pieces: tuple[bytes, ...]
    statuses: frozenset[int]
    kind: str
    marker: bytes
    call: bool
    head: bool = False

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


def input_at(seed: int, number: int, models: Sequence[Model]) -> Input:
    """Two of three are calls, made from the models' fields; the third is raw bytes."""
    from tests.hostile import calls, raw

    random = Random(f"{seed}:{number}")
    marker = f"Mk{random.getrandbits(48):012x}"
    return (raw.raw if random.random() < 0.34 else calls.call)(random, models, marker)


def canary(number: int) -> tuple[bytes, str, float]:
    """A right request, the id that its answer must carry, and the prediction."""
    a, b, name = number % 1000, number % 7, f"canary-{number}"
    body = b'{"features":[%d,%d]}' % (a, b)
    head = (
        f"POST /models/sum/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"x-request-id: {name}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body, name, float(a + 2 * b)


def cut(random: Random, data: bytes) -> tuple[bytes, ...]:
    """`data` whole, or in pieces: at every position alike, now and then byte by byte."""
    dice = random.random()
    if dice < 0.7 or len(data) < 2:
        return (data,)
    if dice > 0.98 and len(data) < 60:
        return tuple(data[i : i + 1] for i in range(len(data)))
    ends = sorted(random.randrange(1, len(data)) for _ in range(random.choice([1, 1, 2, 5])))
    return tuple(data[i:j] for i, j in zip([0, *ends], [*ends, len(data)], strict=True) if i < j)
