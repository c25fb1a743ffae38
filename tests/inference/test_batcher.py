"""The queue and its batches: no ticket is lost, doubled, answered to another, or computed after its deadline."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    RequestError,
    WaitTooLong,
)
from penstock.inference.admission import TURN_S, Admission
from penstock.inference.batcher import Batcher
from penstock.inference.forecast import Forecast
from penstock.inference.hosts import Host
from penstock.inference.outputs import Outputs
from penstock.inference.rows import Rows
from penstock.inference.ticket import Result, Ticket
from penstock.testing import FakeHost, ManualHandle, ManualTimer


class World:
    """A batcher, its time, and what it told the outside."""

    def __init__(
        self,
        *,
        max_rows: int = 64,
        wait_ms: float = 0,
        queue: int = 4096,
        timeout_s: float = 30,
        fronts: int = 1,
        longest_ms: float | None = None,
        timer: ManualTimer | None = None,
    ) -> None:
        self.timer = timer or ManualTimer()
        self.soon: list[Callable[[], None]] = []
        self.hung: list[Host] = []
        self.batches: list[int] = []
        self.busy_s = 0.0
        self.waits: list[tuple[float, float]] = []
        self.splits = 0
        self.gone: list[str] = []
        self.settled: list[Ticket] = []
        self.model = Model(
            path="",
            batching=Batching(max_rows=max_rows, max_wait_ms=wait_ms),
            queue=Queue(rows=queue, wait_ms=longest_ms, priority="header"),
            predict_timeout_s=timeout_s,
        )
        self.batcher = Batcher(
            self.model, timer=self.timer, soon=self._soon, meter=self, hung=self._on_hung, fronts=fronts
        )

    def _soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def _on_hung(self, host: Host) -> None:
        self.hung.append(host)
        if isinstance(host, FakeHost):
            host.flight = None

    def batch(self, rows: int, seconds: float, raw: Mapping[str, memoryview], /) -> None:
        self.batches.append(rows)

    def busy(self, seconds: float, /) -> None:
        self.busy_s += seconds

    def waited(self, expected_s: float, waited_s: float, /) -> None:
        self.waits.append((expected_s, waited_s))

    def split(self) -> None:
        self.splits += 1

    def left(self, reason: str, /) -> None:
        self.gone.append(reason)

    def host(self) -> FakeHost:
        host = FakeHost(self.batcher)
        self.batcher.attach(host)
        self.settle()
        return host

    def settle(self) -> None:
        while self.soon:
            self.soon.pop(0)()

    def ticket(self, name: int = 0, rows: int = 1, deadline_s: float = 60.0, *, high: bool = False) -> Ticket:
        now = self.timer.time()
        column = b"".join(name.to_bytes(8, "little") for _ in range(rows))
        return Ticket(Rows(rows, [column]), self.settled.append, high=high, deadline=now + deadline_s, queued_at=now)

    def submit(self, *names: int, rows: int = 1, deadline_s: float = 60.0, high: bool = False) -> list[Ticket]:
        tickets = [self.ticket(name, rows, deadline_s, high=high) for name in names]
        for ticket in tickets:
            self.batcher.submit(ticket)
        self.settle()
        return tickets


class SlowTimer(ManualTimer):
    """Between any two looks at it a millisecond passes. `calls` is how many calls were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def time(self) -> float:
        self.now += 0.001
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> ManualHandle:
        self.calls += 1
        return super().call_later(delay, callback)


def learnt(world: World, seconds: float, *hosts: FakeHost) -> None:
    """Shows the batcher that the model takes so long, whatever the batch."""
    for _ in range(3):
        world.submit(0)
        world.timer.advance(seconds)
        echo(next(host for host in hosts if host.flight), seconds)


def echo(host: FakeHost, seconds: float = 0.001) -> None:
    """Answers the oldest batch with the names of its tickets, row by row."""
    column = b"".join(bytes(part) for t in host.sent[-1].tickets for part in t.rows.columns)
    names = [int.from_bytes(column[i : i + 8], "little") for i in range(0, len(column), 8)]
    host.answer(Outputs([names], None, None, {}), seconds=seconds)


def outcome(ticket: Ticket) -> Result | type[BaseException]:
    assert ticket.done
    return type(ticket.error) if ticket.error is not None else answer(ticket)


def answer(ticket: Ticket) -> Result:
    assert ticket.result is not None
    return ticket.result


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.batcher.close()


def test_what_waits_while_the_host_is_busy_goes_together(world: World) -> None:
    host = world.host()
    world.submit(1)
    world.submit(2)
    world.submit(3)
    echo(host)
    assert [len(flight.tickets) for flight in host.sent] == [1, 2]


def test_what_arrives_together_goes_together_even_to_an_idle_host(world: World) -> None:
    host = world.host()
    world.submit(1, 2, 3)
    assert [len(flight.tickets) for flight in host.sent] == [3]


def test_every_ticket_gets_its_own_rows(world: World) -> None:
    host = world.host()
    first, second = world.submit(7, rows=2) + world.submit(8, rows=3)
    echo(host)
    echo(host)
    assert [answer(t).outputs for t in (first, second)] == [[[7, 7]], [[8, 8, 8]]]


def test_a_batch_holds_at_most_max_rows_but_one_request_may_be_larger() -> None:
    world = World(max_rows=4)
    host = world.host()
    world.submit(1, 2, 3, rows=2)
    world.submit(4, rows=9)
    for _ in range(3):
        echo(host)
    assert [flight.rows for flight in host.sent] == [4, 2, 9]


def test_a_full_queue_refuses_and_an_empty_one_takes_any_single_request() -> None:
    world = World(queue=4)
    host = world.host()
    world.submit(1)
    world.submit(2, rows=4)
    with pytest.raises(QueueFull):
        world.submit(3)
    echo(host)
    world.submit(4, rows=1)
    assert world.batcher.queued_rows == 1


def test_the_model_is_never_called_for_what_expired_in_the_queue(world: World) -> None:
    host = world.host()
    (busy,) = world.submit(1)
    (late,) = world.submit(2, deadline_s=0.5)
    world.timer.advance(1)
    assert outcome(late) is DeadlineExceeded
    echo(host)
    assert len(host.sent) == 1
    assert outcome(busy) != DeadlineExceeded


@pytest.mark.parametrize("goes_again", [True, False])
def test_who_is_told_that_it_is_too_late_and_asks_for_more_takes_no_host_from_another(goes_again: bool) -> None:
    world = World(max_rows=4)
    host = world.host()
    asked: list[Ticket] = []
    if not goes_again:
        world.submit(0)
    first = world.ticket(1, 1, 0.5)
    first.settled = lambda _: asked.extend(submitted(world, 5, 6, 7, 8))
    for ticket in (first, *[world.ticket(name) for name in (2, 3, 4)]):
        world.batcher.submit(ticket)
    if goes_again:
        world.settle()
    world.timer.now += 1  # and nothing is heard of it
    if goes_again:
        host.fail()
    else:
        echo(host)
    for _ in range(4):
        world.settle()
        if host.flight:
            echo(host)
    assert first.done
    assert [answer(ticket).outputs for ticket in asked] == [[[5]], [[6]], [[7]], [[8]]]


def submitted(world: World, *names: int) -> list[Ticket]:
    """Requests of which so many come at once that they are looked after before all events are dealt with."""
    tickets = [world.ticket(name) for name in names]
    for ticket in tickets:
        world.batcher.submit(ticket)
    return tickets


@pytest.mark.parametrize("ends", ["answered", "expired", "lost"])
def test_one_that_cannot_be_told_costs_no_other_the_word(ends: str) -> None:
    def broken(ticket: Ticket) -> None:
        raise ZeroDivisionError

    world = World()
    host = world.host()
    first, second = (world.ticket(name, 1, 0.5) for name in (1, 2))
    first.settled = broken
    for ticket in (first, second):
        world.batcher.submit(ticket)
    world.settle()
    if ends == "answered":
        echo(host)
    elif ends == "expired":
        world.timer.advance(1)
    else:
        host.die()
    with pytest.raises(ZeroDivisionError):
        world.settle()
    assert first.done
    assert second.done


def test_looking_for_what_expired_takes_a_small_part_of_the_time() -> None:
    """Each look goes through all that waits, and in an overload there is always something that expires next."""
    timer = SlowTimer()
    world = World(timer=timer)
    world.host()
    world.submit(0)
    late = [world.ticket(name, deadline_s=1 + name / 1000) for name in range(200)]
    for ticket in late:
        world.batcher.submit(ticket)
    before = timer.calls
    timer.advance(3)
    assert all(outcome(ticket) is DeadlineExceeded for ticket in late)
    assert timer.calls - before < 50  # of two hundred


def test_answering_those_that_expired_is_no_part_of_looking_for_them() -> None:
    world = World()
    world.host()
    world.submit(0)
    told: list[float] = []

    def slowly(ticket: Ticket) -> None:
        world.timer.now += 0.01
        told.append(world.timer.now)

    for deadline in (*[1.0] * 100, 1.05):
        world.batcher.submit(Ticket(Rows(1, [b"12345678"]), slowly, deadline=deadline, queued_at=0.0))
    world.timer.advance(3)
    assert len(told) == 101
    assert told[-1] < 2.2


def test_a_late_answer_is_discarded(world: World) -> None:
    host = world.host()
    (late,) = world.submit(1, deadline_s=0.5)
    world.timer.advance(1)
    echo(host)
    assert outcome(late) is DeadlineExceeded


def test_the_rows_of_a_client_that_went_away_leave_the_queue(world: World) -> None:
    host = world.host()
    world.submit(1)
    (gone,) = world.submit(2)
    world.batcher.withdraw(gone)
    assert world.batcher.queued_rows == 0
    echo(host)
    assert (outcome(gone), len(host.sent), world.gone) == (ClientGone, 1, ["cancelled"])


def test_who_could_not_be_answered_in_time_is_refused_at_once_and_told_when_to_come_again(world: World) -> None:
    host = world.host()
    learnt(world, 2.0, host)
    world.submit(1)
    world.submit(2, deadline_s=4.5)  # behind the batch at hand, in the next one
    with pytest.raises(WaitTooLong) as refused:
        world.submit(3, deadline_s=1.5)
    assert refused.value.retry_after == 3  # 4 s to wait, of which it has 1.5
    world.timer.advance(2)
    echo(host, 2.0)
    world.submit(4, deadline_s=4.5)
    assert (world.batcher.queued_rows, world.gone) == (1, [])


def test_a_wait_for_the_model_may_have_a_limit_of_its_own_however_patient_the_client() -> None:
    world = World(longest_ms=2500)
    host = world.host()
    learnt(world, 1.0, host)
    world.submit(1, deadline_s=60)
    world.submit(*range(64), deadline_s=60)  # go when the batch at hand is answered, in a second
    world.submit(*range(64), deadline_s=60)  # in two
    with pytest.raises(WaitTooLong) as refused:
        world.submit(2, deadline_s=60)  # in three
    assert refused.value.retry_after == 1
    with pytest.raises(WaitTooLong):
        world.submit(2, deadline_s=1.5)
    world.timer.advance(1)
    echo(host, 1.0)
    world.submit(2, deadline_s=60)


def test_a_large_request_may_take_longer_than_anybody_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes by itself is not the wait for those before it."""
    monkeypatch.setattr(Forecast, "margin_s", 0.0)
    world = World(longest_ms=500)
    host = world.host()
    for rows, seconds in ((1, 0.1), (1000, 4.0), (1, 0.1), (1000, 4.0)):
        world.submit(0, rows=rows)
        world.timer.advance(seconds)
        echo(host, seconds)
    world.submit(1)
    world.submit(2, rows=1000)


def test_a_refusal_holds_for_the_next_in_a_hurry_and_for_nobody_else(world: World) -> None:
    """All of it in one moment: nothing is looked at again for those who have no more time than who was refused."""
    host = world.host()
    learnt(world, 1.0, host)
    world.submit(1)
    world.submit(*range(128))
    for _ in range(2):
        with pytest.raises(WaitTooLong):
            world.batcher.admit(world.timer.time() + 2.5)
    world.batcher.admit(world.timer.time() + 2.5, high=True)
    world.batcher.admit(world.timer.time() + 60)
    world.host()
    world.batcher.admit(world.timer.time() + 2.5)


def test_what_a_batch_waits_in_its_host_for_other_fronts_counts_as_waiting(world: World) -> None:
    host = world.host()
    (waited,) = world.submit(1)
    host.sent[-1].begun_at = world.timer.time() + 0.4
    world.timer.advance(0.5)
    echo(host, 0.1)
    assert answer(waited).queue_s == pytest.approx(0.4)


def test_a_limit_on_the_wait_counts_what_passes_in_the_host_before_a_batch_is_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model takes 0.1 s and its host answers after 0.3, since it serves other fronts as well."""
    monkeypatch.setattr(Forecast, "margin_s", 0.0)
    world = World(longest_ms=350)
    host = world.host()
    for _ in range(3):
        world.submit(0)
        world.timer.advance(0.3)
        echo(host, 0.1)
    world.submit(1)
    with pytest.raises(WaitTooLong, match=r"queue\.wait_ms"):
        world.submit(2)  # 0.3 s until the host has done with that, and 0.2 until it begins
    world.timer.advance(0.16)
    world.submit(2)


def test_a_wait_counts_from_when_the_batch_at_hand_was_sent(world: World) -> None:
    host = world.host()
    learnt(world, 2.0, host)
    world.submit(1)
    world.timer.advance(1.5)
    assert world.batcher.admit(world.timer.time() + 60) == pytest.approx(2.5)
    with pytest.raises(WaitTooLong):
        world.batcher.admit(world.timer.time() + 2.4)
    world.batcher.admit(world.timer.time() + 2.6)


def test_a_free_host_takes_what_is_not_expected_to_be_in_time_and_so_learns_that_it_is(world: World) -> None:
    """A model that was slow once would else never be asked again."""
    host = world.host()
    learnt(world, 2.0, host)
    for _ in range(80):
        (hurried,) = world.submit(1, deadline_s=0.5)
        world.timer.advance(0.01)
        echo(host, 0.01)
        assert answer(hurried)
    world.submit(2)
    world.submit(3, deadline_s=0.5)


def test_as_wrong_as_it_was_of_late_it_may_be_again(world: World) -> None:
    """Half of all that is let in up to the last moment would be answered after it."""
    host = world.host()
    for seconds in (1.0, 1.2, 0.8, 1.0, 1.1, 0.9):
        learnt(world, seconds, host)
    world.submit(1)
    with pytest.raises(WaitTooLong):
        world.submit(2, deadline_s=2.1)
    world.submit(2, deadline_s=2.8)


def test_several_hosts_share_what_waits() -> None:
    world = World(max_rows=1)
    first, second = world.host(), world.host()
    learnt(world, 1.0, first, second)
    world.submit(*range(10))
    with pytest.raises(WaitTooLong):  # eight wait and one more, two by two: five batches after those at hand
        world.submit(11, deadline_s=5.9)
    world.submit(11, deadline_s=6.1)


def test_a_request_whose_time_is_up_already_is_not_queued(world: World) -> None:
    world.host()
    with pytest.raises(DeadlineExceeded):
        world.submit(1, deadline_s=0.0)


def test_a_batch_that_expired_before_the_host_came_to_it_is_nobodys_fault(world: World) -> None:
    host = world.host()
    tickets = world.submit(1, 2, deadline_s=0.5)
    world.timer.now = 0.6  # and no alarm has rung yet
    host.expire()
    assert [outcome(t) for t in tickets] == [DeadlineExceeded, DeadlineExceeded]
    assert (world.splits, world.batcher.capacity(), world.gone) == (0, None, ["expired", "expired"])


def test_a_batch_that_came_too_late_for_one_goes_again_without_it(world: World) -> None:
    host = world.host()
    (hurried,) = world.submit(1, deadline_s=0.5)
    world.batcher.withdraw(hurried)
    host.answer(Outputs([[1]], None, None, {}))
    late, patient = world.ticket(2, deadline_s=0.5), world.ticket(3)
    world.batcher.submit(late)
    world.batcher.submit(patient)
    world.settle()
    assert host.sent[-1].expires == late.deadline
    world.timer.now = 0.6
    host.expire()
    echo(host)
    assert outcome(late) is DeadlineExceeded
    assert answer(patient).outputs == [[3]]


def test_the_halves_of_a_failed_batch_that_have_no_time_left_are_not_tried(world: World) -> None:
    host = world.host()
    hurried = [world.ticket(name, deadline_s=1) for name in range(2)]
    patient = [world.ticket(name) for name in range(2, 4)]
    for ticket in (*hurried, *patient):
        world.batcher.submit(ticket)
    world.settle()
    world.timer.now = 1.5  # no alarm has rung yet
    host.fail()
    while host.flight:
        echo(host)
    assert [outcome(t) for t in hurried] == [DeadlineExceeded, DeadlineExceeded]
    assert [len(flight.tickets) for flight in host.sent] == [4, 2]
    assert [answer(t).outputs for t in patient] == [[[2]], [[3]]]


def test_the_halves_of_failed_batches_take_turns_with_the_others() -> None:
    """Else one request of many bad rows would hold up everybody for twice as many calls of the model."""
    world = World(max_rows=8)
    host = world.host()
    world.submit(*range(8))
    (waiting,) = world.submit(9)
    host.fail()
    host.fail()
    assert list(host.sent[-1].tickets) == [waiting]


def test_what_was_expected_and_what_was_waited_is_told(world: World) -> None:
    host = world.host()
    learnt(world, 2.0, host)
    world.submit(1)
    world.submit(2)
    for _ in range(2):
        world.timer.advance(2.0)
        echo(host, 2.0)
    assert world.waits == [pytest.approx((4.0, 4.0))]
    assert world.busy_s == pytest.approx(10.0)
    capacity = world.batcher.capacity()
    assert capacity is not None
    assert capacity == (0.5, 1.0, 2000.0)


def test_high_priority_goes_first(world: World) -> None:
    host = world.host()
    world.submit(1)
    world.submit(2)
    world.submit(3, high=True)
    echo(host)
    assert [t.high for t in host.sent[-1].tickets] == [True, False]


def test_where_the_queue_is_full_low_priority_gives_way_and_the_latest_first() -> None:
    world = World(queue=4)
    host = world.host()
    world.submit(0)
    early, middle, late = (world.submit(name)[0] for name in (1, 2, 3))
    (urgent,) = world.submit(4, rows=3, high=True)
    assert [outcome(t) for t in (middle, late)] == [GaveWay, GaveWay]
    with pytest.raises(QueueFull):
        world.submit(5)
    with pytest.raises(QueueFull):
        world.submit(6, rows=2, high=True)
    echo(host)
    echo(host)
    assert answer(urgent).outputs == [[4, 4, 4]]
    assert answer(early).outputs == [[1]]
    assert world.gone == ["gave_way", "gave_way"]


def test_low_priority_is_refused_first_since_it_waits_for_those_who_will_overtake_it(world: World) -> None:
    host = world.host()
    for _ in range(20):
        world.submit(1, rows=3, high=True)
        world.submit(2)
        while host.flight:
            world.timer.advance(1.0)
            echo(host, 1.0)
    world.submit(3)
    now = world.timer.time()
    urgent_s = world.batcher.admit(now + 60, high=True)
    world.timer.advance(TURN_S)  # until then what was found holds
    assert urgent_s < world.batcher.admit(now + 60) / 1.2


def test_large_rows_go_in_more_batches_than_small_ones(world: World) -> None:
    host = world.host()
    learnt(world, 1.0, host)
    world.submit(*range(9))
    world.submit(*range(8))
    later = world.timer.time() + 600
    assert world.batcher.admit(later, rows=1, nbytes=4 * 2**20) == pytest.approx(1.0 + 3)  # four to a batch of 16 MiB
    with pytest.raises(WaitTooLong):
        world.submit(9, deadline_s=1.9)
    world.submit(9, deadline_s=2.1)


def test_a_large_request_and_small_ones_wait_for_each_other_in_turn() -> None:
    world = World(max_rows=4)
    host = world.host()
    world.submit(0)
    for name in range(1, 4):
        world.submit(name)
    world.submit(4, rows=100)
    for name in range(5, 10):
        world.submit(name)
    while host.flight:
        echo(host)
    assert [flight.rows for flight in host.sent] == [1, 3, 100, 4, 1]


@pytest.mark.parametrize("size", [2, 3, 8, 64])
def test_one_bad_row_fails_alone_wherever_it_stands(size: int) -> None:
    for bad in range(size):
        world = World()
        host = world.host()
        tickets = world.submit(*range(size))
        while host.flight:
            if any(ticket is tickets[bad] for ticket in host.sent[-1].tickets):
                host.fail()
            else:
                echo(host)
        assert [i for i, t in enumerate(tickets) if outcome(t) is ModelFailed] == [bad]
        assert len(host.sent) <= 2 * size.bit_length() + 1
        assert all(answer(t).outputs == [[i]] for i, t in enumerate(tickets) if i != bad)


def test_rows_that_are_not_finite_fail_their_own_request_only(world: World) -> None:
    host = world.host()
    first, second, third = world.submit(1, 2, 3)
    host.answer(Outputs([[1, 2, 3]], None, None, {}), failed=(1,))
    assert [outcome(t) is ModelFailed for t in (first, second, third)] == [False, True, False]


def test_a_dead_host_fails_only_what_it_held(world: World) -> None:
    host = world.host()
    held = world.submit(1, 2)
    (waiting,) = world.submit(3)
    host.die()
    assert [outcome(t) for t in held] == [HostLost, HostLost]
    echo(world.host())
    assert answer(waiting).outputs == [[3]]


def test_who_was_alone_in_the_batch_that_killed_the_host_is_to_blame(world: World) -> None:
    """As far as a front can know: it may as well have been killed from outside, and the sentence says so."""
    host = world.host()
    (alone,) = world.submit(1)
    host.die()
    assert outcome(alone) is ModelFailed
    assert "on account of it, or killed from outside" in str(alone.error)


def test_nobody_is_to_blame_for_a_batch_that_the_host_never_took(world: World) -> None:
    host = world.host()
    (alone,) = world.submit(1)
    host.die(unread=True)
    assert outcome(alone) is HostLost


def test_who_left_the_queue_after_a_crash_makes_nobody_else_run_alone(world: World) -> None:
    host = world.host()
    world.submit(1)
    world.submit(*range(2, 6), deadline_s=0.5)
    host.die()
    world.timer.advance(1)
    second = world.host()
    world.submit(6)
    world.submit(7, 8, 9)
    echo(second)
    assert [len(flight.tickets) for flight in second.sent] == [1, 3]


def test_who_comes_after_a_crash_does_not_free_those_who_waited(world: World) -> None:
    host = world.host()
    world.submit(1)
    world.submit(2, 3)
    host.die()
    for name in (4, 5):
        world.submit(name, high=True)
    second = world.host()
    while second.flight:
        echo(second)
    assert [len(flight.tickets) for flight in second.sent] == [2, 1, 1]


def test_after_a_crash_those_who_waited_run_one_at_a_time(world: World) -> None:
    host = world.host()
    world.submit(1)
    world.submit(2, 3)
    host.die()
    world.submit(4, 5)
    second = world.host()
    while second.flight:
        echo(second)
    assert [len(flight.tickets) for flight in second.sent] == [1, 1, 2]


def test_the_halves_of_a_failed_batch_outlive_the_host_one_by_one(world: World) -> None:
    host = world.host()
    tickets = world.submit(1, 2, 3, 4)
    host.fail()
    host.die()
    second = world.host()
    while second.flight:
        echo(second)
    assert [outcome(t) is HostLost for t in tickets] == [True, True, False, False]
    assert [len(flight.tickets) for flight in second.sent] == [1, 1]


def test_the_halves_of_a_failed_batch_do_not_wait_where_no_host_comes_back(world: World) -> None:
    host = world.host()
    tickets = world.submit(1, 2, 3, 4)
    host.fail()
    host.die()
    world.timer.advance(10)
    assert {outcome(t) for t in tickets} == {HostLost}


def test_a_host_that_talks_nonsense_is_reported_and_blames_nobody(world: World) -> None:
    host = world.host()
    (alone,) = world.submit(1)
    host.die(broken=True)
    assert (outcome(alone), world.hung) == (HostLost, [host])


def test_a_host_that_overruns_is_given_up_and_reported() -> None:
    world = World(timeout_s=2)
    host = world.host()
    (stuck,) = world.submit(1)
    world.timer.advance(1)
    (waiting,) = world.submit(2)
    world.timer.advance(1.5)
    assert (outcome(stuck), world.hung, host.closed) == (PredictTimeout, [host], True)
    echo(world.host())
    assert answer(waiting).outputs == [[2]]


def test_a_closed_queue_takes_nobody() -> None:
    world = World()
    world.batcher.close()
    with pytest.raises(NotReady):
        world.submit(1)


def test_a_host_is_looked_after_in_the_middle_of_a_long_turn_and_what_it_has_makes_room(world: World) -> None:
    host = world.host()
    learnt(world, 1.0, host)
    world.submit(1)
    world.submit(*range(64))
    with pytest.raises(WaitTooLong):
        world.batcher.admit(world.timer.time() + 2.5)
    world.batcher.admit(world.timer.time() + 2.5, high=True)
    host.says = lambda: echo(host, 1.0)
    world.timer.now += 0.0025
    world.batcher.admit(world.timer.time() + 2.5)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.sampled_from([0.5, 1.5, 2.5, 4.0, 60.0])), min_size=9),
    st.sampled_from([None, 1500.0]),
    st.integers(0, 2),
)
def test_nobody_is_let_in_unlooked_at_whom_a_close_look_would_refuse(
    requests: list[tuple[int, bool, float]], longest_ms: float | None, hosts: int
) -> None:
    """All of them come in one moment, so that what was found for one holds for the next."""
    world = World(longest_ms=longest_ms, queue=300)
    first = world.host()
    learnt(world, 1.0, first)
    for _ in range(hosts):
        world.host()
    for rows, high, deadline_s in requests:
        deadline = world.timer.time() + deadline_s
        refused = closely(world, deadline, rows, high=high)
        try:
            world.batcher.submit(world.ticket(0, rows, deadline_s, high=high))
        except (QueueFull, WaitTooLong):
            continue
        assert refused is None
    world.settle()
    world.batcher.close()


def closely(world: World, deadline: float, rows: int, *, high: bool) -> type[Exception] | None:
    """What such a request is refused with by who has found nothing out before; None if it is not."""
    batcher = world.batcher
    fresh = Admission(world.model, world.timer, batcher._fleet, batcher._queue, batcher._again, batcher.forecast)
    try:
        fresh.admit(deadline, rows, 8 * rows, high=high)
    except (QueueFull, WaitTooLong) as error:
        return type(error)
    return None


def test_a_host_that_is_busy_with_another_front_is_given_its_time_from_when_it_begins() -> None:
    world = World(timeout_s=2, fronts=3)
    host = world.host()
    host.elsewhere = True
    (held,) = world.submit(1)
    world.timer.advance(5.5)
    host.begin(world.timer.time())
    world.timer.advance(1.9)
    assert (held.done, world.hung) == (False, [])
    world.timer.advance(0.1)
    assert (outcome(held), world.hung) == (PredictTimeout, [host])


def test_a_host_that_never_begins_is_given_up_after_a_turn_of_every_front() -> None:
    world = World(timeout_s=2, fronts=3)
    host = world.host()
    host.elsewhere = True
    (held,) = world.submit(1)
    world.timer.advance(5.9)
    assert (held.done, world.hung) == (False, [])
    world.timer.advance(0.1)
    assert (outcome(held), world.hung) == (PredictTimeout, [host])


def test_where_no_host_comes_back_waiting_ends() -> None:
    world = World()
    (waiting,) = world.submit(1)
    world.timer.advance(10)
    assert outcome(waiting) is HostLost
    with pytest.raises(NotReady):
        world.submit(2)


def test_a_deadline_that_passes_while_no_host_is_there_is_not_the_models_fault(world: World) -> None:
    """The client may come again: that is 503, and not the 504 of a model that is too slow for it."""
    world.host().die()
    (hurried, patient) = [*world.submit(1, deadline_s=0.5), *world.submit(2, deadline_s=30)]
    world.timer.advance(0.6)
    assert outcome(hurried) is NotReady
    echo(world.host())
    world.settle()
    assert answer(patient).outputs


def test_a_window_holds_a_batch_back_until_it_is_full_or_over() -> None:
    world = World(max_rows=3, wait_ms=10)
    host = world.host()
    world.submit(1, 2)
    assert not host.sent
    world.submit(3)
    assert [len(f.tickets) for f in host.sent] == [3]
    echo(host)
    world.submit(4)
    world.timer.advance(0.011)
    assert [len(f.tickets) for f in host.sent] == [3, 1]


def test_a_window_closes_in_time_for_who_is_in_a_hurry() -> None:
    world = World(max_rows=9, wait_ms=1000)
    host = world.host()
    for _ in range(3):
        world.submit(0, rows=9)
        world.timer.advance(0.2)
        echo(host, 0.2)
    world.submit(1)
    (hurried,) = world.submit(2, deadline_s=0.5)
    world.timer.advance(0.24)
    assert not host.flight
    world.timer.advance(0.02)
    assert host.flight
    world.timer.advance(0.18)
    echo(host, 0.18)
    assert answer(hurried)


def test_where_no_pace_is_known_a_window_takes_at_most_half_of_the_time() -> None:
    world = World(max_rows=9, wait_ms=1000)
    host = world.host()
    world.submit(1, 2, deadline_s=0.5)
    world.timer.advance(0.24)
    assert not host.flight
    world.timer.advance(0.02)
    assert host.flight


def test_hosts_take_turns(world: World) -> None:
    hosts = [world.host() for _ in range(3)]
    for name in range(6):
        world.submit(name)
        echo(next(host for host in hosts if host.flight))
    assert [len(host.sent) for host in hosts] == [2, 2, 2]


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [*["submit"] * 3, "hurry", "answer", "fail", "expire", "die", "attach", "withdraw", "advance", "stall"]
        ),
        st.integers(0, 9),
    ),
    max_size=80,
)


class Story:
    """A random course of events, told step by step."""

    def __init__(self, max_rows: int, wait_ms: float) -> None:
        self.world = World(max_rows=max_rows, wait_ms=wait_ms, queue=12, timeout_s=3)
        self.hosts = [self.world.host()]
        self.tickets: list[Ticket] = []
        self.suspects: list[Ticket] = []
        self.skipped = 0  # by hosts, since they were sent too late

    def submit(self, n: int) -> None:
        self._submit(n, high=False)

    def hurry(self, n: int) -> None:
        self._submit(n, high=True)

    def _submit(self, n: int, *, high: bool) -> None:
        ticket = self.world.ticket(len(self.tickets), rows=1 + n % 3, deadline_s=0.5 + n, high=high)
        try:
            self.world.batcher.submit(ticket)
        except (QueueFull, WaitTooLong, NotReady):
            return
        self.tickets.append(ticket)

    def answer(self, n: int) -> None:
        if busy := [h for h in self.hosts if h.flight and not h.closed]:
            echo(busy[n % len(busy)], seconds=n / 8)

    def expire(self, n: int) -> None:
        """A host says that it came too late to a batch; it only says so of one that has."""
        for host in self.hosts:
            if host.flight and not host.closed and host.sent[-1].expires <= self.world.timer.time():
                self.skipped += sum(t.deadline <= self.world.timer.time() for t in host.sent[-1].tickets)
                host.expire()
                return

    def fail(self, n: int) -> None:
        if busy := [h for h in self.hosts if h.flight and not h.closed]:
            busy[n % len(busy)].fail()

    def die(self, n: int) -> None:
        if living := [h for h in self.hosts if not h.closed]:
            self.suspects += [ticket for ticket in self.tickets if ticket.queued]
            living[n % len(living)].die()

    def attach(self, n: int) -> None:
        self.hosts.append(FakeHost(self.world.batcher))
        self.world.batcher.attach(self.hosts[-1])

    def withdraw(self, n: int) -> None:
        if self.tickets:
            self.world.batcher.withdraw(self.tickets[n % len(self.tickets)])

    def advance(self, n: int) -> None:
        self.world.timer.advance(n / 4)

    def stall(self, n: int) -> None:
        """Time passes, and nothing is heard of it."""
        self.world.timer.now += n / 4


@given(STEPS, st.integers(1, 6), st.sampled_from([0.0, 5.0]))
@settings(max_examples=300, deadline=None)
def test_in_any_interleaving_every_ticket_is_settled_once_and_rightly(
    steps: list[Step], max_rows: int, wait_ms: float
) -> None:
    story = Story(max_rows, wait_ms)
    world = story.world
    for step, n in steps:
        getattr(story, step)(n)
        if n % 2:
            world.settle()
    world.settle()
    started = [(flight.sent_at, ticket) for host in story.hosts for flight in host.sent for ticket in flight.tickets]
    assert all(sent_at < ticket.deadline for sent_at, ticket in started)
    suspects = set(map(id, story.suspects))
    together = [flight.tickets for host in story.hosts for flight in host.sent if len(flight.tickets) > 1]
    assert suspects.isdisjoint(id(ticket) for tickets in together for ticket in tickets)
    world.timer.advance(100)
    world.settle()
    assert sorted(map(id, world.settled)) == sorted(map(id, story.tickets))
    sent = {id(ticket) for host in story.hosts for flight in host.sent for ticket in flight.tickets}
    assert sum(id(ticket) not in sent for ticket in story.tickets) == len(world.gone) - story.skipped
    assert world.batcher.queued_rows == 0
    for ticket in story.tickets:
        name = int.from_bytes(bytes(ticket.rows.columns[0])[:8], "little")
        assert isinstance(ticket.error, RequestError) or set(answer(ticket).outputs[0]) == {name}
