"""The queue and its two lanes do what plain lists would, and never hold more than they have room for."""

import gc
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.inference.queue import LOOSE, Lane, TicketQueue
from penstock.inference.rows import Rows
from penstock.inference.ticket import Ticket

MOST_ROWS, MOST_BYTES = 12, 60

Step = tuple[str, int, int]
"""What happens, how many rows it is about, and how many bytes a row (or which of the tickets it is about)."""


def ticket(rows: int = 1, nbytes: int = 8, *, high: bool = False) -> Ticket:
    return Ticket(Rows(rows, [bytes(nbytes)]), lambda _: None, high=high, deadline=60.0, queued_at=0.0)


class Lists:
    """The queue as one would explain it: a list for each priority."""

    def __init__(self) -> None:
        self.high: list[Ticket] = []
        self.low: list[Ticket] = []

    @property
    def all(self) -> list[Ticket]:
        return self.high + self.low

    def takes(self, new: Ticket) -> bool:
        return fits(self.high if new.high else self.all, new)

    def push(self, new: Ticket) -> list[Ticket]:
        gone: list[Ticket] = []
        while self.low and new.high and not fits(self.all, new):
            gone.append(self.low.pop())
        (self.high if new.high else self.low).append(new)
        return gone

    def remove(self, old: Ticket) -> None:
        (self.high if old.high else self.low).remove(old)


def fits(beside: list[Ticket], new: Ticket) -> bool:
    return not beside or (rows_of(*beside, new) <= MOST_ROWS and bytes_of(*beside, new) <= MOST_BYTES)


def rows_of(*tickets: Ticket) -> int:
    return sum([each.rows.count for each in tickets])


def bytes_of(*tickets: Ticket) -> int:
    return sum([each.nbytes for each in tickets])


STEPS = st.tuples(st.sampled_from(["high", "low", "low", "leave", "next"]), st.integers(1, 14), st.integers(0, 9))


@given(st.lists(STEPS, max_size=100))
@settings(max_examples=200)
def test_it_is_two_lists_of_which_the_second_gives_way_from_its_end(steps: list[Step]) -> None:
    queue, lists = TicketQueue(MOST_ROWS, MOST_BYTES), Lists()
    for step, rows, n in steps:
        if step in ("high", "low"):
            new = ticket(rows, rows * n, high=step == "high")
            assert queue.takes(new.rows.count, new.nbytes, high=new.high) == lists.takes(new)
            if lists.takes(new):
                assert [*queue.push(new)] == lists.push(new)
        elif lists.all:
            leaving = lists.all[0 if step == "next" else n % len(lists.all)]
            assert step != "next" or queue.first() is leaving
            queue.remove(leaving)
            lists.remove(leaving)
        assert list(queue) == lists.all
        assert queue.first() is (lists.all[0] if lists.all else None)
        assert (len(queue), queue.rows, queue.bytes) == (len(lists.all), rows_of(*lists.all), bytes_of(*lists.all))
        assert (queue.rows_before(high=True), queue.rows_before(high=False)) == (rows_of(*lists.high), queue.rows)
        assert all(each.queued for each in lists.all)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 14), st.integers(0, 9)), max_size=60))
def test_it_never_holds_more_than_its_room_but_for_one_that_is_larger_by_itself(
    arrivals: list[tuple[bool, int, int]],
) -> None:
    queue = TicketQueue(MOST_ROWS, MOST_BYTES)
    for high, rows, each in arrivals:
        if queue.takes(rows, rows * each, high=high):
            queue.push(ticket(rows, rows * each, high=high))
        assert len(queue) <= 1 or (queue.rows <= MOST_ROWS and queue.bytes <= MOST_BYTES)


def test_no_more_give_way_than_have_to_and_they_are_no_longer_queued() -> None:
    queue = TicketQueue(6, MOST_BYTES)
    first, second, third = waiting = [ticket(2) for _ in range(3)]
    for each in waiting:
        queue.push(each)
    urgent = ticket(3, high=True)
    assert queue.push(urgent) == [third, second]
    assert [each.queued for each in waiting] == [True, False, False]
    assert list(queue) == [urgent, first]


def test_the_urgent_do_not_give_way_to_each_other() -> None:
    queue = TicketQueue(6, MOST_BYTES)
    queue.push(ticket(5, high=True))
    assert queue.takes(1, 8, high=True)
    assert not queue.takes(2, 8, high=True)


def test_who_is_not_urgent_makes_nobody_give_way() -> None:
    queue = TicketQueue(6, MOST_BYTES)
    queue.push(ticket(4))
    assert not queue.takes(3, 8)


@pytest.mark.parametrize("high", [False, True])
def test_an_empty_queue_takes_any_one_ticket(high: bool) -> None:
    queue = TicketQueue(6, MOST_BYTES)
    assert queue.takes(1000, 10_000, high=high)
    queue.push(ticket(1000, 10_000, high=high))
    assert not queue.takes(1, 1, high=high)


LEAVING = st.tuples(st.sampled_from(["push", "push", "first", "last", "leave"]), st.integers(0, 99))


@given(st.lists(LEAVING, max_size=99))
def test_a_lane_is_a_list_that_is_left_from_anywhere(steps: list[tuple[str, int]]) -> None:
    lane, waiting = Lane(), list[Ticket]()
    for step, n in steps:
        if step == "push":
            waiting.append(ticket(n))
            lane.push(waiting[-1])
        elif waiting:
            leaving = waiting.pop({"first": 0, "last": -1}.get(step, n % len(waiting)))
            lane.remove(leaving)
        assert list(lane) == waiting
        assert (lane.first(), lane.last()) == ((waiting[0], waiting[-1]) if waiting else (None, None))
        assert (lane.live, lane.rows, lane.bytes) == (len(waiting), rows_of(*waiting), bytes_of(*waiting))


class Settled:
    """What a ticket calls when it is settled, which lives as long as the ticket does."""

    def __call__(self, _: Ticket) -> None: ...


def come_and_go(lane: Lane, alive: weakref.WeakSet[Settled]) -> None:
    alive.add(settled := Settled())
    lane.push(gone := Ticket(Rows(1, [b""]), settled, deadline=60.0, queued_at=0.0))
    lane.remove(gone)


def test_those_that_left_are_let_go_of_though_one_before_them_waits_on() -> None:
    """A client that comes and goes behind a patient one costs no memory."""
    lane, alive = Lane(), weakref.WeakSet[Settled]()
    lane.push(ticket())
    for _ in range(1000):
        come_and_go(lane, alive)
    gc.collect()
    assert len(alive) <= 2 * lane.live + LOOSE
