"""What five hundred slow sockets cost those who ask properly: the p99 with them over the p99 without.

    python -m tests.hostile.slow_clients

The service has one core and its usual time limits, all clients the other. Whoever of the crowd is ended comes again.
Good clients keep a schedule of their own, and a request counts from when it was due. Rounds with and without the
crowd alternate, so that the machine's drift falls on both.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import Process
from pathlib import Path
from typing import NamedTuple

import uvloop

from tests.hostile.crowd import Crowd
from tests.hostile.inputs import canary
from tests.hostile.served import hostile_service

EACH = 100  # of five kinds
SETTLE_S = 2.0
ARRIVE_S = 12.0  # five hundred who come, or send their bytes, all at once are a load; this is about slow ones
USUAL = ("--limits-header-s", "5", "--limits-body-s", "10", "--limits-idle-s", "75", "--limits-rows", "1000")


class Good:
    """Clients that ask, each on its connection, `rate` times a second together."""

    def __init__(self, port: int, clients: int, rate: float) -> None:
        self._port = port
        self._clients = clients
        self._every_s = clients / rate

    async def ask(self, seconds: float) -> list[float]:
        """The latencies, in milliseconds."""
        rounds = await asyncio.gather(*(self._client(i, seconds) for i in range(self._clients)))
        return [latency for each in rounds for latency in each]

    async def _client(self, number: int, seconds: float) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        latencies: list[float] = []
        due = time.perf_counter() + self._every_s * number / self._clients
        end = due + seconds
        while due < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            request, name, _ = canary(number)
            writer.write(request)
            answer = await reader.readuntil(b"}")
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert name.encode() in answer
            latencies.append((time.perf_counter() - due) * 1000)
            due += self._every_s
        writer.close()
        return latencies


def crowd_out(port: int) -> None:
    """A process of its own, which stands back: the good clients' clock must not feel the work of 500 sockets."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # a nice one would still finish its slice
    asyncio.run(Crowd(port, EACH, every_s=0.5).stay(within_s=ARRIVE_S))


def p(latencies: Sequence[float], quantile: float) -> float:
    """The latency that a share of `quantile` of them stays under."""
    return sorted(latencies)[int(len(latencies) * quantile)]


class Round(NamedTuple):
    """The latencies, in milliseconds, without the crowd and beside it."""

    without: Sequence[float]
    beside: Sequence[float]

    @property
    def ratio(self) -> float:
        """What the crowd makes of the p99."""
        return p(self.beside, 0.99) / p(self.without, 0.99)

    def line(self, number: int) -> str:
        figures = [p(latencies, quantile) for latencies in self for quantile in (0.5, 0.99)]
        return f"{number:5}   " + "   ".join(f"{figure:8.2f}" for figure in (*figures, self.ratio))


def measure(port: int, rounds: int, seconds: float, rate: float) -> None:
    good = Good(port, 8, rate)
    measured: list[Round] = []
    uvloop.run(good.ask(SETTLE_S))
    print("round   without p50   p99   with p50   p99 (ms)   p99 ratio")
    for number in range(rounds):
        without = uvloop.run(good.ask(seconds))
        crowd = Process(target=crowd_out, args=(port,), daemon=True)
        crowd.start()
        time.sleep(ARRIVE_S + SETTLE_S)
        beside = uvloop.run(good.ask(seconds))
        crowd.terminate()
        crowd.join()
        time.sleep(SETTLE_S)
        measured.append(Round(without, beside))
        print(measured[-1].line(number + 1), flush=True)
    print(f"median ratio {statistics.median(each.ratio for each in measured):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rate", type=float, default=400.0, help="requests a second")
    asked = parser.parse_args()
    server, client = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as folder:
        os.sched_setaffinity(0, {server})
        with hostile_service(Path(folder), *USUAL) as (service, _):
            os.sched_setaffinity(0, {client})
            measure(service.port, asked.rounds, asked.seconds, asked.rate)


if __name__ == "__main__":
    main()
