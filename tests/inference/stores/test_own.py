"""A store of one's own: asked for many at once, for nobody twice, and never to the harm of who asks."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.inference.stores import AWAY, own
from penstock.inference.stores.own import NotThere, OwnStore, Store, made
from penstock.observability.logs import Log
from penstock.testing import FakeStore
from tests.inference.stores.conftest import Told

pytestmark = pytest.mark.anyio

RECORDS = {"a": {"age": 1}, "b": {"age": 2}, "": {}}


async def looked_up(store: OwnStore, *entities: str) -> list[Any]:
    """What comes of looking these up in one turn of the loop."""
    answers = [store.look(entity, ("age",)) for entity in entities]
    return [await asyncio.wait_for(answer, 30) for answer in answers if isinstance(answer, asyncio.Future)]


async def test_what_is_asked_in_one_turn_is_one_call(log: Log) -> None:
    fake = FakeStore(RECORDS)
    store = OwnStore("users", fake, 60.0, log)
    assert await looked_up(store, "a", "x", "b", "a", "") == [{"age": 1}, None, {"age": 2}, {"age": 1}, {}]
    assert fake.calls == [("a", "x", "b", "")]
    assert await looked_up(store, "a") == [{"age": 1}]
    assert fake.calls[1:] == [("a",)]


async def test_what_is_being_looked_up_is_not_asked_for_again(log: Log) -> None:
    fake = FakeStore(RECORDS)
    fake.gate = asyncio.Event()
    store = OwnStore("users", fake, 0.2, log)
    first = store.look("a", ("age",))
    await asyncio.sleep(0.02)
    assert store.look("a", ("age",)) is first
    await looked_up(store, "a")
    assert fake.calls == [("a",)]


@given(turns=st.lists(st.lists(st.sampled_from("abcde"), max_size=6), max_size=6))
def test_every_look_up_has_its_answer(turns: list[list[str]]) -> None:
    async def ask() -> None:
        records = {entity: {"name": entity} for entity in "abcd"}
        fake = FakeStore(records)
        store = OwnStore("users", fake, 60.0, None)  # type: ignore[arg-type] # nothing goes wrong
        asked = []
        for turn in turns:
            asked += [(entity, store.look(entity, ("name",))) for entity in turn]
            await asyncio.sleep(0)
        for entity, answer in asked:
            assert isinstance(answer, asyncio.Future)
            assert await answer == records.get(entity)
        assert all(len(set(call)) == len(call) for call in fake.calls)
        assert len(fake.calls) <= len(turns)

    asyncio.run(ask())


async def test_so_many_are_asked_for_in_one_call(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "MOST_TOGETHER", 3)
    fake = FakeStore(RECORDS)
    await looked_up(OwnStore("users", fake, 60.0, log), *"abcdefg")
    assert sorted(map(len, fake.calls)) == [1, 3, 3]


class Wrong:
    """Gives something that nobody asked for."""

    def __init__(self, found: Any) -> None:
        self._found = found

    async def get(self, entities: Sequence[str]) -> Sequence[Mapping[str, object] | None]:
        found: Sequence[Mapping[str, object] | None] = self._found
        return found


class Plain:
    """Gives what was asked for, and not as a coroutine."""

    def get(self, entities: Sequence[str]) -> Sequence[Mapping[str, object] | None]:
        return [None] * len(entities)


def raising() -> FakeStore:
    store = FakeStore()
    store.error = KeyError("secret u1")
    return store


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        (raising(), "KeyError at "),
        (Wrong([]), "get() was asked for 1 entities and did not give as many in a list"),
        (Wrong(None), "did not give as many in a list"),
        (Wrong(["u1"]), "get() gave something that is neither a mapping nor None"),
        (Plain(), "get() is no coroutine: write `async def get`"),
    ],
    ids=["raises", "too few", "none", "text", "not async"],
)
async def test_a_store_that_fails_is_away_and_told_of_once_in_a_while(
    log: Log, told: Told, store: Store, reason: str
) -> None:
    asked = OwnStore("users", store, 60.0, log)
    assert await looked_up(asked, "u1") == [AWAY]
    assert await looked_up(asked, "u1") == [AWAY]
    (line,) = told()
    assert (line["event"], line["store"]) == ("store_failed", "users")
    assert reason in line["reason"]
    assert "u1" not in line["reason"], "what was looked up is nobody's business"


async def test_a_store_that_is_too_slow_is_away(log: Log, told: Told) -> None:
    fake = FakeStore(RECORDS)
    fake.gate = asyncio.Event()
    store = OwnStore("users", fake, 0.01, log)
    assert await looked_up(store, "a", "b") == [AWAY, AWAY]
    fake.gate = None
    assert await looked_up(store, "a") == [{"age": 1}]
    assert told()[0]["reason"] == "no answer within 10 ms"


class Stubborn(FakeStore):
    """Does not end when it is told to."""

    async def get(self, entities: Sequence[str]) -> Sequence[Mapping[str, object] | None]:
        self.calls.append(tuple(entities))
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if self.error is not None:
                    raise


async def test_a_store_whose_calls_do_not_end_is_asked_for_nothing_more(
    log: Log, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "MOST_CALLS", 3)
    stubborn = Stubborn()
    store = OwnStore("users", stubborn, 0.001, log)
    for entity in "abc":
        store.look(entity, ())
        await asyncio.sleep(0.01)
    assert await looked_up(store, "d") == [AWAY]
    assert len(stubborn.calls) == 3
    stubborn.error = RuntimeError()
    store.close()
    await asyncio.sleep(0)
    assert told()[0]["reason"] == "it has 3 calls that do not end"


def test_a_store_is_made_of_a_module_and_a_name() -> None:
    assert isinstance(made("penstock.testing:FakeStore"), FakeStore)


@pytest.mark.parametrize("target", ["no_such_module:X", "penstock.testing:Nothing", "penstock.testing:count"])
def test_a_store_that_cannot_be_made_is_an_error(target: str) -> None:
    with pytest.raises((ImportError, NotThere, TypeError)):
        made(target)
