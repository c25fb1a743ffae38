"""Waiting for several stores at once, for each no longer than it may take."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from penstock.inference.stores import AWAY, Answer

Answers = list[Answer]


class Lookup:
    """Tells `done` all answers together, once the last one is there. A store that is too late is away.

    `waits` are the seconds that each may take. What is shared with others is left alone: it may come for them.
    """

    __slots__ = ("_answers", "_done", "_missing", "_timers")

    def __init__(
        self,
        asked: "Sequence[Answer | asyncio.Future[Answer]]",
        waits: Sequence[float],
        loop: asyncio.AbstractEventLoop,
        done: Callable[[Answers], object],
    ) -> None:
        self._done = done
        self._answers: list[Answer | asyncio.Future[Answer]] = list(asked)
        self._timers: dict[int, asyncio.TimerHandle] = {}
        for i, answer in enumerate(asked):
            if isinstance(answer, asyncio.Future):
                self._timers[i] = loop.call_later(max(0.0, waits[i]), self._settle, i, AWAY)
                answer.add_done_callback(partial(self._came, i))

    def _came(self, i: int, future: "asyncio.Future[Answer]") -> None:
        if i in self._timers:
            failed = future.cancelled() or future.exception() is not None
            self._settle(i, AWAY if failed else future.result())

    def _settle(self, i: int, answer: Answer) -> None:
        self._timers.pop(i).cancel()
        self._answers[i] = answer
        if not self._timers:
            self._done(self._answers)  # type: ignore[arg-type] # no future is left
