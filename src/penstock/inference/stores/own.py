"""A store of one's own: a class with one method, which is asked for many entities at once."""

import asyncio
import importlib
from collections.abc import Awaitable, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

from penstock.inference.stores import AWAY, Answer
from penstock.inference.stores.complaint import Complaint
from penstock.observability.logs import Log
from penstock.values import did_you_mean

MOST_TOGETHER = 1000  # entities in one call
MOST_CALLS = 64  # that are not answered; a store that does not come to an end is asked for nothing more


class Store(Protocol):
    """What a store of one's own is. It lives in the front's event loop, which it must never keep waiting."""

    async def get(self, entities: Sequence[str]) -> Sequence[Mapping[str, object] | None]:
        """The fields of each entity, in their order; None for one that is not known. What is raised counts as away."""


class NotThere(Exception):
    """A module has no such name; the message says so, and holds nothing but names."""


def made(target: str) -> Store:
    """The store that `module:name` makes when it is called. Raises NotThere, and whatever the making raises."""
    module, _, name = target.partition(":")
    store: Store = _found(importlib.import_module(module), name)()
    if not callable(getattr(store, "get", None)):
        raise TypeError(f"{target} makes something without a method `get`")
    return store


def _found(module: ModuleType, name: str) -> Any:
    """What is called so, in the module or in what is in it."""
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            near = did_you_mean(part, [each for each in dir(found) if not each.startswith("_")])
            raise NotThere(f"{getattr(found, '__name__', module.__name__)} has no {part}{near}")
        found = getattr(found, part)
    return found


class OwnStore:
    """Gathers the look-ups of one turn of the event loop into one call of `get`; an entity that is being looked up is
    not asked for again."""

    def __init__(self, name: str, store: Store, timeout_s: float, log: Log) -> None:
        self.timeout_s = timeout_s
        self._store = store
        self._complain = Complaint(name, log)
        self._loop = asyncio.get_running_loop()
        self._flying: dict[str, asyncio.Future[Answer]] = {}
        self._gathered: list[str] = []
        self._calls: set[asyncio.Task[None]] = set()

    def look(self, entity: str, fields: tuple[str, ...]) -> "Answer | asyncio.Future[Answer]":
        answer = self._flying.get(entity)
        if answer is None:
            answer = self._flying[entity] = self._loop.create_future()
            self._gathered.append(entity)
            if len(self._gathered) == 1:
                self._loop.call_soon(self._ask)
            elif len(self._gathered) == MOST_TOGETHER:
                self._ask()
        return answer

    def close(self) -> None:
        for call in self._calls:
            call.cancel()

    def _ask(self) -> None:
        entities, self._gathered = self._gathered, []
        if not entities:
            return
        if len(self._calls) >= MOST_CALLS:
            self._answer(entities, [AWAY] * len(entities))
            self._complain(f"it has {MOST_CALLS} calls that do not end")
            return
        call = self._loop.create_task(self._call(entities))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _call(self, entities: Sequence[str]) -> None:
        answers: Sequence[Answer] = [AWAY] * len(entities)
        try:
            async with asyncio.timeout(self.timeout_s):
                answers = _checked(await _awaitable(self._store.get(tuple(entities))), len(entities))
        except TimeoutError:
            self._complain(f"no answer within {self.timeout_s * 1000:g} ms")
        except Exception as error:  # noqa: BLE001 # whatever somebody's own code raises
            self._complain(where(error))
        finally:
            self._answer(entities, answers)

    def _answer(self, entities: Sequence[str], answers: Sequence[Answer]) -> None:
        for entity, answer in zip(entities, answers, strict=True):
            self._flying.pop(entity).set_result(answer)


def _awaitable(call: Any) -> Awaitable[Any]:
    if not isinstance(call, Awaitable):
        raise TypeError("get() is no coroutine: write `async def get`")
    return call


def _checked(found: Any, wanted: int) -> Sequence[Answer]:
    if not isinstance(found, Sequence) or len(found) != wanted:
        raise TypeError(f"get() was asked for {wanted} entities and did not give as many in a list")
    if not all(each is None or isinstance(each, Mapping) for each in found):
        raise TypeError("get() gave something that is neither a mapping nor None")
    return found


def where(error: Exception) -> str:
    """The kind of an error and where it came from: its message may hold what was looked up."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    said = f": {error}" if isinstance(error, TypeError) and str(error).startswith("get() ") else ""
    return f"{type(error).__name__}{at}{said}"
