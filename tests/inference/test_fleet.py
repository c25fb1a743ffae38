"""Who of several hosts is next, who overran, and whether one is soon to come."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.inference.fleet import Fleet
from penstock.inference.forecast import Forecast
from penstock.inference.hosts import Flight
from penstock.inference.rows import Rows
from penstock.inference.ticket import Ticket

PATIENCE_S, TIMEOUT_S = 4.0, 2.0


class Holder:
    """A host that holds what it is sent, and begins with it `late_s` seconds after that."""

    def __init__(self, late_s: float = 0.0) -> None:
        self.id = 0
        self.flight: Flight | None = None
        self.looks = 0
        self.late_s = late_s
        self.now = math.inf

    def look(self) -> None:
        self.looks += 1

    def send(self, flight: Flight) -> None:
        self.flight = flight

    def begun_at(self) -> float | None:
        assert self.flight is not None
        begun_at = self.flight.sent_at + self.late_s
        return begun_at if begun_at <= self.now else None

    def close(self) -> None: ...


def flight(sent_at: float = 0.0, rows: int = 1) -> Flight:
    return Flight([Ticket(Rows(rows, [b""]), lambda _: None, deadline=60.0, queued_at=sent_at)], sent_at)


def fleet(*hosts: Holder, fronts: int = 1) -> Fleet:
    made = Fleet(0.0, PATIENCE_S, TIMEOUT_S, fronts)
    for host in hosts:
        made.attach(host)
    return made


def paced(seconds: float) -> Forecast:
    """Where every batch takes so long."""
    forecast = Forecast(64)
    forecast.answered(1, seconds, seconds, 0.0)
    return forecast


STEPS = st.tuples(st.sampled_from(["send", "send", "answer", "attach", "detach"]), st.integers(0, 9))


@given(st.lists(STEPS, max_size=80))
@settings(max_examples=200)
def test_the_next_is_the_least_lately_chosen_of_those_that_have_nothing_to_do(steps: list[tuple[str, int]]) -> None:
    some = fleet()
    since: dict[Holder, int] = {}  # when each was chosen, or else came
    for now, (step, n) in enumerate(steps):
        busy = [host for host in since if host.flight]
        if step == "attach":
            since[host := Holder()] = now
            some.attach(host)
        elif step == "detach" and since:
            some.detach(host := list(since)[n % len(since)], now)
            del since[host]
        elif step == "answer" and busy:
            busy[n % len(busy)].flight = None
        elif step == "send":
            able = [host for host in since if host.flight is None]
            expected = min(able, key=since.__getitem__, default=None)
            assert some.free() is expected
            if expected is not None:
                some.send(expected, sent := flight(now))
                assert expected.flight is sent
                since[expected] = now
        assert set(some) == set(since)
        assert len(some) == len(since)


def test_equals_take_turns() -> None:
    hosts = [Holder() for _ in range(3)]
    some, chosen = fleet(*hosts), []
    for _ in range(6):
        host = some.free()
        assert host is not None
        some.send(host, flight())
        chosen.append(host)
        host.flight = None
    assert chosen == [*hosts, *hosts]


def test_hosts_may_go_while_one_looks_at_them() -> None:
    some = fleet(Holder(), Holder(), Holder())
    for host in some:
        some.detach(host, 1.0)
    assert len(some) == 0


# -------------------------------------------------------------------- hope
def test_there_is_hope_for_a_while_before_the_first_and_after_the_last_but_none_beside_one() -> None:
    some, host, other = fleet(), Holder(), Holder()
    assert [some.hopes(at) for at in (0.0, 3.9, 4.0)] == [True, True, False]
    some.attach(host)
    some.attach(other)
    assert not some.hopes(1.0)
    assert some.next_check(1.0, waiting=True) is None
    some.detach(host, 10.0)
    assert not some.hopes(10.0)
    some.detach(other, 20.0)
    assert [some.hopes(at) for at in (20.0, 23.9, 24.0)] == [True, True, False]


def test_to_forget_a_host_again_is_no_new_hope() -> None:
    some = fleet(host := Holder())
    some.detach(host, 10.0)
    some.detach(host, 13.0)
    assert not some.hopes(14.0)


# -------------------------------------------------------------------- time
@given(st.lists(st.floats(0, 10), max_size=4), st.booleans(), st.booleans())
def test_the_next_look_is_due_when_there_is_first_something_to_see(
    sent: list[float], waiting: bool, idle: bool
) -> None:
    some = fleet(*[Holder() for _ in range(idle)])
    for at in sent:
        some.attach(host := Holder())
        host.send(flight(at))
    due_at = some.next_check(0.0, waiting=waiting)
    if due_at is None:
        assert not sent
        assert idle or not waiting
    else:
        assert not some.overdue(due_at - 0.001)
        assert some.overdue(due_at) or (waiting and some.hopes(due_at - 0.001) and not some.hopes(due_at))


def test_only_those_that_overran_are_overdue() -> None:
    late, early, idle = Holder(), Holder(), Holder()
    some = fleet(late, early, idle)
    late.send(flight(0.0))
    early.send(flight(0.5))
    assert [some.overdue(at) for at in (1.9, 2.0, 2.5)] == [[], [late], [late, early]]


@given(st.integers(1, 8), st.integers(0, 160))
@settings(max_examples=200)
def test_a_host_is_overdue_its_time_after_it_began_or_where_it_never_does_after_a_turn_of_each_front(
    fronts: int, eighths: int
) -> None:
    host = Holder(late_s := eighths / 8)
    some = fleet(host, fronts=fronts)
    host.send(flight())
    host.now, looks = 0.0, 0
    while not some.overdue(host.now):
        at = some.next_check(host.now, waiting=False)
        assert at is not None
        assert at > host.now
        host.now, looks = at, looks + 1
    latest = fronts * TIMEOUT_S
    assert host.now == (late_s + TIMEOUT_S if late_s <= latest else latest)
    assert looks <= fronts + 1, "few looks are enough to find out to the moment"


def test_one_that_says_it_will_begin_some_day_is_overdue_all_the_same() -> None:
    host = Holder(late_s=math.inf)
    some = fleet(host, fronts=3)
    host.send(flight())
    assert [len(some.overdue(at)) for at in (7.9, 8.0)] == [0, 1], "three turns and its own time"


def test_a_host_is_free_at_once_if_it_takes_another_and_else_when_it_is_done() -> None:
    first, second = Holder(), Holder()
    some, forecast = fleet(first, second), paced(0.5)
    first.send(flight(1.0))
    assert some.free_in_s(1.0, forecast) == 0.0
    second.send(flight(1.25))
    assert some.free_in_s(1.25, forecast) == pytest.approx(0.25)
    assert some.free_in_s(1.4, forecast) == pytest.approx(0.1)
    assert some.free_in_s(9.0, forecast) == 0.0, "who is late is expected at any moment, and not in the past"


def test_where_there_is_no_host_nothing_is_known_of_when_one_is_free() -> None:
    assert fleet().free_in_s(1.0, paced(0.5)) == 0.0


def test_only_who_holds_something_is_looked_at() -> None:
    idle, busy = Holder(), Holder()
    busy.send(flight())
    fleet(idle, busy).look()
    assert (idle.looks, busy.looks) == (0, 1)
