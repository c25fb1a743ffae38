"""Traffic: so many connections to the service, each of which asks again as soon as it was answered."""

import asyncio
import time
from collections.abc import Sequence
from itertools import cycle
from typing import NamedTuple

END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Traffic(NamedTuple):
    """The round trips of the requests in seconds, how many were not answered with 200, and how long all of it took."""

    trips: list[float]
    errors: int
    seconds: float


def requests(path: str, bodies: Sequence[bytes]) -> list[bytes]:
    """A request for each of the bodies."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: "
    return [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]


def load(port: int, asked: Sequence[bytes], connections: int, seconds: float) -> Traffic:
    """Sends those requests, one after the other on each connection, for so many seconds. Raises OSError."""
    return asyncio.run(_load(port, asked, connections, seconds))


async def _load(port: int, asked: Sequence[bytes], connections: int, seconds: float) -> Traffic:
    began = time.perf_counter()
    found = await asyncio.gather(*(_talk(port, asked, began + seconds, i) for i in range(connections)))
    trips = [trip for each, _ in found for trip in each]
    return Traffic(trips, sum(errors for _, errors in found), time.perf_counter() - began)


async def _talk(port: int, asked: Sequence[bytes], until: float, first: int) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    trips: list[float] = []
    errors = 0
    first %= len(asked)
    try:
        for request in cycle([*asked[first:], *asked[:first]]):
            began = time.perf_counter()
            if began >= until and trips:
                break
            writer.write(request)
            head = await reader.readuntil(END)
            await reader.readexactly(_length(head))
            trips.append(time.perf_counter() - began)
            errors += b" 200 " not in head[:16]
    finally:
        writer.close()
    return trips, errors


def _length(head: bytes) -> int:
    return next(int(line[len(LENGTH) :]) for line in head.lower().split(b"\r\n") if line.startswith(LENGTH))
