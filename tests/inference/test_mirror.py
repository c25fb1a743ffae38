"""Copies of answered requests: each is compared rightly or given up, and no real request is the worse for them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config import Model, Queue
from penstock.errors import HostLost, ModelFailed, NotReady, PredictTimeout, QueueFull
from penstock.inference.batcher import Batcher
from penstock.inference.comparison import Comparison, Difference
from penstock.inference.hosts import Flight, Host
from penstock.inference.mirror import FAIR_S, GATHER_S, LOT_BYTES, LOT_ROWS, MOST_BYTES, MOST_ROWS, Mirror
from penstock.inference.outputs import Outputs
from penstock.inference.router import Share
from penstock.inference.rows import Rows
from penstock.inference.ticket import Result, Ticket
from penstock.inference.translation import Translation
from penstock.model.signature import Field, Output, OutputField, Signature
from penstock.testing import FakeHost, ManualTimer

SIGNATURE = Signature(inputs=(Field(name="row", dtype="int64"),), output=Output(fields=(OutputField(name="y"),)))
TIMEOUT_S = 3.0
REAL = 1_000_000  # rows from here on are those of real requests
EVERYONE = Share("test", 100.0)


def packed(rows: Sequence[int], shapes: tuple[tuple[int, ...], ...] | None = None) -> Rows:
    return Rows(len(rows), [b"".join(row.to_bytes(8, "little") for row in rows)], shapes)


def rows_of(flight: Flight) -> list[int]:
    column = b"".join(bytes(part) for ticket in flight.tickets for part in ticket.rows.columns)
    return [int.from_bytes(column[i : i + 8], "little") for i in range(0, len(column), 8)]


def are_copies(flight: Flight) -> bool:
    return rows_of(flight)[0] < REAL


def echoed(row: int) -> int:
    """What the version that is compared answers; the other one says what it was asked."""
    return row if row % 3 else row + 1


class Recorder(Comparison):
    """Notes what is compared with what."""

    def __init__(self) -> None:
        super().__init__(SIGNATURE, SIGNATURE, 0.0)
        self.rows: list[int] = []

    def of(self, ours: Sequence[Result], theirs: Result) -> Difference:
        asked = [result.outputs[0] for result in ours]
        rows = [row for each in asked for row in each]
        self.rows += rows
        assert theirs.outputs == [[*map(echoed, rows)]]
        found = super().of(ours, theirs)
        assert found.firsts == [each[0] % 3 > 0 for each in asked]
        return found


class Silence:
    """A meter of batches that nobody reads."""

    def batch(self, rows: int, seconds: float, raw: Mapping[str, memoryview], /) -> None: ...
    def busy(self, seconds: float, /) -> None: ...
    def waited(self, expected_s: float, waited_s: float, /) -> None: ...
    def split(self) -> None: ...
    def left(self, reason: str, /) -> None: ...


class Watched(FakeHost):
    """A host that tells what it is sent."""

    def __init__(self, owner: Batcher, told: Callable[[Flight], object]) -> None:
        super().__init__(owner)
        self._told = told

    def send(self, flight: Flight) -> None:
        self._told(flight)
        super().send(flight)


class World:
    """A version that is asked what another has answered, besides what it is asked itself."""

    def __init__(
        self,
        *,
        part: float = 1.0,
        queue: int = 4096,
        share: Share = EVERYONE,
        timeout_s: float = TIMEOUT_S,
        answer_bytes: int = 0,
        most_rows: int = LOT_ROWS,
    ) -> None:
        self.timer = ManualTimer()
        self.soon: list[Callable[[], None]] = []
        self.hosts: list[Watched] = []
        self.lots: list[list[int]] = []
        """The rows of each batch of copies."""
        self.real: list[Ticket] = []
        self.settled: list[Ticket] = []
        self.told = Counter[str]()
        """Rows by what became of them."""
        self.times: list[tuple[float, float]] = []
        self.timed_at: list[float] = []
        self.poison: set[int] = set()
        """The rows on which the model raises."""
        self.alone_failed = self.taken_along = 0
        """Rows of copies that were alone in a batch that failed, and those in a batch whose host was lost."""
        self.requests: list[range] = []
        self.batcher = Batcher(
            Model(path="", queue=Queue(rows=queue), predict_timeout_s=timeout_s),
            timer=self.timer,
            soon=self.soon.append,
            meter=Silence(),
            hung=self._is_gone,
        )
        self.comparison = Recorder()
        same = Translation(SIGNATURE, SIGNATURE)
        self.mirror = Mirror(
            self.batcher,
            share,
            same,
            self.comparison,
            self,
            self.timer,
            part,
            most_rows,
            lambda result: answer_bytes * len(result.outputs[0]),
        )

    # ---------------------------------------------------------------- what the mirror tells
    def compared(self, difference: Difference, /) -> None:
        self.told["agreed"] += difference.agreed
        self.told["differed"] += difference.rows - difference.agreed

    def timed(self, seconds: float, against_s: float, /) -> None:
        self.times.append((seconds, against_s))
        self.timed_at.append(self.timer.time())

    def missed(self, result: str, rows: int, /) -> None:
        self.told[result] += rows

    # ---------------------------------------------------------------- what happens
    def copy(self, *counts: int, of: int | None = None, seconds: float = 0.001) -> None:
        """Requests of so many rows were answered, in a batch `of` so many."""
        for count in counts:
            start = self.requests[-1].stop if self.requests else 0
            self.requests.append(range(start, start + count))
            rows = [*self.requests[-1]]
            result = Result([rows], None, None, 0.0, seconds, batch_rows=sum(counts) if of is None else of)
            self.mirror.copy(packed(rows), result, f"{start}")

    def submit(self, rows: int = 1) -> Ticket:
        """A real request comes, and all that came with it is taken in."""
        ticket = self.come(rows)
        self.settle()
        return ticket

    def come(self, rows: int = 1) -> Ticket:
        """A real request comes, and the turn of the event loop is not over."""
        first, now = REAL + 100 * len(self.real), self.timer.time()
        ticket = Ticket(packed(range(first, first + rows)), self.settled.append, deadline=now + 1e6, queued_at=now)
        self.batcher.submit(ticket)
        self.real.append(ticket)
        return ticket

    def host(self) -> Watched:
        host = Watched(self.batcher, self._sent)
        self.hosts.append(host)
        self.batcher.attach(host)
        self.settle()
        return host

    def settle(self) -> None:
        while self.soon:
            self.soon.pop(0)()

    def pass_(self, seconds: float) -> None:
        self.timer.advance(seconds)
        self.settle()

    def answer(self, host: Watched, seconds: float = 0.001) -> None:
        """As the model does: it raises where it is asked what it cannot take."""
        rows = rows_of(host.sent[-1])
        if not self.poison.isdisjoint(rows):
            self.alone_failed += len(rows) if range(rows[0], rows[-1] + 1) in self.requests else 0
            host.fail()
        else:
            host.answer(Outputs([[*map(echoed, rows)]], None, None, {}), seconds=seconds)
        self.settle()

    def die(self, host: Watched, *, broken: bool = False, unread: bool = False) -> None:
        if not broken:  # of which the owner hears besides
            self._is_gone(host)
        host.die(broken=broken, unread=unread)
        self.settle()

    def drain(self) -> None:
        """Whatever is asked is answered, until nothing is left."""
        if not self.living():
            self.host()
        for _ in range(200):
            self.pass_(0.5)
            for host in self.living():
                if host.flight:
                    self.answer(host)

    def living(self) -> list[Watched]:
        return [host for host in self.hosts if not host.closed]

    def _sent(self, flight: Flight) -> None:
        """No request is in one batch with copies, or stands behind them."""
        assert len({row < REAL for row in rows_of(flight)}) == 1
        if are_copies(flight):
            assert self.batcher.queued_rows == 0
            self.lots.append(rows_of(flight))

    def _is_gone(self, host: Host) -> None:
        if host.flight is not None and are_copies(host.flight):
            self.taken_along += host.flight.rows


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.batcher.close()


# -------------------------------------------------------------------- when they go, and how many together
def test_copies_are_gathered_for_a_moment_and_go_together(world: World) -> None:
    world.host()
    world.copy(1)
    world.pass_(0.9 * GATHER_S)
    world.copy(2, 3, of=6)
    assert world.lots == []
    world.pass_(0.2 * GATHER_S)
    assert world.lots == [[0]]  # as it was answered alone, and the times are compared
    world.answer(world.hosts[0])
    world.pass_(GATHER_S)
    assert world.lots == [[0], [1, 2, 3, 4, 5]]


def test_the_times_of_what_was_kept_are_compared_with_nothing(world: World) -> None:
    host = world.host()
    world.copy(1, of=0, seconds=0.0)
    world.copy(1, of=1)
    world.pass_(GATHER_S)
    assert world.lots == [[1]]
    world.answer(host)
    world.copy(1, of=0, seconds=0.0)
    world.pass_(2.0)
    world.answer(host)
    assert [against_s for _, against_s in world.times] == [0.001]


def test_those_that_come_later_are_gathered_anew(world: World) -> None:
    host = world.host()
    world.copy(1, of=2)
    world.pass_(0.9 * GATHER_S)
    world.copy(1, of=2)
    world.pass_(0.2 * GATHER_S)
    world.answer(host)
    world.copy(1)
    world.pass_(0.9 * GATHER_S)
    assert world.lots == [[0, 1]]
    world.pass_(0.2 * GATHER_S)
    assert world.lots == [[0, 1], [2]]


def test_what_the_two_answer_is_compared(world: World) -> None:
    host = world.host()
    world.copy(2, 5)
    world.pass_(GATHER_S)
    world.answer(host)
    assert world.comparison.rows == [*range(7)]
    assert world.told == {"agreed": 4, "differed": 3}


def test_only_a_share_is_copied() -> None:
    share = Share("test", 30)
    world = World(share=share)
    world.host()
    world.copy(*[1] * 100)
    world.drain()
    assert world.comparison.rows == [row for row in range(100) if share.takes(f"{row}".encode())]


def test_a_lot_holds_at_most_so_many_rows_but_one_request_may_be_larger(world: World) -> None:
    world.host()
    world.copy(LOT_ROWS - 56, 56, 1, LOT_ROWS + 1, 5, of=9999)
    world.drain()
    assert [len(lot) for lot in world.lots] == [LOT_ROWS, 1, LOT_ROWS + 1, 5]


def test_a_full_lot_goes_as_soon_as_the_one_before_is_answered(world: World) -> None:
    host = world.host()
    world.copy(LOT_ROWS, LOT_ROWS, 1, of=9999)
    world.pass_(GATHER_S)
    world.answer(host)
    world.pass_(0)
    assert len(world.lots) == 2
    world.answer(host)
    world.pass_(0.9 * GATHER_S)
    assert len(world.lots) == 2
    world.pass_(0.2 * GATHER_S)
    assert len(world.lots) == 3


def test_rows_of_other_shapes_go_in_lots_of_their_own(world: World) -> None:
    world.host()
    for row, length in enumerate((1, 1, 2, 1)):
        result = Result([[row]], None, None, 0.0, 0.001, batch_rows=99)
        world.mirror.copy(packed([row], ((length,),)), result, "")
    world.requests = [range(row, row + 1) for row in range(4)]
    world.drain()
    assert world.lots == [[0, 1], [2], [3]]


# -------------------------------------------------------------------- beside real requests
def test_copies_wait_while_a_request_does_or_no_host_is_free(world: World) -> None:
    host = world.host()
    world.submit()
    world.submit()
    world.copy(1)
    world.pass_(1)
    world.answer(host)
    world.pass_(1)
    assert world.lots == []
    world.answer(host)
    world.pass_(GATHER_S)
    assert world.lots == [[0]]


def test_a_request_that_has_just_come_goes_first(world: World) -> None:
    host = world.host()
    world.copy(1)
    asked = world.come()
    world.timer.advance(GATHER_S)
    world.settle()
    assert (world.lots, host.sent[-1].tickets) == ([], [asked])


def test_a_request_waits_for_one_lot_at_the_most(world: World) -> None:
    host = world.host()
    world.copy(LOT_ROWS, LOT_ROWS, of=9999)
    world.pass_(GATHER_S)
    asked = world.submit()
    world.answer(host)
    assert host.sent[-1].tickets == [asked]
    world.pass_(1)
    assert len(world.lots) == 1


def test_copies_that_wait_take_no_room_in_the_queue() -> None:
    world = World(queue=4)
    world.host()
    world.submit()
    world.copy(*[50] * 10)
    world.pass_(1)
    assert world.batcher.queued_rows == 0
    world.submit(4)
    with pytest.raises(QueueFull):
        world.submit()


@pytest.mark.parametrize("late", [False, True], ids=["waiting already", "later"])
def test_only_part_of_the_hosts_time_is_taken(late: bool) -> None:
    world = World(part=0.1)
    host = world.host()
    world.copy(1)
    world.pass_(GATHER_S)
    if not late:
        world.copy(1)
    world.pass_(0.2)
    world.answer(host, 0.2)
    if late:
        world.copy(1)
    world.pass_(1.79)
    assert len(world.lots) == 1
    world.pass_(0.02)
    assert len(world.lots) == 2


def test_a_mirror_that_was_closed_asks_nobody_for_an_idle_host(world: World) -> None:
    world.host()
    world.submit()
    world.copy(1)
    world.mirror.close()
    with patch.object(world.timer, "call_later", side_effect=AssertionError("nothing is to be sent")):
        world.pass_(GATHER_S)


def test_lots_beside_real_requests_are_as_small_as_one_row_while_that_takes_long() -> None:
    world = World(part=0.5)
    host = world.host()
    world.copy(*[1] * 40, of=9999)
    for seconds in (0.001, 0.002, 0.002, 0.004, 0.006, 0.006, 0.5, 0.5):
        world.pass_(2)
        world.answer(host, seconds)
    world.pass_(2)
    assert [len(lot) for lot in world.lots] == [1, 2, 4, 8, 8, 4, 2, 1, 1]


def test_a_lot_is_no_larger_than_the_batches_of_the_model() -> None:
    world = World(most_rows=8)
    world.host()
    world.copy(*[3] * 6, of=9999)
    world.drain()
    assert [len(lot) for lot in world.lots] == [6, 6, 6]


def test_a_lot_weighs_no_more_than_a_moments_work() -> None:
    world = World(answer_bytes=LOT_BYTES // 4)
    world.host()
    world.copy(*[1] * 6, of=9999)
    world.drain()
    assert [len(lot) for lot in world.lots] == [3, 3]


def test_answers_count_among_the_bytes_that_are_held() -> None:
    world = World(answer_bytes=MOST_BYTES // 2)
    for _ in range(3):
        world.copy(1)
    assert world.told == {"dropped": 2}


# -------------------------------------------------------------------- what is given up
def test_only_so_many_rows_are_held_and_the_rest_given_up(world: World) -> None:
    host = world.host()
    world.copy(*[LOT_ROWS] * (MOST_ROWS // LOT_ROWS), of=9999)
    world.copy(1)
    assert world.told == {"dropped": 1}
    world.pass_(GATHER_S)
    world.copy(1)  # what is with the host is held still
    assert world.told == {"dropped": 2}
    world.answer(host)
    world.copy(LOT_ROWS)
    assert world.told["dropped"] == 2


def test_only_so_many_bytes_are_held_and_the_rest_given_up(world: World) -> None:
    world.mirror.copy(Rows(1, [bytes(MOST_BYTES - 8)]), Result([[0]], None, None, 0.0, 0.001), "")
    world.copy(1)
    world.copy(1)
    assert world.told == {"dropped": 1}


def test_one_that_the_model_fails_on_is_found_and_given_up_alone(world: World) -> None:
    world.host()
    world.copy(*[1] * 20, 3, *[1] * 11)
    world.poison = {21}
    world.drain()
    assert world.told == {"agreed": 20, "differed": 11, "failed": 3}
    assert sorted(world.comparison.rows) == [*range(20), *range(23, 34)]
    assert len(world.lots) == 11  # two for each time that 32 can be halved, and the first


@pytest.mark.parametrize("how", [{}, {"broken": True}, {"unread": True}], ids=repr)
def test_a_host_that_dies_takes_its_lot_along_and_then_copies_go_on(world: World, how: dict[str, bool]) -> None:
    world.copy(2, 3)
    dying = world.host()
    world.pass_(GATHER_S)
    world.copy(1, of=9)
    world.die(dying, **how)
    assert world.told == {"lost": 5}
    host = world.host()
    world.pass_(GATHER_S)
    world.answer(host)
    assert (world.lots[1:], world.told) == ([[5]], {"lost": 5, "differed": 0, "agreed": 1})


def test_what_may_have_killed_a_host_is_not_shown_to_the_next(world: World) -> None:
    """Nor where that has come in the meantime."""
    dying = world.host()
    world.copy(2, 3)
    world.pass_(GATHER_S)
    world.host()
    world.die(dying)
    world.pass_(1)
    assert (len(world.lots), world.told) == (1, {"lost": 5})


def test_what_the_model_fails_on_has_failed_though_another_host_died_meanwhile(world: World) -> None:
    failing, dying = world.host(), world.host()
    world.copy(2)
    world.poison = {0}
    world.pass_(GATHER_S)
    world.die(dying)
    world.answer(failing)
    assert world.told == {"failed": 2}


def test_a_host_that_hangs_takes_its_lot_along_and_then_copies_go_on(world: World) -> None:
    world.host()
    world.copy(2)
    world.pass_(GATHER_S)
    world.pass_(TIMEOUT_S)
    assert world.told == {"lost": 2}
    host = world.host()
    world.copy(1)
    world.pass_(GATHER_S)
    world.answer(host)
    assert world.comparison.rows == [2]


def test_where_there_is_no_host_copies_are_lost_at_once(world: World) -> None:
    world.copy(2)
    world.pass_(GATHER_S)
    assert world.told == {"lost": 2}


def test_who_closes_compares_what_is_under_way_and_gives_up_the_rest(world: World) -> None:
    host = world.host()
    world.copy(2)
    world.pass_(GATHER_S)
    world.copy(3)
    world.mirror.close()
    world.copy(4)
    assert world.told == {"dropped": 3}
    world.answer(host)
    assert world.comparison.rows == [0, 1]
    world.pass_(1)
    assert len(world.lots) == 1


def test_who_closes_looks_no_further_for_those_that_fail(world: World) -> None:
    host = world.host()
    world.copy(1, 1, 1, 1)
    world.poison = {1}
    world.pass_(GATHER_S)
    world.mirror.close()
    world.answer(host)
    world.pass_(1)
    assert (len(world.lots), world.told) == (1, {"dropped": 4})


# -------------------------------------------------------------------- times
def test_times_are_compared_of_batches_with_the_same_number_of_rows(world: World) -> None:
    host = world.host()
    world.copy(2, 2, 2, of=4, seconds=0.003)
    world.pass_(GATHER_S)
    world.answer(host, 0.005)
    assert (world.lots, world.times) == ([[0, 1, 2, 3]], [(0.005, 0.003)])


def test_times_of_other_batches_are_not_compared(world: World) -> None:
    host = world.host()
    world.copy(2, of=4)
    world.pass_(GATHER_S)
    world.answer(host)
    assert (world.lots, world.times) == ([[0, 1]], [])


def test_times_are_compared_now_and_then_and_lots_are_large_between(world: World) -> None:
    host = world.host()
    world.copy(1)
    world.pass_(GATHER_S)
    world.answer(host)
    for passed_s in (0.9 * FAIR_S, 1.1 * FAIR_S):
        world.copy(*[1] * 3, of=1)
        world.pass_(passed_s)
        world.answer(host)
    assert [len(lot) for lot in world.lots] == [1, 3, 1]
    assert len(world.times) == 2


# -------------------------------------------------------------------- all of it at once
Step = tuple[str, int]
OFTEN = ["copy", "large", "answer", "pass_by"]
KINDS = [*OFTEN * 4, "poisoned", "poisoned", "real", "real", "attach", "die", "wait", "close"]
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 49)), min_size=20, max_size=80)
SMALL = 110  # rows, of which the bytes have room


class Story:
    """A random course of events, told step by step."""

    def __init__(self, part: float, *, calm: bool) -> None:
        self.world = World(part=part, timeout_s=1000.0 if calm else TIMEOUT_S)
        self.world.host()
        self.copied = self.dropped = 0
        self.ill: set[int] = set()  # the rows of requests with a row that the model cannot take
        self.closed = False
        self.calm = calm  # no host is ever lost

    @property
    def held(self) -> int:
        return self.copied - self.world.told.total()

    def copy(self, n: int) -> None:
        self._copy(n % 7 + 1, n % 5 + 1)

    def large(self, n: int) -> None:
        self._copy(n + 1, 64)

    def poisoned(self, n: int) -> None:
        count = n % 5 + 1
        start = self.world.requests[-1].stop if self.world.requests else 0
        self.world.poison.add(start + n % count)
        self.ill.update(range(start, start + count))
        self._copy(count, 20)

    def _copy(self, count: int, of: int) -> None:
        if not self.closed:
            self.dropped += count if self.held + count > SMALL else 0
            self.copied += count
        self.world.copy(count, of=max(of, count))

    def real(self, n: int) -> None:
        if self.world.living():
            self.world.submit(n % 3 + 1)  # nobody is refused where there is a host

    def answer(self, n: int) -> None:
        if busy := [host for host in self.world.living() if host.flight]:
            self.world.answer(busy[n % len(busy)], n / 1000)

    def die(self, n: int) -> None:
        if not self.calm and (living := self.world.living()):
            self.world.die(living[n % len(living)], broken=n > 44, unread=n > 39)

    def attach(self, n: int) -> None:
        if len(self.world.living()) < 3:
            self.world.host()

    def pass_by(self, n: int) -> None:
        self.world.pass_(n / 500)

    def wait(self, n: int) -> None:
        if not self.calm:
            self.world.pass_(n / 10)

    def close(self, n: int) -> None:
        if n < 5:
            self.closed = True
            self.world.mirror.close()


@given(STEPS, st.sampled_from([1.0, 0.3]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_in_any_interleaving_each_copy_is_told_of_once_and_no_request_is_the_worse(
    steps: list[Step], part: float, calm: bool
) -> None:
    with patch.multiple("penstock.inference.mirror", LOT_ROWS=40, MOST_ROWS=120, MOST_BYTES=8 * SMALL):
        story = Story(part, calm=calm)
        world, told = story.world, story.world.told
        for step, n in steps:
            getattr(story, step)(n)
            assert story.held >= 0
            assert world.batcher.queued_rows == sum(ticket.rows.count for ticket in world.real if ticket.queued)
            assert not world.batcher.queued_rows or all(host.flight for host in world.living())
            assert told["dropped"] == story.dropped or story.closed
        world.drain()
        assert told.total() == story.copied
        assert told["dropped"] == story.dropped or story.closed
        assert told["failed"] == world.alone_failed or story.closed
        assert told["lost"] >= world.taken_along
        assert told["lost"] == world.taken_along or not story.calm
        compared = Counter(world.comparison.rows)
        assert told["agreed"] == sum(row % 3 > 0 for row in compared)
        assert told["differed"] == sum(row % 3 == 0 for row in compared)
        assert max(compared.values(), default=1) == 1
        assert story.ill.isdisjoint(compared)
        assert all(after - before >= FAIR_S for before, after in pairwise(world.timed_at))
        assert sorted(map(id, world.settled)) == sorted(map(id, world.real))
        for ticket in world.real:
            if ticket.result is None:
                assert not story.calm
                assert isinstance(ticket.error, HostLost | ModelFailed | NotReady | PredictTimeout)
            else:
                assert ticket.result.outputs == [[*map(echoed, rows_of(Flight([ticket], 0.0)))]]
        if not story.closed:
            story.dropped = told["dropped"]
            world.copy(SMALL)
            assert told["dropped"] == story.dropped  # for nothing is held any more
