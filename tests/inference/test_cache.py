"""Answers that are kept: each row computed once, every ticket settled once, with the right answers or a right error."""

from collections import Counter as Times
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.config import Batching, Model, Queue
from penstock.errors import (
    ClientGone,
    DeadlineExceeded,
    GaveWay,
    HostLost,
    ModelFailed,
    NotReady,
    PredictTimeout,
    QueueFull,
    WaitTooLong,
)
from penstock.inference.batcher import AWAY, Batcher
from penstock.inference.cache import Cache
from penstock.inference.hosts import Host
from penstock.inference.outputs import Outputs
from penstock.inference.ring_store import RingStore
from penstock.inference.row_answers import Columns, RowAnswer, apart
from penstock.inference.row_keys import RowKeys
from penstock.inference.rows import Rows
from penstock.inference.shared_store import SharedStore
from penstock.inference.ticket import Freshness, Result, Ticket
from penstock.inference.worth import LONGEST_PAUSE_S, WINDOW_ROWS, Judge, Worth
from penstock.model.signature import Field, Output, OutputField, Signature
from penstock.observability.caching import CacheMeter
from penstock.observability.metrics import Figures
from penstock.testing import FakeHost, ManualTimer

SIGNATURE = Signature(
    inputs=(Field(name="row", dtype="int64"),), output=Output(fields=(OutputField(name="y", dtype="int64"),))
)
TTL_S = 10.0
ENDLESS, RAISES = 8, 9
"""Rows to which the answer is not finite, and at which the model raises."""
SCALE = 1_000_000


class Unheard:
    """A meter of batches that nobody reads."""

    def batch(self, rows: int, seconds: float, raw: Mapping[str, memoryview], /) -> None: ...
    def busy(self, seconds: float, /) -> None: ...
    def waited(self, expected_s: float, waited_s: float, /) -> None: ...
    def split(self) -> None: ...
    def left(self, reason: str, /) -> None: ...


class Elsewhere(SharedStore):
    """Another store, which answers when the events at hand are dealt with, while it is `there`."""

    def __init__(self, timer: ManualTimer, soon: Callable[[Callable[[], None]], object]) -> None:
        self.there = True
        self.asked: list[bytes] = []
        self._timer = timer
        self._soon = soon
        self._kept: dict[bytes, tuple[float, RowAnswer]] = {}

    def is_here(self) -> bool:
        return self.there

    def find(
        self, keys: Sequence[bytes], probabilities: bool, found: Callable[[Sequence[RowAnswer | None]], object]
    ) -> None:
        self.asked += keys
        self._soon(lambda: (found([self._get(key) for key in keys]), None)[1])

    def put(self, keys: Sequence[bytes], answers: Columns) -> None:
        until = self._timer.time() + TTL_S
        self._kept |= {key: (until, answer) for key, answer in zip(keys, apart(answers), strict=True)}

    def _get(self, key: bytes) -> RowAnswer | None:
        until, answer = self._kept.get(key, (0.0, None))
        return answer if self.there and until > self._timer.time() else None


class World:
    """A cache before a batcher with one host, whose model answers row `n` with `n` and the number of the answer."""

    def __init__(self, *, rows: int = 100, queue: int = 4096, max_rows: int = 4, elsewhere: bool = False) -> None:
        self.timer = ManualTimer()
        self.waiting: list[Callable[[], None]] = []
        self.settled: Times[Ticket] = Times()
        self.deaths = 0
        self.killers: set[int] = set()  # the rows of the batches that were held then
        self.computed: list[tuple[int, float]] = []  # which row, and when
        model = Model(
            path="",
            batching=Batching(max_rows=max_rows),
            queue=Queue(rows=queue, priority="header"),
            predict_timeout_s=30,
        )
        self.batcher = Batcher(model, timer=self.timer, soon=self.waiting.append, meter=Unheard(), hung=self._hung)
        self.meter = CacheMeter(Figures(), "m", "1")
        self.store = RingStore(rows, 32, TTL_S, clock=self.timer.time, evictions=self.meter.evictions)
        self.elsewhere = Elsewhere(self.timer, self.waiting.append)
        self.cache = Cache(
            RowKeys(SIGNATURE.tensors()),
            self.store,
            self.batcher,
            shared=self.elsewhere if elsewhere else None,
            timer=self.timer,
            soon=self.waiting.append,
            meter=self.meter,
            worth=Worth(self.meter, lambda: 0.001),
        )
        self.host = self.attach()

    def attach(self) -> FakeHost:
        self.host = FakeHost(self.batcher)
        self.batcher.attach(self.host)
        self.settle()
        return self.host

    def _hung(self, host: Host) -> None:
        assert isinstance(host, FakeHost)
        self._died(host)
        host.flight = None
        self.waiting.append(self._replace)

    def _died(self, host: FakeHost) -> None:
        self.deaths += 1
        if host.flight is not None:
            self.killers |= {name for ticket in host.flight.tickets for name in names_of(ticket)}

    def _replace(self) -> None:
        if self.host.closed:
            self.attach()

    def settle(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()

    def ticket(
        self,
        *names: int,
        deadline_s: float = 60.0,
        high: bool = False,
        probabilities: bool = False,
        freshness: Freshness = Freshness.ANY,
    ) -> Ticket:
        now = self.timer.time()
        rows = Rows(len(names), [b"".join(name.to_bytes(8, "little") for name in names)])
        ticket = Ticket(
            rows, self._on_settled, probabilities=probabilities, high=high, deadline=now + deadline_s, queued_at=now
        )
        ticket.freshness = freshness
        return ticket

    def _on_settled(self, ticket: Ticket) -> None:
        self.settled[ticket] += 1

    def submit(self, *names: int, **options: Any) -> Ticket:
        ticket = self.ticket(*names, **options)
        self.cache.submit(ticket)
        self.settle()
        return ticket

    def flying(self) -> list[Ticket]:
        """What is queued or with the host, and wanted by anybody."""
        held = self.host.flight.tickets if self.host.flight else ()
        return [ticket for ticket in (*self.batcher._waiting(), *held) if not ticket.done]

    def answer(self, seconds: float = 0.001) -> None:
        """The host answers what it holds."""
        assert self.host.flight is not None
        names = [name for ticket in self.host.flight.tickets for name in names_of(ticket)]
        if RAISES in names:
            self.host.fail()
        else:
            values = [name * SCALE + len(self.computed) + at for at, name in enumerate(names)]
            self.computed += [(name, self.timer.time()) for name in names]
            failed = tuple(at for at, name in enumerate(names) if name == ENDLESS)
            self.host.answer(Outputs([values], None, None, {}), failed, seconds)
        self.settle()

    def finish(self) -> None:
        while self.host.flight:
            self.answer()

    def die(self, **how: bool) -> None:
        """The host ends, and another is there."""
        self._died(self.host)
        self.host.die(**how)
        self.settle()
        self._replace()


def names_of(ticket: Ticket) -> list[int]:
    column = bytes(ticket.rows.columns[0])
    return [int.from_bytes(column[at : at + 8], "little") for at in range(0, len(column), 8)]


def answer_of(ticket: Ticket) -> Result:
    assert ticket.result is not None, ticket.error
    return ticket.result


def rows_of(ticket: Ticket) -> list[int]:
    return [value // SCALE for value in answer_of(ticket).outputs[0]]


def numbers_of(ticket: Ticket) -> list[int]:
    """Which answers of the model these are."""
    return [value % SCALE for value in answer_of(ticket).outputs[0]]


def error_of(ticket: Ticket) -> type[Exception]:
    assert ticket.error is not None
    return type(ticket.error)


@pytest.fixture
def world() -> World:
    return World()


# ------------------------------------------------------------------ hits and misses
def test_the_same_row_is_answered_again_at_once_without_the_model(world: World) -> None:
    first = world.submit(1)
    world.answer()
    again = world.ticket(1)
    world.cache.submit(again)
    assert (rows_of(again), numbers_of(again), len(world.computed)) == ([1], numbers_of(first), 1)
    assert (answer_of(first).cached_rows, answer_of(first).batch_rows) == (0, 1)
    assert (answer_of(again).cached_rows, answer_of(again).batch_rows) == (1, 0)
    assert (answer_of(again).queue_s, answer_of(again).inference_s) == (0.0, 0.0)


def test_a_batch_takes_hits_from_single_requests_and_only_the_rest_is_computed_each_row_once(world: World) -> None:
    world.submit(1)
    world.submit(2)
    world.finish()
    several = world.submit(3, 1, 4, 3, 2)
    assert [names_of(ticket) for ticket in world.host.sent[-1].tickets] == [[3, 4]]
    world.answer()
    assert (rows_of(several), answer_of(several).cached_rows) == ([3, 1, 4, 3, 2], 2)
    single = world.submit(4)
    assert answer_of(single).cached_rows == 1


def test_nothing_is_told_after_its_time(world: World) -> None:
    world.submit(1)
    world.answer()
    world.timer.advance(TTL_S)
    late = world.submit(1)
    assert not late.done


def test_an_answer_with_probabilities_is_another_one(world: World) -> None:
    world.submit(1)
    world.answer()
    assert not world.submit(1, probabilities=True).done


def test_what_is_kept_of_a_batch_has_probabilities_only_for_those_who_wanted_them(world: World) -> None:
    plain, stated = world.ticket(1), world.ticket(2, probabilities=True)
    for ticket in (plain, stated):
        world.cache.submit(ticket)
    world.settle()
    world.host.answer(Outputs([[10, 20]], [0.6, 0.9], [[0.4, 0.6], [0.1, 0.9]], {}, [[1, 0], [0, 1]]))
    again = [world.submit(1), world.submit(2, probabilities=True)]
    for first, second in zip((plain, stated), again, strict=True):
        first_said, said = answer_of(first), answer_of(second)
        assert (said.outputs, said.confidence) == (first_said.outputs, first_said.confidence)
        assert (said.probabilities, said.ranks) == (first_said.probabilities, first_said.ranks)
        assert said.cached_rows == 1
    assert answer_of(plain).probabilities is None


def test_errors_are_not_kept(world: World) -> None:
    for row in (RAISES, ENDLESS):
        for _ in range(2):
            failed = world.submit(row)
            world.answer()
            assert error_of(failed) is ModelFailed
    assert (len(world.host.sent), len(world.store)) == (4, 0)


def test_who_wants_a_new_answer_gets_one_and_it_is_kept_unless_it_must_not_be(world: World) -> None:
    world.submit(1)
    world.answer()
    new = world.submit(1, freshness=Freshness.NEW)
    world.answer()
    unkept = world.submit(1, freshness=Freshness.UNKEPT)
    world.answer()
    kept = world.submit(1)
    assert [numbers_of(ticket) for ticket in (new, unkept, kept)] == [[1], [2], [1]]
    assert [answer_of(ticket).cached_rows for ticket in (new, unkept, kept)] == [0, 0, 1]


def test_what_is_kept_is_answered_while_there_is_no_model_to_ask(world: World) -> None:
    world.submit(1)
    world.answer()
    world.batcher.close()
    assert rows_of(world.submit(1)) == [1]
    with pytest.raises(NotReady):
        world.cache.submit(world.ticket(2))


# ------------------------------------------------------------------ together
def test_a_thousand_that_want_the_same_at_once_are_one_call_of_the_model(world: World) -> None:
    tickets = [world.submit(1) for _ in range(1000)]
    world.answer()
    assert ([flight.rows for flight in world.host.sent], world.computed) == ([1], [(1, 0.0)])
    assert {ticket: rows_of(ticket) for ticket in tickets} == {ticket: [1] for ticket in tickets}
    assert (world.meter.misses.value, world.meter.shared.value) == (1, 999)


def test_a_row_that_kills_its_host_does_so_once_for_all_who_wait_for_it(world: World) -> None:
    tickets = [world.submit(1) for _ in range(50)]
    world.die()
    assert {error_of(ticket) for ticket in tickets} == {ModelFailed}
    assert world.host.flight is None


@pytest.mark.parametrize("how", ["", "broken", "unread", "hangs"])
def test_who_wanted_rows_of_a_batch_that_ended_its_host_goes_alone_or_not_at_all(how: str) -> None:
    world = World()
    first = world.submit(7, 1)
    same, turned, more, some = (world.submit(*names) for names in ((7, 1), (1, 7), (7, 1, 3), (4, 7)))
    innocent = world.ticket(5)
    if how == "hangs":
        world.timer.advance(31)
    else:
        world.deaths += 1
        world.host.die(**{how: True} if how else {})
    world.cache.submit(innocent)
    world.settle()
    assert {type(ticket.error) for ticket in (same, turned, more)} == {type(first.error)}
    world._replace()
    world.finish()
    assert [rows_of(ticket) for ticket in (some, innocent)] == [[4, 7], [5]]
    assert [[7]] in [[names_of(ticket) for ticket in flight.tickets] for flight in world.host.sent]


def test_who_wanted_a_row_that_was_computed_beside_a_bad_one_asks_for_it_again(world: World) -> None:
    owner = world.submit(1, RAISES)
    guests = [world.submit(1) for _ in range(3)]
    world.answer()
    assert error_of(owner) is ModelFailed
    world.finish()
    assert [rows_of(guest) for guest in guests] == [[1]] * 3
    assert [flight.rows for flight in world.host.sent] == [2, 1]


def test_the_rows_go_on_when_their_first_client_leaves_as_long_as_anybody_waits(world: World) -> None:
    world.submit(0)
    owner, guest = world.submit(1, 2), world.submit(2)
    world.cache.withdraw(owner)
    assert (error_of(owner), guest.done) == (ClientGone, False)
    world.finish()
    assert rows_of(guest) == [2]
    assert [names_of(ticket) for ticket in world.host.sent[-1].tickets] == [[1, 2]]


@pytest.mark.parametrize("names", [(1,), (1, 2), (1, 1)])
def test_what_the_model_was_asked_for_is_a_miss_though_its_client_has_left(world: World, names: Sequence[int]) -> None:
    world.submit(0)
    owner, guest = world.submit(*names), world.submit(1)
    world.cache.withdraw(owner)
    world.finish()
    assert (error_of(owner), rows_of(guest)) == (ClientGone, [1])
    assert (world.meter.misses.value, world.meter.shared.value) == (1 + len(set(names)), 1)


@pytest.mark.parametrize("names", [(1,), (1, 2), (1, 1)])
@pytest.mark.parametrize("withdrawn", [True, False])
@pytest.mark.parametrize("has_guest", [True, False])
def test_what_is_being_computed_is_kept_though_nobody_had_the_time_to_wait(
    world: World, names: Sequence[int], withdrawn: bool, has_guest: bool
) -> None:
    owner = world.submit(*names, deadline_s=0.5)
    guests = [world.submit(1, deadline_s=60), world.submit(1, deadline_s=0.8)] if has_guest else []
    if withdrawn:
        world.cache.withdraw(owner)
    world.timer.advance(0.6)
    late = world.submit(1, deadline_s=1)
    patient = world.submit(1)
    world.timer.advance(1)
    world.settle()
    right = ClientGone if withdrawn else DeadlineExceeded
    assert [error_of(ticket) for ticket in (owner, *guests[1:], late)] == [
        right,
        *[DeadlineExceeded] * has_guest,
        DeadlineExceeded,
    ]
    world.finish()
    assert [rows_of(ticket) for ticket in (*guests[:1], patient, world.submit(1))] == [[1]] * (2 + has_guest)
    assert (error_of(owner), owner.result, world.settled[owner]) == (right, None, 1)
    assert [name for name, _ in world.computed] == list(dict.fromkeys(names))
    assert (world.meter.misses.value, world.meter.shared.value) == (len(set(names)), 1 + has_guest)
    assert world.cache.is_idle


@pytest.mark.parametrize("ends", ["dies", "hangs", "fails", "closes"])
def test_who_waits_for_what_its_owner_had_no_time_for_hears_what_became_of_it(world: World, ends: str) -> None:
    owner = world.submit(1, deadline_s=0.5)
    world.timer.advance(0.6)
    guest = world.submit(1)
    if ends == "dies":
        world.die()
    elif ends == "hangs":
        world.timer.advance(30)
    elif ends == "fails":
        world.host.fail()
    else:
        world.cache.close()
        world.batcher.close()
    right = {"dies": ModelFailed, "hangs": PredictTimeout, "fails": ModelFailed, "closes": NotReady}[ends]
    assert (error_of(owner), error_of(guest), world.settled[owner]) == (DeadlineExceeded, right, 1)
    assert world.cache.is_idle


def test_what_nobody_waits_for_any_more_is_not_tried_again_when_its_batch_fails(world: World) -> None:
    gone, other = world.ticket(1), world.ticket(RAISES)
    for ticket in (gone, other):
        world.cache.submit(ticket)
    world.settle()
    world.cache.withdraw(gone)
    world.finish()
    assert (error_of(gone), error_of(other), world.computed) == (ClientGone, ModelFailed, [])
    assert world.cache.is_idle


def test_what_nobody_waits_for_is_not_computed(world: World) -> None:
    world.submit(0)
    owner, guest = world.submit(1, 2), world.submit(2)
    world.cache.withdraw(owner)
    world.cache.withdraw(guest)
    assert world.batcher.queued_rows == 0
    world.finish()
    assert world.computed == [(0, 0.0)]


def test_everybody_keeps_a_deadline_of_their_own(world: World) -> None:
    world.submit(0)
    patient, hurried = world.submit(1, deadline_s=60), world.submit(1, deadline_s=0.5)
    world.timer.advance(0.6)
    assert (error_of(hurried), patient.done) == (DeadlineExceeded, False)
    world.finish()
    assert rows_of(patient) == [1]


def test_who_waited_for_one_that_was_in_a_hurry_asks_again(world: World) -> None:
    world.submit(0)
    hurried, patient = world.submit(1, deadline_s=0.5), world.submit(1, deadline_s=60)
    world.timer.advance(0.6)
    world.settle()
    assert error_of(hurried) is DeadlineExceeded
    world.finish()
    assert rows_of(patient) == [1]


def test_one_of_high_priority_waits_for_no_other_in_the_queue(world: World) -> None:
    world.submit(0)
    low = [world.submit(name) for name in range(1, 6)]
    high = world.submit(5, high=True)
    world.answer()
    assert names_of(world.host.sent[-1].tickets[0]) == [5]
    world.answer()
    assert (high.done, low[4].done) == (True, False)
    world.finish()
    assert rows_of(low[4]) == [5]


def test_who_finds_no_room_is_refused_and_leaves_nothing_behind() -> None:
    world = World(queue=2)
    world.submit(0)
    world.submit(1)
    world.submit(2)
    with pytest.raises(QueueFull):
        world.cache.submit(world.ticket(3, 1))
    world.finish()
    assert world.cache.is_idle


def test_an_answer_that_comes_while_another_asks_settles_nobody_twice(world: World) -> None:
    """The batcher looks for answers when it is asked for room."""
    first = world.submit(1)
    world.host.says = partial(world.answer)
    world.timer.advance(1.0)
    second = world.submit(1, 2)
    world.finish()
    assert (rows_of(first), rows_of(second)) == ([1], [1, 2])
    assert world.cache.is_idle


def test_what_lands_while_another_asks_is_not_computed_again(world: World) -> None:
    world.submit(*range(10, 60))
    world.host.says = world.answer
    world.timer.advance(1.0)  # since the batcher has looked
    second = world.submit(*range(10, 61))
    world.finish()
    assert rows_of(second) == list(range(10, 61))
    assert [name for name, _ in world.computed] == list(range(10, 61))
    assert (world.meter.hits.value, world.meter.misses.value, world.meter.shared.value) == (50, 51, 0)
    assert world.cache.is_idle


def test_who_lacks_more_than_it_found_room_for_is_asked_once_more_whether_there_is_room() -> None:
    """Of what lands while it asks not all is kept."""
    world = World(rows=2, queue=3, max_rows=1)
    world.submit(1, 2, 3, 4)
    for name in (6, 7, 0):
        world.submit(name)
    world.host.says = world.answer
    world.timer.advance(1.0)
    with pytest.raises(QueueFull):
        world.cache.submit(world.ticket(1, 2, 3, 4, 5))
    assert world.batcher.queued_rows == 2


def test_who_finds_all_of_it_kept_when_it_has_asked_for_room_is_answered(world: World) -> None:
    earlier = world.submit(0)
    rival = world.ticket(1)
    earlier.settled = lambda _: world.cache.submit(rival)
    world.timer.advance(1)
    world.host.says = world.finish
    late = world.ticket(1)
    world.cache.submit(late)
    assert (rows_of(rival), rows_of(late), answer_of(late).cached_rows) == ([1], [1], 1)
    assert [name for name, _ in world.computed] == [0, 1]
    assert world.cache.is_idle


def test_whoever_waits_at_the_end_is_refused(world: World) -> None:
    owner, guest = world.submit(1, 2), world.submit(2)
    world.cache.close()
    world.batcher.close()
    world.settle()
    assert (error_of(owner), error_of(guest)) == (HostLost, NotReady)
    assert world.cache.is_idle


# ------------------------------------------------------------------ a row of its own request's ticket
@pytest.mark.parametrize("sent", [True, False])
def test_a_lone_row_goes_on_for_a_guest_when_its_owner_leaves(world: World, sent: bool) -> None:
    if not sent:
        world.submit(0)
    owner = world.submit(1)
    guest = world.submit(1)
    world.cache.withdraw(owner)
    assert (error_of(owner), world.settled[owner], guest.done) == (ClientGone, 1, False)
    third = world.submit(1)
    world.cache.withdraw(owner)
    world.finish()
    assert (rows_of(guest), rows_of(third)) == ([1], [1])
    assert [name for name, _ in world.computed].count(1) == 1
    assert (world.settled[owner], world.cache.is_idle) == (1, True)


def test_a_lone_row_that_nobody_waits_for_any_more_is_not_computed(world: World) -> None:
    world.submit(0)
    for guests_first in (True, False):
        owner, guest = world.submit(1), world.submit(1)
        for ticket in (guest, owner) if guests_first else (owner, guest):
            world.cache.withdraw(ticket)
        assert (error_of(owner), error_of(guest), world.batcher.queued_rows) == (ClientGone, ClientGone, 0)
    world.finish()
    assert world.computed == [(0, 0.0)]
    assert world.cache.is_idle


def test_the_owner_of_a_lone_row_is_out_of_time_and_its_guest_asks_again(world: World) -> None:
    world.submit(0)
    owner, guest = world.submit(1, deadline_s=0.5), world.submit(1)
    world.cache.withdraw(owner)
    world.timer.advance(0.6)
    world.settle()
    assert (error_of(owner), guest.done) == (ClientGone, False)
    world.finish()
    assert (rows_of(guest), world.computed) == ([1], [(0, 0.6), (1, 0.6)])
    assert world.cache.is_idle


@pytest.mark.parametrize("stays", [True, False])
def test_what_a_lone_row_fails_with_is_its_guests_too(world: World, stays: bool) -> None:
    owner = world.submit(RAISES)
    guests = [world.submit(RAISES) for _ in range(3)]
    if not stays:
        world.cache.withdraw(owner)
    world.answer()
    assert error_of(owner) is (ModelFailed if stays else ClientGone)
    assert {error_of(guest) for guest in guests} == {ModelFailed}
    assert (len(world.host.sent), world.cache.is_idle) == (1, True)


def test_who_waited_for_a_lone_row_that_gave_way_asks_again() -> None:
    world = World(queue=2, max_rows=1)
    world.submit(0)
    world.submit(1)
    owner, guest = world.submit(2), world.submit(2)
    high = world.ticket(3, high=True)
    world.cache.submit(high)
    assert (error_of(owner), guest.done) == (GaveWay, False)
    world.settle()
    world.finish()
    assert (error_of(guest), rows_of(high)) == (QueueFull, [3])
    assert world.cache.is_idle


def test_who_comes_while_another_asks_for_the_same_in_the_same_moment_waits_for_that_one(world: World) -> None:
    """To be admitted may mean to look for answers, and who got one may ask for the row that is about to be computed."""
    earlier = world.submit(0)
    rival = world.ticket(1)
    earlier.settled = lambda _: world.cache.submit(rival)
    world.timer.advance(1)  # since the batcher has looked
    world.host.says = world.answer
    late = world.submit(1)
    world.finish()
    assert (rows_of(rival), rows_of(late)) == ([1], [1])
    assert [name for name, _ in world.computed] == [0, 1]


def test_an_owner_that_is_told_and_asks_again_gets_the_same_answer(world: World) -> None:
    """At the moment when it is told, the answer is not kept yet."""
    second = world.ticket(1)
    first = world.ticket(1)
    first.settled = lambda _: world.cache.submit(second)
    world.cache.submit(first)
    guest = world.submit(1)
    world.answer()
    assert (rows_of(second), rows_of(guest), len(world.computed)) == ([1], [1], 1)
    assert world.cache.is_idle


# ------------------------------------------------------------------ elsewhere
def test_what_another_front_has_computed_is_found_and_only_the_rest_computed() -> None:
    world = World(elsewhere=True)
    world.submit(1)
    world.answer()
    several, single = world.ticket(1, 2, 1), world.ticket(1)
    world.cache.submit(several)
    world.cache.submit(single)
    world.settle()
    assert (rows_of(single), answer_of(single).cached_rows) == ([1], 1)
    assert [names_of(ticket) for ticket in world.host.sent[-1].tickets] == [[2]]
    world.answer()
    assert (rows_of(several), answer_of(several).cached_rows) == ([1, 2, 1], 2)


def test_a_thousand_at_once_ask_elsewhere_once_and_the_model_once() -> None:
    world = World(elsewhere=True)
    tickets = [world.ticket(1) for _ in range(1000)]
    for ticket in tickets:
        world.cache.submit(ticket)
    world.settle()
    world.answer()
    assert (len(world.elsewhere.asked), world.computed) == (1, [(1, 0.0)])
    assert all(rows_of(ticket) == [1] for ticket in tickets)


def test_where_it_is_away_nobody_waits_for_it() -> None:
    world = World(elsewhere=True)
    world.elsewhere.there = False
    ticket = world.submit(1)
    world.answer()
    assert (rows_of(ticket), world.elsewhere.asked) == ([1], [])


def test_who_waited_beside_another_that_left_gets_its_own_rows_in_its_own_order() -> None:
    world = World(elsewhere=True)
    first, second, third = (world.ticket(*names) for names in ((1, 2), (2, 1), (2,)))
    for ticket in (first, second, third):
        world.cache.submit(ticket)
    world.cache.withdraw(first)
    world.settle()
    world.finish()
    assert (rows_of(second), rows_of(third)) == ([2, 1], [2])
    assert Times(name for name, _ in world.computed) == {1: 1, 2: 1}


def test_what_nobody_wants_any_more_is_not_computed_after_it_was_looked_for() -> None:
    world = World(elsewhere=True)
    first, second = world.ticket(1, 2), world.ticket(2)
    world.cache.submit(first)
    world.cache.submit(second)
    world.cache.withdraw(first)
    world.settle()
    world.finish()
    assert (rows_of(second), world.computed) == ([2], [(2, 0.0)])


def test_who_joined_one_of_high_priority_that_left_waits_for_what_is_queued_already() -> None:
    world = World(elsewhere=True)
    world.submit(0)
    low = world.submit(1)
    high, guest = world.ticket(1, high=True), world.ticket(1)
    world.cache.submit(high)
    world.cache.submit(guest)
    world.cache.withdraw(high)
    world.settle()
    mate = world.submit(4)
    world.finish()
    assert [rows_of(ticket) for ticket in (low, guest, mate)] == [[1], [1], [4]]
    assert Times(name for name, _ in world.computed) == {0: 1, 1: 1, 4: 1}
    assert world.cache.is_idle


def test_one_of_high_priority_that_asked_elsewhere_with_another_goes_before_it() -> None:
    world = World(elsewhere=True, max_rows=1)
    world.submit(0)
    others = [world.submit(name) for name in range(2, 6)]
    low, high = world.ticket(1), world.ticket(1, high=True)
    world.cache.submit(low)
    world.cache.submit(high)
    world.settle()
    world.answer()
    world.answer()
    assert (rows_of(high), rows_of(low), [ticket.done for ticket in others]) == ([1], [1], [False] * 4)


def test_a_thousand_that_find_no_room_are_refused_without_asking_elsewhere_again() -> None:
    world = World(elsewhere=True, queue=1, max_rows=1)
    world.submit(0)
    world.submit(7)
    asked = len(world.elsewhere.asked)
    tickets = [world.ticket(1) for _ in range(1000)]
    for ticket in tickets:
        world.cache.submit(ticket)
    world.settle()
    assert {error_of(ticket) for ticket in tickets} == {QueueFull}
    assert len(world.elsewhere.asked) == asked + 1


def test_who_finds_no_room_for_all_of_it_takes_nothing_from_who_wants_less() -> None:
    world = World(elsewhere=True, queue=2, max_rows=1)
    world.submit(0)
    world.submit(7)
    large, small = world.ticket(1, 2, 3), world.ticket(3)
    world.cache.submit(large)
    world.cache.submit(small)
    world.settle()
    world.finish()
    assert (error_of(large), rows_of(small)) == (QueueFull, [3])


# ------------------------------------------------------------------ faults
class Broken(Exception):
    """What goes wrong where one is told."""


def broken(world: World, *names: int, **options: Any) -> Ticket:
    """A request that cannot be told what became of it."""

    def settled(_: Ticket) -> None:
        raise Broken

    ticket = world.ticket(*names, **options)
    ticket.settled = settled
    world.cache.submit(ticket)
    return ticket


@pytest.mark.parametrize("elsewhere", [False, True])
def test_one_that_cannot_be_told_costs_no_other_its_answer(elsewhere: bool) -> None:
    world = World(elsewhere=elsewhere)
    broken(world, 1)
    broken(world, 1)
    broken(world, 1, 2)
    rest = [world.ticket(1), world.ticket(2, 1), world.ticket(3)]
    for ticket in rest:
        world.cache.submit(ticket)
    faults = patiently(world)
    assert [rows_of(ticket) for ticket in rest] == [[1], [2, 1], [3]]
    assert (faults, world.cache.is_idle) == (3, True)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_one_that_cannot_be_told_of_its_deadline_costs_no_other_the_word(elsewhere: bool) -> None:
    world = World(elsewhere=elsewhere)
    world.submit(0)
    world.submit(1, deadline_s=60)
    broken(world, 1, deadline_s=0.5)
    broken(world, 2, deadline_s=0.5)
    rest = [world.ticket(name, deadline_s=0.5) for name in (1, 2, 3)]
    for ticket in rest:
        world.cache.submit(ticket)
    world.timer.advance(0.6)
    assert patiently(world) == 2
    assert [error_of(ticket) for ticket in rest] == [DeadlineExceeded] * 3
    assert world.cache.is_idle


def patiently(world: World) -> int:
    """Goes on until all is answered, and tells how many faults an event loop would have told of."""
    faults = 0
    while world.waiting or world.host.flight:
        try:
            world.settle()
            world.finish()
        except Broken:
            faults += 1
    return faults


def test_a_cache_that_is_closed_while_it_was_off_is_not_tried_again(world: World) -> None:
    switches: list[bool] = []
    worth = Worth(world.meter, lambda: 0.001)
    judge = Judge(worth, world.meter, world.timer, lambda on, saved_s, spent_s: switches.append(on))
    world.cache.judge = judge
    world.meter.misses.value += WINDOW_ROWS
    judge.look()
    world.cache.close()
    world.timer.advance(LONGEST_PAUSE_S)
    assert switches == [False]


def test_a_few_large_requests_are_as_many_rows_to_be_judged_as_many_small_ones() -> None:
    world = World(max_rows=500)
    switches: list[bool] = []
    worth = Worth(world.meter, lambda: 0.001)
    world.cache.judge = Judge(worth, world.meter, world.timer, lambda on, saved_s, spent_s: switches.append(on))
    for first in range(0, 4 * 500, 500):
        world.submit(*range(first + 10, first + 510))
        world.finish()
    assert switches == [False]


# ------------------------------------------------------------------ anything at all
class Interleavings(RuleBasedStateMachine):
    """Whatever happens in whatever order."""

    elsewhere = False

    def __init__(self) -> None:
        super().__init__()
        self.world = World(rows=4, queue=6, elsewhere=self.elsewhere)
        self.tickets: list[Ticket] = []
        self.since: dict[Ticket, tuple[int, float]] = {}  # how many answers there were, and when
        self.withdrawn: set[Ticket] = set()

    @rule(
        names=st.lists(st.sampled_from([0, 1, 2, 3, 4, ENDLESS, RAISES]), min_size=1, max_size=4),
        deadline_s=st.sampled_from([0.5, 3.0, 60.0]),
        high=st.integers(0, 4).map(lambda n: n == 0),
        probabilities=st.integers(0, 5).map(lambda n: n == 0),
        freshness=st.sampled_from([Freshness.ANY] * 8 + [Freshness.NEW, Freshness.UNKEPT]),
        settles=st.booleans(),
    )
    def submit(
        self,
        names: Sequence[int],
        deadline_s: float,
        high: bool,
        probabilities: bool,
        freshness: Freshness,
        settles: bool,
    ) -> None:
        self._ask(names, deadline_s=deadline_s, high=high, probabilities=probabilities, freshness=freshness)
        if settles:
            self.world.settle()

    @rule(
        names=st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=3, unique=True),
        others=st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=3),
        high=st.booleans(),
        other_is_high=st.booleans(),
        beyond=st.sampled_from([10, 20]),
        goes=st.booleans(),
    )
    def meet(
        self, names: Sequence[int], others: Sequence[int], high: bool, other_is_high: bool, beyond: int, goes: bool
    ) -> None:
        """Two want much the same at once, and the first may go away before anything else happens."""
        first = self._ask([beyond + name for name in names], high=high)
        self._ask([beyond + name for name in others], high=other_is_high)
        if goes and not first.done:
            self.withdrawn.add(first)
            self.world.cache.withdraw(first)
        self.world.settle()

    def _ask(self, names: Sequence[int], **how: Any) -> Ticket:
        world = self.world
        ticket = world.ticket(*names, **how)
        self.since[ticket] = len(world.computed), world.timer.time()
        try:
            world.cache.submit(ticket)
        except (QueueFull, WaitTooLong):
            assert not ticket.done
        else:
            self.tickets.append(ticket)
        return ticket

    @precondition(lambda self: self.world.host.flight)
    @rule(settles=st.booleans(), seconds=st.sampled_from([0.001, 0.4]))
    def answer(self, settles: bool, seconds: float) -> None:
        if settles:
            self.world.settle()
        self.world.answer(seconds)

    @precondition(lambda self: self.world.host.flight and self.world.host.flight.expires <= self.world.timer.time())
    @rule()
    def expire(self) -> None:
        """The host comes too late to the batch."""
        self.world.host.expire()

    @precondition(lambda self: self.world.host.flight)
    @rule()
    def answer_when_looked_for(self) -> None:
        self.world.host.says = self._say

    def _say(self) -> None:
        if self.world.host.flight:
            self.world.answer()

    @precondition(lambda self: not self.world.host.closed)
    @rule(how=st.sampled_from(["", "broken", "unread"]))
    def die(self, how: str) -> None:
        self.world.die(**{how: True} if how else {})

    @precondition(lambda self: any(not self.world.settled[ticket] for ticket in self.tickets))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from([ticket for ticket in self.tickets if not self.world.settled[ticket]]))
        self.withdrawn.add(ticket)
        self.world.cache.withdraw(ticket)

    @rule(seconds=st.sampled_from([0.3, 1.0, 4.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.world.timer.advance(seconds)
        self.world.settle()
        now = self.world.timer.time()
        assert all(self.world.settled[ticket] for ticket in self.tickets if ticket.deadline <= now)

    @rule(there=st.booleans())
    def come_or_go(self, there: bool) -> None:
        self.world.elsewhere.there = there

    @rule(on=st.booleans())
    def switch(self, on: bool) -> None:
        self.world.cache.switch(on=on)

    @invariant()
    def nobody_is_settled_twice_and_each_row_is_computed_once(self) -> None:
        assert max(self.world.settled.values(), default=0) <= 1
        ours = [ticket for ticket in self.world.flying() if ticket.freshness is Freshness.ANY]
        wanted = Times((name, t.probabilities, t.high) for t in ours for name in names_of(t))
        assert max(wanted.values(), default=0) <= 1
        assert len(self.world.store) <= 4

    def teardown(self) -> None:
        self.world.settle()
        self.world.finish()
        for ticket in self.tickets:
            assert self.world.settled[ticket] == 1
            self._judge(ticket)
        assert self.world.cache.is_idle
        assert self.world.flying() == []

    def _judge(self, ticket: Ticket) -> None:
        names, (number, at) = names_of(ticket), self.since[ticket]
        if ticket.result is not None:
            assert rows_of(ticket) == names
            for answer in numbers_of(ticket):
                assert self.world.computed[answer][1] > at - TTL_S
                assert ticket.freshness is Freshness.ANY or answer >= number
            return
        error = error_of(ticket)
        right: dict[type[Exception], bool] = {
            ClientGone: ticket in self.withdrawn,
            DeadlineExceeded: ticket.deadline <= self.world.timer.time(),
            GaveWay: not ticket.high,
            HostLost: bool(self.world.killers & set(names)) or str(ticket.error) == AWAY,
            ModelFailed: bool(({ENDLESS, RAISES} | self.world.killers) & set(names)),
            NotReady: self.world.deaths > 0,
            PredictTimeout: bool(self.world.killers & set(names)),
            QueueFull: True,  # when it asked again
            WaitTooLong: True,
        }
        assert right[error], error


class InterleavingsElsewhere(Interleavings):
    elsewhere = True


TestInterleavings = Interleavings.TestCase
TestInterleavingsElsewhere = InterleavingsElsewhere.TestCase
for case in (TestInterleavings, TestInterleavingsElsewhere):
    case.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
