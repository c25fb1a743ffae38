"""What is measured beside slow clients: the sums, and that nobody's wait is left out of them."""

import asyncio
import contextlib

import pytest

from tests.hostile.slow_clients import Good, Round, p

pytestmark = pytest.mark.anyio

STALL_S = 0.3


def test_a_quantile_is_taken_from_the_sorted_latencies() -> None:
    assert [p([3.0, 1.0, 2.0, 4.0], quantile) for quantile in (0.0, 0.5, 0.99)] == [1.0, 3.0, 4.0]


def test_a_round_tells_what_the_crowd_makes_of_the_p99() -> None:
    """Of a hundred latencies the last is the p99: 4 ms beside the crowd, 2 without it."""
    measured = Round(without=[1.0] * 99 + [2.0], beside=[1.5] * 99 + [4.0])
    assert measured.ratio == 2.0
    assert measured.line(3).split() == ["3", "1.00", "2.00", "1.50", "4.00", "2.00"]


async def test_a_request_counts_from_when_it_was_due_and_not_from_when_it_could_be_sent() -> None:
    """A server that stands still once has kept all those waiting who would have asked meanwhile."""
    stalled = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal stalled
        with contextlib.suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"}"):
                await asyncio.sleep(0 if stalled else STALL_S)
                stalled = True
                name = head.partition(b"x-request-id: ")[2].partition(b"\r")[0]
                writer.write(b"HTTP/1.1 200 OK\r\nx-request-id: " + name + b"\r\n\r\n{}")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        latencies = await Good(port, clients=1, rate=50).ask(0.5)
    late = [latency for latency in latencies if latency > STALL_S * 1000 / 2]
    assert len(latencies) in (25, 26)  # the last may be due a rounding error before the end
    assert len(late) >= 7, "those of the first half of the time that it stood still, one every 20 ms"
