"""Thousands of mixed batches to a real host over a real socket: every row gets its own answer."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pytest

from penstock.config import Batching, Model
from penstock.errors import ClientGone, DeadlineExceeded, ModelFailed, RequestError, WaitTooLong
from penstock.inference.batcher import Batcher
from penstock.inference.hosts import Host, HostLink
from penstock.inference.rows import Rows
from penstock.inference.ticket import Result, Ticket
from penstock.inference.versions import LoopTimer
from penstock.model.control import Artifact, Loaded
from penstock.model.shaping import Shaping
from tests.host.driver import HostProcess, artifact, declared

SEED = 5
CLIENTS = 24
MOST_ROWS = 50  # of a request
PATIENCE_S = 15.0  # never used up, but by a request that got lost
RANGE = 2**24  # of the rows' numbers

Spoilt = Literal["raises", "nan"] | None
"""What one row of a request does to its batch: the model raises, or answers that row with no finite number."""
Temper = Literal["patient", "gone", "hurried"]


class Echo(Protocol):
    """A model of which the answer tells the number of each row."""

    def artifact(self, folder: Path) -> Artifact: ...

    def rows(self, numbers: list[int], spoilt: Spoilt) -> Rows: ...

    def numbers(self, result: Result, probabilities: bool) -> list[int]:
        """Those of the rows that this is the answer to, each read from all that is said of it."""


class Classes:
    """One plain matrix. Answered with one of two classes, of which the probabilities are the number and its rest."""

    SOURCE = f"""
import numpy as np

class Predictor:
    signature = "3"

    def load(self, path): pass

    def predict(self, batch):
        if (batch[:, 1] == {RANGE}).any():
            raise ValueError("one of these rows")
        first = np.where(batch[:, 2] == {RANGE}, np.nan, batch[:, 0] % {RANGE} / {RANGE})
        return np.stack([first, 1 - first], axis=1)
"""

    def artifact(self, folder: Path) -> Artifact:
        return written(folder, self.SOURCE, output=Shaping(labels=("first", "second")))

    def rows(self, numbers: list[int], spoilt: Spoilt) -> Rows:
        matrix = np.zeros((len(numbers), 3))
        matrix[:, 0] = numbers
        if spoilt:
            matrix[-1, 1 if spoilt == "raises" else 2] = RANGE
        return Rows(len(numbers), [matrix.tobytes()])

    def numbers(self, result: Result, probabilities: bool) -> list[int]:
        assert result.confidence is not None
        assert (result.probabilities is not None) == probabilities
        likelier = zip(*result.outputs, result.confidence, strict=True)
        firsts = [1 - sure if index else sure for index, sure in likelier]
        assert result.probabilities in (None, [[first, 1 - first] for first in firsts])
        return [int(first * RANGE) for first in firsts]


class Words:
    """A column of numbers beside one of text, of any length. Both are echoed."""

    SOURCE = """
import numpy as np

class Predictor:
    def load(self, path): pass

    def predict(self, batch):
        words = batch["word"]
        if "raises" in words:
            raise ValueError("one of these rows")
        numbers = [np.nan if word == "nan" else number for word, number in zip(words, batch["number"])]
        return {"number": np.array(numbers, "float64"), "word": list(words)}
"""

    def artifact(self, folder: Path) -> Artifact:
        fields = (*declared("number", dtype="int64"), *declared("word", dtype="string"))
        return written(folder, self.SOURCE, inputs=fields)

    def rows(self, numbers: list[int], spoilt: Spoilt) -> Rows:
        words: list[str] = [self._word(number) for number in numbers]
        if spoilt:
            words[-1] = spoilt
        return Rows(len(numbers), [np.array(numbers, "int64").tobytes(), words])

    def numbers(self, result: Result, probabilities: bool) -> list[int]:
        numbers, words = result.outputs
        assert words == [self._word(int(number)) for number in numbers]
        return [int(number) for number in numbers]

    @staticmethod
    def _word(number: int) -> str:
        return f"№ {number} " + "é" * (number % 40)


def written(folder: Path, source: str, **said: Any) -> Artifact:
    (folder / "predictor.py").write_text(source)
    return artifact(folder / "predictor.py", **said)


class Tally:
    """What the batcher tells of its batches."""

    def __init__(self) -> None:
        self.batches = 0
        self.rows = 0
        self.splits = 0

    def batch(self, rows: int, seconds: float, raw: Mapping[str, memoryview], /) -> None:
        self.batches += 1
        self.rows += rows

    def busy(self, seconds: float, /) -> None: ...

    def waited(self, expected_s: float, waited_s: float, /) -> None: ...

    def split(self) -> None:
        self.splits += 1

    def left(self, reason: str, /) -> None: ...


class Crowd:
    """Clients that ask one request after the other until so many batches were answered, and look at each answer."""

    def __init__(self, echo: Echo, batcher: Batcher, tally: Tally, batches: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.answered_rows = 0
        self._echo = echo
        self._batcher = batcher
        self._tally = tally
        self._batches = batches
        self._draw = random.Random(SEED)
        self._numbers = count(1)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._client())

    async def _client(self) -> None:
        while self._tally.batches < self._batches:
            temper: Temper = self._draw.choices(("patient", "gone", "hurried"), (8, 1, 1))[0]
            spoilt: Spoilt = self._draw.choices((None, "raises", "nan"), (94, 3, 3))[0]
            await self._ask(temper, spoilt)

    async def _ask(self, temper: Temper, spoilt: Spoilt) -> None:
        numbers = [next(self._numbers) for _ in range(round(MOST_ROWS ** self._draw.random()))]
        settled = asyncio.get_running_loop().create_future()
        ticket = self._ticket(self._echo.rows(numbers, spoilt), settled.set_result, hurried=temper == "hurried")
        try:
            self._batcher.submit(ticket)
        except (DeadlineExceeded, WaitTooLong) as refusal:
            self._refused(refusal, temper)
            return
        if temper == "gone":
            await asyncio.sleep(self._draw.choice((0, 0.001)))
            self._batcher.withdraw(ticket)
        async with asyncio.timeout(2 * PATIENCE_S):
            assert await settled is ticket
        self._look(ticket, numbers, temper, spoilt)

    def _ticket(self, rows: Rows, settled: Callable[[Ticket], object], *, hurried: bool) -> Ticket:
        now = time.monotonic()
        deadline = now + (self._draw.uniform(-0.002, 0.005) if hurried else PATIENCE_S)
        probabilities = isinstance(self._echo, Classes) and self._draw.random() < 0.2
        high = self._draw.random() < 0.2
        return Ticket(rows, settled, probabilities=probabilities, high=high, deadline=deadline, queued_at=now)

    def _refused(self, refusal: RequestError, temper: Temper) -> None:
        assert temper == "hurried"
        self.outcomes[type(refusal).__name__] += 1

    def _look(self, ticket: Ticket, numbers: list[int], temper: Temper, spoilt: Spoilt) -> None:
        """An answer is that to its own rows, and whoever has none has the reason that is theirs."""
        if ticket.result is not None:
            assert spoilt is None
            assert self._echo.numbers(ticket.result, ticket.probabilities) == numbers
            self.answered_rows += len(numbers)
        else:
            late = {"patient": (), "gone": (ClientGone,), "hurried": (DeadlineExceeded,)}[temper]
            assert isinstance(ticket.error, (*late, ModelFailed) if spoilt else late)
        self.outcomes[type(ticket.error).__name__ if ticket.error else "answered"] += 1


@contextmanager
def batching(loaded: Loaded, hosts: list[HostProcess], tally: Tally) -> Iterator[Batcher]:
    """A batcher with a link to each of the hosts, none of which may be lost. The second is sent a batch ahead."""
    loop = asyncio.get_running_loop()
    settings = Model(path="", batching=Batching(max_rows=64))
    lost: list[Host] = []
    batcher = Batcher(settings, timer=LoopTimer(loop), soon=loop.call_soon, meter=tally, hung=lost.append)
    for number, host in enumerate(hosts):
        front = host.front()
        batcher.attach(HostLink(number, front.socket, front.stamp, loaded.signature, batcher))
    yield batcher
    assert (batcher.hosts, lost) == (len(hosts), [])
    batcher.close()


@pytest.mark.soak
@pytest.mark.anyio
@pytest.mark.parametrize("echo", [Classes(), Words()], ids=["numbers", "text"])
async def test_every_row_gets_its_own_answer_whatever_it_was_batched_with(
    echo: Echo, tmp_path: Path, scale: Callable[[int, int], int]
) -> None:
    """Beside rows that fail their batch, clients that went away, and deadlines too short for anything."""
    batches, tally = scale(150, 5_000), Tally()
    of = echo.artifact(tmp_path)
    with HostProcess(of) as first, HostProcess(of) as second:
        loaded = first.loaded()
        second.loaded()
        with batching(loaded, [first, second], tally) as batcher:
            crowd = Crowd(echo, batcher, tally, batches)
            await crowd.run()
            assert batcher.queued_rows == 0
    print(f"{tally.batches} batches of {tally.rows} rows, {tally.splits} splits; requests: {dict(crowd.outcomes)}")
    assert crowd.answered_rows <= tally.rows
    assert tally.splits > 0
    assert all(crowd.outcomes[each] for each in ("answered", "ModelFailed", "ClientGone", "DeadlineExceeded"))
