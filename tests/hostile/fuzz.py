"""Sends hostile input to a real service over real sockets, many connections at once, and has every answer judged.

python -m tests.hostile.fuzz --count 1000000 --seed 7     all of it
python -m tests.hostile.fuzz --seed 7 --only 17           what was found there, again
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import uvloop

from tests.hostile import judge
from tests.hostile.inputs import Input, canary, input_at
from tests.hostile.served import Model, hostile_service
from tests.hostile.wire import Answer, NotHttp, answers

CONNECTIONS = 96
BOUND_S = 15.0  # no input may take longer; the service's own limits are a second or three
LISTEN_S = 0.1  # how long to wait for the rest of an answer before the sending side is closed


class Finding(NamedTuple):
    number: int
    before: int | None  # the input that went before it on the same connection
    sent: Input
    wrong: str

    def told(self, seed: int) -> str:
        again = f"{self.before},{self.number}" if self.before is not None else str(self.number)
        return (
            f"{self.wrong}\n  input {self.number} ({self.sent.kind}): {self.sent.content[:400]!r}\n"
            f"  again: python -m tests.hostile.fuzz --seed {seed} --only {again}"
        )


class Outcome:
    """What came of it all."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.statuses: Counter[int] = Counter()
        self.inputs = 0
        self.canaries = 0
        self.overflowed = 0
        self.seconds = 0.0

    def __str__(self) -> str:
        counts = ", ".join(f"{status}: {n}" for status, n in sorted(self.statuses.items()))
        return (
            f"{self.inputs} inputs in {self.seconds:.0f} s ({self.inputs / self.seconds:.0f}/s), {self.canaries} right "
            f"requests behind them\nanswers {counts}; of the 500, {self.overflowed} for rows without a finite answer\n"
            f"{len(self.findings)} findings"
        )


class Peer:
    """One client: a connection that is kept as long as the server keeps it."""

    def __init__(self, port: int, seed: int, models: Sequence[Model], outcome: Outcome) -> None:
        self._port = port
        self._seed = seed
        self._models = models
        self._outcome = outcome
        self._last: int | None = None
        self._half_closed = False
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, number: int) -> None:
        sent = input_at(self._seed, number, self._models)
        if self._writer is None or self._writer.is_closing():
            self._last, self._half_closed = None, False
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        wrong: list[str] = []
        try:
            async with asyncio.timeout(BOUND_S):
                wrong += await (self._call(sent, number) if sent.call else self._throw(sent, number))
        except TimeoutError:
            wrong.append(f"nothing came of it in {BOUND_S:g} s")
            self.leave()
        except NotHttp as error:
            wrong.append(f"not HTTP: {error}")
            self.leave()
        self._outcome.inputs += 1
        self._outcome.findings += [Finding(number, self._last, sent, what) for what in wrong]
        self._last = number

    def leave(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    # ---------------------------------------------------------------- the two ways
    async def _call(self, sent: Input, number: int) -> list[str]:
        """One request, one answer; and if the connection goes on, so must its next request."""
        wrong: list[str] = []
        got = await self._ask(sent.pieces, head=sent.head)
        self._count(sent, got)
        wrong += judge.wrong_with(sent, got)
        if not got or got[-1].closes:
            self.leave()
        elif number % 4 == 0:
            data, name, prediction = canary(number)
            follow = await self._ask((data,))
            self._outcome.canaries += len(follow)
            wrong += (
                judge.wrong_with_canary(follow[0], name, prediction) if follow else ["no answer to a right request"]
            )
        return wrong

    async def _throw(self, sent: Input, number: int) -> list[str]:
        """Bytes with a right request behind them; then whatever comes, until that is answered or the server ends it."""
        data, name, prediction = canary(number)
        await self._write((*sent.pieces, data))
        got = await self._listen(name.encode())
        last = got[-1] if got and got[-1].headers.get(b"x-request-id") == name.encode() else None
        if last is not None:
            got = got[:-1]
            self._outcome.canaries += 1
        self._count(sent, got)
        wrong = [*judge.wrong_with(sent, got)]
        if last is not None and last.status == 200:
            wrong += judge.wrong_with_canary(last, name, prediction)
            wrong += [] if 200 in sent.statuses else ["what stands behind a refused request was answered"]
        if last is None or last.closes or self._half_closed:
            self.leave()
        return wrong

    # ---------------------------------------------------------------- bytes
    async def _write(self, pieces: Sequence[bytes]) -> None:
        assert self._writer is not None
        try:
            for piece in pieces:
                if self._writer.is_closing():
                    return
                self._writer.write(piece)
                if len(pieces) > 1:
                    await asyncio.sleep(0)
            await self._writer.drain()
        except ConnectionError:
            pass  # it was refused before it was all sent; the answer is there to be read

    async def _ask(self, pieces: Sequence[bytes], *, head: bool = False) -> list[Answer]:
        await self._write(pieces)
        data = b""
        while True:
            more = await self._read()
            data += more
            got, rest = answers(data, bodiless=(0,) if head else ())
            if got and not rest:
                return got
            if not more:
                return got

    async def _listen(self, name: bytes) -> list[Answer]:
        assert self._writer is not None
        data, patient = b"", random.random() < 0.03
        while True:
            try:
                async with asyncio.timeout(None if patient or self._half_closed else LISTEN_S):
                    more = await self._read()
            except TimeoutError:
                self._half_closed = True
                if not self._writer.is_closing():
                    self._writer.write_eof()
                continue
            data += more
            got, rest = answers(data)
            if not more or (got and not rest and got[-1].headers.get(b"x-request-id") == name):
                if rest:
                    raise NotHttp(f"an answer ends in {rest[-40:]!r}")
                return got

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(1 << 16)
        except ConnectionError:
            return b""

    def _count(self, sent: Input, got: Sequence[Answer]) -> None:
        for answer in got:
            self._outcome.statuses[answer.status] += 1
            self._outcome.overflowed += judge.no_finite_answer(sent, answer)


async def fuzz(
    port: int,
    models: Sequence[Model],
    seed: int,
    numbers: Sequence[int],
    connections: int = CONNECTIONS,
    seconds: float = float("inf"),
) -> Outcome:
    """Sends the inputs of these numbers, each once, for at most `seconds`."""
    outcome = Outcome()
    left: Iterator[int] = iter(numbers)
    began = time.monotonic()

    async def work() -> None:
        peer = Peer(port, seed, models, outcome)
        for number in left:
            await peer.send(number)
            if time.monotonic() - began > seconds:
                break
        peer.leave()

    await asyncio.gather(*(work() for _ in range(connections)))
    outcome.seconds = time.monotonic() - began
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no more are sent")
    parser.add_argument("--only", type=lambda text: [int(number) for number in text.split(",")])
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    numbers = asked.only or range(asked.first, asked.first + asked.count)
    with tempfile.TemporaryDirectory() as folder, hostile_service(Path(folder)) as (service, models):
        outcome = uvloop.run(
            fuzz(service.port, models, asked.seed, numbers, 1 if asked.only else CONNECTIONS, asked.seconds)
        )
        print(outcome)
        for finding in outcome.findings[:20]:
            print(f"\n{finding.told(asked.seed)}")
        return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
