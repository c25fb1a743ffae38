"""Clients of every temper, for the model that echoes: all record what they see, and whether it was theirs."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from itertools import count

from tests.soak.client import Answer, Connection, Lost, connect, request
from tests.soak.verdict import Outcome, Record

PATIENCE_S = 30.0
ID_OF_FRONT = 16  # digits of a request's id that are the front's own
STEADY, LEAVING, SLOW, DEAF = 12, 4, 3, 2


class Crowd:
    """Clients that go on until `stop` is set. Rows are numbered, so that no two answers are the same."""

    def __init__(self, port: int, seed: int) -> None:
        self.record = Record()
        self.stop = asyncio.Event()
        self._port = port
        self._draw = random.Random(seed)
        self._rows = count(1)

    async def run(self) -> None:
        clients: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._steady, STEADY),
            (self._leaving, LEAVING),
            (self._slow, SLOW),
            (self._deaf, DEAF),
        ]
        async with asyncio.TaskGroup() as group:
            for client, number in clients:
                for _ in range(number):
                    group.create_task(self._until_stopped(client))

    async def _until_stopped(self, client: Callable[[], Awaitable[None]]) -> None:
        while not self.stop.is_set():
            await client()

    # ---------------------------------------------------------------- tempers
    async def _steady(self) -> None:
        """Asks without pause, and keeps the connection for as long as it is let."""
        seat = await self._sit("steady")
        while not self.stop.is_set() and not seat.over:
            await seat.ask(self._question())
        seat.connection.close()

    async def _leaving(self) -> None:
        """Goes away before a word, in the head, in the body, without its answer, or in the middle of it."""
        connection = await connect(self._port)
        whole = self._question(rows=200).bytes
        connection.send(whole[: self._draw.choice((0, 20, len(whole) - 20, len(whole), len(whole)))])
        await asyncio.sleep(self._draw.choice((0, 0.001, 0.01)))
        self._draw.choice((connection.close, connection.vanish))()

    async def _slow(self) -> None:
        """Sends a few bytes now and then: some in time, some too late."""
        seat = await self._sit("slow")
        question = self._question(rows=2)
        await seat.ask(question, pause_s=self._draw.choice((0.01, 0.05, 0.2)))
        seat.connection.close()

    async def _deaf(self) -> None:
        """Asks for much and does not read for a while."""
        seat = await self._sit("deaf")
        seat.connection.transport.pause_reading()
        self._loop().call_later(self._draw.uniform(0.1, 1.0), seat.connection.transport.resume_reading)
        await seat.ask(self._question(rows=1000))
        seat.connection.close()

    def _question(self, rows: int | None = None) -> "Question":
        many = rows or (self._draw.randint(2, 30) if self._draw.random() < 0.2 else None)
        deadline_s = 0.05 if self._draw.random() < 0.05 else None
        return Question([next(self._rows) for _ in range(many or 1)], batch=many is not None, deadline_s=deadline_s)

    async def _sit(self, client: str) -> "Seat":
        opened = time.time()
        return Seat(client, opened, await connect(self._port), self.record)

    @staticmethod
    def _loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()


class Question:
    """Rows with numbers of their own, and what has to come back."""

    def __init__(self, numbers: list[int], *, batch: bool, deadline_s: float | None) -> None:
        rows = [[number, 0.5, 0.25, 1] for number in numbers]
        self.own_id = f"row-{numbers[0]}" if batch else None
        self.deadline_s = deadline_s
        headers = {"x-request-id": self.own_id} if self.own_id else {}
        if deadline_s is not None:
            headers["x-request-timeout-ms"] = str(deadline_s * 1000)
        body, path = ({"batch": rows}, "/predict-batch") if batch else ({"features": rows[0]}, "/predict")
        self.bytes = request(path, body, headers=headers)
        self._expected = [float(number) for number in numbers]

    def fits(self, answer: Answer) -> bool:
        """Whether these are the answers to these rows, in their order, under the id of this request."""
        told = answer.json()
        echoed = told["predictions"] if "predictions" in told else [told["prediction"]]
        return echoed == self._expected and self.own_id in (None, answer.header("x-request-id"))


class Seat:
    """One client's connection, and what it learns of the front at the other end."""

    def __init__(self, client: str, opened: float, connection: Connection, record: Record) -> None:
        self.connection = connection
        self.over = False
        self._client = client
        self._opened = opened
        self._record = record
        self._front = ""

    async def ask(self, question: Question, pause_s: float = 0.0) -> None:
        sent = time.time()
        answer = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await self._exchange(question.bytes, pause_s)
        except Lost:
            self.over = True
        except TimeoutError:
            self.over = True
            self._record.wrong.append(f"{self._client}: no answer within {PATIENCE_S:g} s to {question.bytes[:300]!r}")
            return
        self._settle(question, answer, sent, time.time())

    async def _exchange(self, data: bytes, pause_s: float) -> Answer:
        if not pause_s:
            return await self.connection.ask(data)
        answer = self.connection.answer()
        for at in range(0, len(data), 8):
            if answer.done():
                break
            self.connection.send(data[at : at + 8])
            await asyncio.sleep(pause_s)
        return await answer

    def _settle(self, question: Question, answer: Answer | None, sent: float, ended: float) -> None:
        record = self._record
        status = answer.status if answer else 0
        if answer:
            given = answer.header("x-request-id")
            if given != question.own_id:
                self._front = given[:ID_OF_FRONT]
            if self._front:
                record.last_answer[self._front] = ended
            self.over = answer.last
        if answer and status == 200:
            if question.fits(answer):
                record.right[self._client] += 1
            else:
                record.wrong.append(f"{question.bytes!r} was answered {answer}")
            return
        told = answer.json() if answer else {}
        record.failed.append(
            Outcome(
                client=self._client,
                opened=self._opened,
                sent=sent,
                ended=ended,
                front=self._front,
                status=status,
                code=told.get("code", ""),
                retry_after=answer is not None and answer.header("retry-after") == "1",
                deadline_s=question.deadline_s,
            )
        )
