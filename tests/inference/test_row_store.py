"""Answers in memory: no more than there is room for, no older than they may be."""

import random
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.inference.ring_store import PLACE_BYTES, RingStore
from penstock.inference.row_answers import Columns, RowAnswer, again, answers_of, apart, row_bytes, together, weigh
from penstock.inference.row_store import RowStore
from penstock.inference.ticket import Result
from penstock.inference.weighed_store import ANSWER_BYTES, WeighedStore
from penstock.model.signature import Field, Output, OutputField, Signature
from penstock.observability.metrics import Counter
from penstock.testing import ManualTimer

SIGNATURE = Signature(
    inputs=(Field(name="a"),),
    output=Output(fields=(OutputField(name="y", dtype="int32", classes=("no", "yes")),), probabilities=True),
)
ENTRY = 8 + ANSWER_BYTES + 100


def answer(value: int = 0) -> RowAnswer:
    return 0.5, None, None, value


def columns(*answers: RowAnswer) -> Columns:
    return list(zip(*answers, strict=True))


def word(length: int = 100) -> RowAnswer:
    """An answer that is text, and weighs so many bytes."""
    return None, None, None, "w" * (length - weigh((None, None, None, "")))


class World:
    def __init__(self, rows: int = 100) -> None:
        self.timer = ManualTimer()
        self.evictions = Counter()
        self.store: RowStore = RingStore(rows, ENTRY, 10.0, clock=self.timer.time, evictions=self.evictions)

    def put(self, *names: int) -> None:
        """Twice, so that it is kept wherever there is any room for it."""
        for name in names:
            self.put_once(name)
            self.put_once(name)

    def put_once(self, *names: int) -> None:
        self.store.put([key(name) for name in names], columns(*map(self.answer, names)))

    def answer(self, name: int) -> RowAnswer:
        return answer(name)

    def held(self, *names: int) -> list[int]:
        return [name for name in names if self.store.find([key(name)])]


class Weighed(World):
    """Of answers that are text."""

    def __init__(self, rows: int = 100, nbytes: int = 2**20) -> None:
        super().__init__()
        self.store = WeighedStore(rows, nbytes, 10.0, clock=self.timer.time, evictions=self.evictions)

        self.length = 100

    def put_of(self, length: int, *names: int) -> None:
        self.length = length
        self.put(*names)

    def answer(self, name: int) -> RowAnswer:
        return word(self.length)


def key(name: int) -> bytes:
    return name.to_bytes(8, "little")


@pytest.mark.parametrize("kind", [World, Weighed])
def test_what_was_asked_for_least_lately_goes_first(kind: Callable[..., World]) -> None:
    world = kind(rows=3)
    world.put(1, 2)
    world.put(3)
    assert world.held(1) == [1]
    world.put(4)
    assert world.held(1, 2, 3, 4) == [1, 3, 4]
    assert world.evictions.value == 1


@pytest.mark.parametrize("kind", [World, Weighed])
def test_where_there_is_no_room_only_what_is_wanted_again_takes_the_place_of_another(
    kind: Callable[..., World],
) -> None:
    world = kind(rows=3)
    world.put_once(1, 2, 3)
    world.put_once(4)
    assert (world.held(4), len(world.store), world.evictions.value) == ([], 3, 0)
    world.put_once(5)
    world.put_once(4)
    assert (world.held(1, 2, 3, 4, 5), world.evictions.value) == ([2, 3, 4], 1)


@pytest.mark.parametrize("kind", [World, Weighed])
def test_rows_that_come_once_drive_out_few_of_the_others(kind: Callable[..., World]) -> None:
    world = kind(rows=100)
    world.put_once(*range(100))
    for name in range(100, 10_000):
        world.put_once(name)
    assert world.evictions.value < 500


@pytest.mark.parametrize("kind", [World, Weighed])
def test_what_is_too_old_keeps_nobody_out(kind: Callable[..., World]) -> None:
    world = kind(rows=3)
    world.put_once(1, 2, 3)
    world.timer.advance(11)
    world.put_once(4)
    assert (world.held(1, 2, 3, 4), world.evictions.value) == ([4], 0)


@pytest.mark.parametrize("kind", [World, Weighed])
def test_what_was_cleared_is_wanted_for_the_first_time_again(kind: Callable[..., World]) -> None:
    world = kind(rows=1)
    world.put_once(1)
    world.put_once(2)
    world.store.clear()
    world.put_once(1)
    world.put_once(2)
    assert world.held(1, 2) == [1]


def test_of_many_the_oldest_go_together() -> None:
    world = World(rows=100)
    names = range(150)
    world.store.put(list(map(key, names)), columns(*map(answer, names)))
    assert world.held(*names) == list(names[50:])
    assert world.evictions.value == 50


def test_what_was_asked_for_often_stays_once_and_then_goes_with_the_others() -> None:
    world = World(rows=2)
    world.put(1, 2)
    assert world.held(1, 1, 1) == [1, 1, 1]
    world.put(3, 4, 5)
    assert world.held(1, 2, 3, 4, 5) == [4, 5]


def test_several_are_found_together_with_what_is_missing() -> None:
    world = World()
    world.put(1, 3)
    assert list(world.store.find([key(1), key(2), key(3)])) == [answer(1), None, answer(3)]
    assert list(world.store.find([key(2), key(4)])) == []


def test_there_is_no_more_than_fits_into_the_bytes() -> None:
    world = Weighed(nbytes=3 * ENTRY)
    world.put(1, 2, 3, 4)
    assert (world.held(1, 2, 3, 4), world.store.nbytes) == ([2, 3, 4], 3 * ENTRY)
    world.put_of(100 + ENTRY, 5)
    assert (world.held(5), len(world.store), world.store.nbytes) == ([5], 2, 3 * ENTRY)


def test_what_is_too_large_to_replace_another_has_that_go() -> None:
    world = Weighed(nbytes=ENTRY)
    world.put(1)
    world.put_of(101, 1)
    assert (world.held(1), world.store.nbytes < ENTRY) == ([], True)


def test_what_is_larger_than_all_the_room_is_not_kept() -> None:
    world = Weighed(nbytes=ENTRY - 1)
    world.put(1)
    assert (len(world.store), world.store.nbytes, world.evictions.value) == (0, 0, 0)


def test_answers_of_another_form_take_the_place_of_all_there_are() -> None:
    world = World()
    world.put(1, 2)
    world.store.put([key(3)], columns((0.5, None, None, 1, 2)))
    assert (world.held(1, 2, 3), list(world.store.find([key(3)]))) == ([3], [(0.5, None, None, 1, 2)])


def test_without_any_room_nothing_is_kept() -> None:
    world = World(rows=0)
    world.put(1)
    assert (world.held(1), len(world.store), world.evictions.value) == ([], 0, 0)


def test_an_answer_lasts_so_long_from_when_it_came() -> None:
    world = World()
    world.put(1)
    world.timer.advance(9.9)
    assert world.held(1) == [1]
    world.timer.advance(0.1)
    assert world.held(1) == []
    world.put(1)
    assert (world.held(1), len(world.store), world.store.nbytes) == ([1], 1, ENTRY)


def test_what_goes_when_its_time_is_up_is_not_counted_as_gone_before_it() -> None:
    world = World(rows=1)
    world.put(1)
    world.timer.advance(11)
    world.put(2)
    assert world.evictions.value == 0


STEPS = st.tuples(
    st.sampled_from(["put", "find", "wait", "clear"]), st.lists(st.integers(0, 8), min_size=1, max_size=6)
)


@pytest.mark.parametrize("kind", [World, Weighed])
@given(st.lists(STEPS))
def test_rows_and_bytes_are_those_that_are_there(
    kind: Callable[..., World], steps: list[tuple[str, list[int]]]
) -> None:
    world = kind(rows=4)
    until: dict[int, float] = {}  # of those that were put since there was nothing
    for step, names in steps:
        keys = list(map(key, names))
        if step == "put":
            world.store.put(keys, columns(*[word() if kind is Weighed else answer(name) for name in names]))
            until |= dict.fromkeys(names, world.timer.time() + 10.0)
        elif step == "find":
            found = world.store.find(keys) or [None] * len(keys)
            for name, part in zip(names, found, strict=True):
                assert part is None or (part == (word() if kind is Weighed else answer(name)))
                assert (part is not None) == (until.get(name, 0.0) > world.timer.time()) or len(until) > 4
                assert part is None or until[name] > world.timer.time()
        elif step == "wait":
            world.timer.advance(sum(names))
        else:
            world.store.clear()
            until.clear()
        assert len(world.store) <= 4
        assert world.store.nbytes == ENTRY * len(world.store)


def numbers(count: int) -> list[float]:
    return [random.random() for _ in range(count)]


def of_shape(*shape: int) -> Signature:
    return Signature(inputs=SIGNATURE.inputs, output=Output(fields=(OutputField(name="y", shape=shape),)))


@pytest.mark.parametrize(
    ("signature", "answer"),
    [
        (SIGNATURE, lambda: (random.random(), numbers(2), None, 1)),
        (of_shape(), lambda: (None, None, None, random.random())),
        (of_shape(9), lambda: (None, None, None, numbers(9))),
        (of_shape(9, 1), lambda: (None, None, None, [numbers(1) for _ in range(9)])),
    ],
)
def test_numbers_weigh_about_what_they_take(signature: Signature, answer: Callable[[], RowAnswer]) -> None:
    row = row_bytes(signature)
    assert row is not None
    store = RingStore(100_000, 8 + PLACE_BYTES + row, 60.0, clock=ManualTimer().time, evictions=Counter())
    assert_weighs_what_it_takes(store, answer)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: (None, None, None, f"{random.random():050}"),
        lambda: (random.random(), numbers(20), list(range(1000, 1020)), "yes"),
        lambda: (None, None, None, numbers(9), [numbers(1) for _ in range(9)]),
    ],
)
def test_what_is_weighed_weighs_about_what_it_takes(answer: Callable[[], RowAnswer]) -> None:
    store = WeighedStore(100_000, 2**30, 60.0, clock=ManualTimer().time, evictions=Counter())
    assert_weighs_what_it_takes(store, answer)


def assert_weighs_what_it_takes(store: RowStore, answer: Callable[[], RowAnswer]) -> None:
    """Never less, even if all were asked for, so that the bound holds, and no more than twice as much; when its tables
    have just grown, and when they are full."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for name in range(1, 23_001):
            store.put([key(name)], columns(answer()))
            store.find([key(name)])
            if not name % 1000 or name in (5_470, 10_930, 21_850):
                taken = tracemalloc.get_traced_memory()[0] - before
                assert taken <= store.nbytes <= 2 * taken
    finally:
        tracemalloc.stop()


@given(st.lists(st.tuples(st.integers(), st.floats(0, 1)), min_size=1, max_size=5), st.booleans())
def test_an_answer_taken_apart_and_put_together_is_the_same(rows: list[tuple[int, float]], ranked: bool) -> None:
    values, chances = map(list, zip(*rows, strict=True))
    whole = Result(
        [values, values[::-1]], chances, [[chance] for chance in chances], 0.1, 0.2,
        [[0]] * len(rows) if ranked else None, len(rows), 0,
    )  # fmt: skip
    parts = apart(answers_of(whole, len(rows)))
    assert together(parts, 0.1, 0.2, 0) == whole._replace(batch_rows=0)
    assert [again(part) for part in parts] == [together([part], 0.0, 0.0, 1) for part in parts]
