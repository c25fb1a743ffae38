"""Completing a row: whatever a store holds of an entity, each feature is found, has its default, or is refused."""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from penstock.errors import ContextUnavailable, MissingContext
from penstock.inference.context import Completion, Judged, moment_of
from penstock.inference.stores import AWAY, UNREADABLE, Answer
from penstock.model.context import Context, Feature
from penstock.model.signature import Field, Output, OutputField, Signature

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000.0
MAX_AGE_S = 100.0
SIGNATURE = Signature(
    inputs=(
        Field(name="country", dtype="string"),
        Field(name="amount"),
        Field(name="age", dtype="int64"),
        Field(name="member", dtype="bool", nullable=True),
    ),
    output=Output(fields=(OutputField(name="y"),)),
)
GOOD: dict[str, tuple[object, Any]] = {
    "age": ("41", 41),
    "country": (b"CH", "CH"),
    "member": ("true", True),
}
BAD: dict[str, object] = {"age": "4.5", "country": 7, "member": "perhaps"}
DEFAULTS: dict[str, Any] = {"age": 30, "country": "??", "member": None}


class Still:
    """A store that has one answer, at once or in a future."""

    def __init__(self, answer: "Answer | asyncio.Future[Answer]" = None, timeout_s: float = 60.0) -> None:
        self.answer = answer
        self.timeout_s = timeout_s
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.closed = False

    def look(self, entity: str, fields: tuple[str, ...]) -> "Answer | asyncio.Future[Answer]":
        self.asked.append((entity, fields))
        return self.answer

    def close(self) -> None:
        self.closed = True


def completion(contexts: list[Context], *stores: Still) -> Completion:
    return Completion(contexts, SIGNATURE, stores)


def feature(name: str, *, has_default: bool) -> Feature:
    return Feature(name=name, field=f"{name}_field", default=DEFAULTS[name] if has_default else UNSET)


STATES = st.fixed_dictionaries({name: st.sampled_from(["found", "missing", "nan", "invalid"]) for name in GOOD})
HELD: dict[str, Any] = {"missing": None, "nan": math.nan}


@given(
    STATES,
    st.sets(st.sampled_from(sorted(GOOD))),
    st.sampled_from(["fresh", "old", "unknown", "garbage", "absent", "away", "timeless"]),
)
def test_each_feature_is_found_or_has_its_default_or_is_refused(
    states: dict[str, str], with_default: set[str], store: str
) -> None:
    async def judged() -> tuple[Completion, list[Judged]]:
        timeless = store == "timeless"
        context = Context(
            key="user_id",
            store="users",
            updated=None if timeless else "at",
            max_age_s=None if timeless else MAX_AGE_S,
            features=tuple(feature(name, has_default=name in with_default) for name in GOOD),
        )
        whole = completion([context], Still())
        return whole, [whole.entries[0].judge(_answer(states, store), NOW)]

    whole, (found,) = asyncio.run(judged())
    unknown = "stale" if set(states.values()) != {"missing"} else "missing"
    overall = {"old": "stale", "unknown": unknown, "garbage": "stale", "absent": "missing", "away": "away"}.get(store)
    for i, name in enumerate(GOOD):
        fault = overall or {"found": None, "nan": "missing"}.get(states[name], states[name])
        assert found.faults.get(name) == fault
        assert (name in found.refused) == (fault is not None and name not in with_default)
        if fault is None:
            assert found.values[i] == GOOD[name][1]
        elif name in with_default:
            assert found.values[i] == DEFAULTS[name]
    if found.refused:
        faults = {found.faults[name] for name in found.refused}
        with pytest.raises(MissingContext if faults - {"away"} else ContextUnavailable):
            whole.demand([found])
    else:
        whole.demand([found])
        assert whole.row([12.5], [found]) == [found.values[1], 12.5, found.values[0], found.values[2]]


def _answer(states: dict[str, str], store: str) -> Answer:
    if store in ("absent", "away"):
        return AWAY if store == "away" else None
    record = {f"{name}_field": _held(name, state) for name, state in states.items()}
    moments: dict[str, object] = {"fresh": NOW - MAX_AGE_S, "old": NOW - MAX_AGE_S - 1, "garbage": "yesterday"}
    return record | ({"at": moments[store]} if store in moments else {"at": None, "other": 1})


def _held(name: str, state: str) -> object:
    if state == "found":
        return GOOD[name][0]
    return BAD[name] if state == "invalid" else HELD[state]


async def test_a_redis_that_knows_nothing_of_an_entity_is_no_stale_one() -> None:
    context = Context(key="u", store="s", updated="at", max_age_s=1.0, features=(feature("age", has_default=False),))
    (entry,) = completion([context], Still()).entries
    assert entry.judge({"age_field": None, "at": None}, NOW).faults == {"age": "missing"}
    assert entry.judge({"age_field": "3", "at": None}, NOW).faults == {"age": "stale"}


async def test_what_is_no_record_at_all_is_no_stale_one_either() -> None:
    context = Context(key="u", store="s", updated="at", max_age_s=1.0, features=(feature("age", has_default=False),))
    (entry,) = completion([context], Still()).entries
    assert entry.judge({"age_field": UNREADABLE, "at": UNREADABLE}, NOW).faults == {"age": "invalid"}


async def test_what_a_store_of_ones_own_holds_may_be_anything() -> None:
    class Odd:
        def __ne__(self, other: object) -> bool:
            raise RuntimeError("boom")

        __eq__ = __ne__

        def __hash__(self) -> int:
            return 0

    context = Context(key="u", store="s", features=(feature("age", has_default=True),))
    (entry,) = completion([context], Still()).entries
    assert entry.judge({"age_field": Odd()}, NOW).faults == {"age": "invalid"}


class Lazy(Mapping[str, object]):
    """A record that is read when it is too late."""

    def __getitem__(self, field: str) -> object:
        raise RuntimeError("gone")

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("aging", [{}, {"updated": "at", "max_age_s": 1.0}])
async def test_a_record_that_cannot_be_read_holds_no_value(aging: dict[str, Any]) -> None:
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    told: asyncio.Future[list[Judged]] = asyncio.get_running_loop().create_future()
    context = Context(key="u", store="s", features=(feature("age", has_default=True),), **aging)
    completion([context], Still(answer)).look(["u1"], 60.0, told.set_result)
    answer.set_result(Lazy())
    (judged,) = await asyncio.wait_for(told, 30)
    assert (judged.values, judged.faults) == ([30], {"age": "invalid"})


async def test_a_store_that_raises_is_away() -> None:
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    told: asyncio.Future[list[Judged]] = asyncio.get_running_loop().create_future()
    completion([USERS], Still(answer)).look(["u1"], 60.0, told.set_result)
    answer.set_exception(RuntimeError("gone"))
    (judged,) = await asyncio.wait_for(told, 30)
    assert judged.faults == {"age": "away"}


USERS = Context(key="user_id", store="a", entity="user:{user_id}!", features=(feature("age", has_default=False),))
SHOPS = Context(key="shop", store="b", features=(feature("country", has_default=False),))
AGAIN = Context(key="user_id", store="c", features=(feature("member", has_default=True),))


def never(found: list[Judged]) -> None:
    raise AssertionError


async def test_several_stores_are_asked_at_once_by_their_keys() -> None:
    stores = Still({"age_field": 5}), Still({"country_field": "CH"}), Still(AWAY)
    whole = completion([USERS, SHOPS, AGAIN], *stores)
    assert whole.keys == ("user_id", "shop")
    assert [field.name for field in whole.own.inputs] == ["amount"]
    found = whole.look(["u1", "s1"], 1.0, never)
    assert found is not None
    assert whole.row([2.0], found) == ["CH", 2.0, 5, None]
    assert [store.asked for store in stores] == [
        [("user:u1!", ("age_field",))],
        [("s1", ("country_field",))],
        [("u1", ("member_field",))],
    ]


async def test_what_comes_later_is_waited_for_together() -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    whole = completion([USERS, SHOPS, AGAIN], Still(first), Still(second), Still({"member_field": False}))
    told: asyncio.Future[list[Judged]] = loop.create_future()
    assert whole.look(["u1", "s1"], 60.0, told.set_result) is None
    second.set_result({"country_field": "DE"})
    await asyncio.sleep(0)
    assert not told.done()
    first.set_result({"age_field": "7"})
    assert whole.row([2.0], await told) == ["DE", 2.0, 7, False]


@pytest.mark.parametrize(("timeout_s", "left_s"), [(0.01, 60.0), (60.0, 0.01), (60.0, -1.0)])
async def test_a_store_is_waited_for_no_longer_than_it_may_take_or_the_request_has(
    timeout_s: float, left_s: float
) -> None:
    loop = asyncio.get_running_loop()
    slow: asyncio.Future[Answer] = loop.create_future()
    told: asyncio.Future[list[Judged]] = loop.create_future()
    whole = completion([USERS, SHOPS], Still(slow, timeout_s), Still({"country_field": "DE"}, timeout_s))
    whole.look(["u1", "s1"], left_s, told.set_result)
    users, shops = await asyncio.wait_for(told, 30)
    assert users.faults == {"age": "away"}
    assert shops.values == ["DE"]
    slow.set_result({"age_field": 1})  # others may still wait for it
    await asyncio.sleep(0)


async def test_the_refusal_names_every_feature_that_is_not_known() -> None:
    whole = completion([USERS, SHOPS], Still(), Still())
    found = whole.look(["u1", "s1"], 1.0, never)
    assert found is not None
    with pytest.raises(MissingContext) as refused:
        whole.demand(found)
    assert [(each.loc, each.msg) for each in refused.value.problems] == [
        (("user_id",), "age of this user_id is not known."),
        (("shop",), "country of this shop is not known."),
    ]


async def test_what_is_wrong_with_a_store_is_no_fault_of_the_client() -> None:
    whole = completion([USERS], Still(AWAY))
    found = whole.look(["u1"], 1.0, never)
    assert found is not None
    with pytest.raises(ContextUnavailable, match="age comes from the store 'a', which does not answer"):
        whole.demand(found)


@pytest.mark.parametrize("answer", [{"age_field": "much"}, {"age_field": UNREADABLE}])
async def test_what_is_wrong_with_an_entity_is_none_of_the_store(answer: Answer) -> None:
    whole = completion([USERS], Still(answer))
    found = whole.look(["u1"], 1.0, never)
    assert found is not None
    with pytest.raises(MissingContext, match="age of this user_id is no value that the model takes"):
        whole.demand(found)


async def test_only_its_own_stores_are_closed_with_a_version() -> None:
    mine, another = Still(), Still()
    Completion([USERS, SHOPS], SIGNATURE, [mine, another], [mine]).close()
    assert (mine.closed, another.closed) == (True, False)


@given(st.integers(631_152_000, 4_102_444_800))
def test_a_moment_may_be_written_in_several_ways(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    there = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    written = [seconds, repr(seconds), repr(seconds).encode(), moment, moment.replace(tzinfo=None), moment.isoformat()]
    written += [
        moment.replace(tzinfo=None).isoformat() + "Z",
        moment.replace(tzinfo=None).isoformat(),
        there.isoformat(),
    ]
    assert {moment_of(each) for each in written} == {seconds}


async def test_a_moment_in_another_unit_is_no_moment() -> None:
    context = Context(key="u", store="s", updated="at", max_age_s=1e12, features=(feature("age", has_default=False),))
    (entry,) = completion([context], Still()).entries
    now = time.time()
    assert entry.judge({"age_field": 3, "at": now * 1000}, now).faults == {"age": "stale"}
    assert entry.judge({"age_field": 3, "at": now + 60}, now).faults == {}
    assert entry.judge({"age_field": 3, "at": math.nan}, now).faults == {"age": "stale"}
