"""Buckets: whoever borrows from them, and whatever becomes of the borrowers, no client spends more than its quota."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.model.bucket import LAPSE_S, Bucket, Grant, block_of
from penstock.model.quota import Limit

SLACK = 1e-6  # tokens; floats do not add up exactly


def limit(rate: float, burst: int) -> Limit:
    """So many tokens in a minute that it is `rate` a second."""
    return Limit("requests", round(rate * 60), 60, burst)


def passed(grant: Grant, sizes: Sequence[int]) -> list[int]:
    """Those of the sizes that may pass."""
    return [size for size, passes in zip(sizes, grant.verdicts(sizes), strict=True) if passes]


class Held(NamedTuple):
    left: int
    until: float
    stamp: int


NOTHING = Held(0, 0.0, 0)


class Borrowers:
    """Fronts that spend what they have, and note when. Blocks are large, to have much at stake."""

    def __init__(self, of: Limit, bucket: Any = None) -> None:
        self.bucket = bucket or Bucket(of, 0.0)
        self.limit = of
        self.now = 0.0
        self.held: dict[int, Held] = {}
        self.spent: list[tuple[float, int]] = []

    def play(self, steps: list[tuple[object, ...]]) -> None:
        for step in steps:
            match step:
                case ("ask", int(who), list(sizes), float(ago)):
                    self.ask(who, sizes, ago)
                case ("forget", int(who), float(ago)):
                    self.forget(who, ago)
                case ("use", int(who), int(tokens)):
                    self.use(who, tokens)
                case ("pass", float(seconds)):
                    self.now += seconds

    def ask(self, who: int, sizes: list[int], asked_s_ago: float) -> None:
        """A loan lapses so long after it was asked for, which was a while ago by now."""
        held = self.held.pop(who, NOTHING)
        left = held.left if self.now - asked_s_ago < held.until else 0
        grant = self.bucket.take(self.now, who, sizes, self.limit.burst, left, held.stamp)
        self.spend(sum(passed(grant, sizes)))
        self.held[who] = Held(grant.lent, self.now - asked_s_ago + LAPSE_S, grant.stamp)

    def forget(self, who: int, asked_s_ago: float) -> None:
        """Its place is taken by one that knows nothing of what it holds, and asks at once; it goes on spending that."""
        held = self.held.pop(who, NOTHING)
        self.ask(who, [1], asked_s_ago)
        self.held[who + 10] = held

    def use(self, who: int, tokens: int) -> None:
        """Spends so many, or as many as are left."""
        held = self.held.get(who, NOTHING)
        if self.now < held.until:
            self.spend(spent := min(tokens, held.left))
            self.held[who] = held._replace(left=held.left - spent)

    def spend(self, tokens: int) -> None:
        self.spent.append((self.now, tokens))

    def most_over(self) -> float:
        """By how much the worst stretch of time was above what may be spent in it."""
        worst = -math.inf
        for first, (began, _) in enumerate(self.spent):
            total = 0
            for at, tokens in self.spent[first:]:
                total += tokens
                worst = max(worst, total - self.limit.burst - self.limit.rate * (at - began))
        return worst


WHO = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("ask"), WHO, st.sampled_from([[1], [3, 1], [30, 9, 2, 1], [1] * 40]), st.sampled_from([0.0, 0.3])
        ),
        st.tuples(st.just("forget"), WHO, st.sampled_from([0.0, 0.3])),
        st.tuples(st.just("use"), st.sampled_from([0, 1, 10, 11]), st.sampled_from([1, 40])),
        st.tuples(st.just("pass"), st.sampled_from([0.01, 0.2, 0.9, 4.0])),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=500)
@given(st.sampled_from([0.5, 20.0, 300.0]), st.sampled_from([1, 4, 12, 40]), STEPS)
def test_over_any_time_nobody_spends_more_than_the_burst_and_what_has_come_since(
    rate: float, burst: int, steps: list[tuple[object, ...]]
) -> None:
    """Whoever forgets what it holds has died, and another has its place; or it does not, and spends it later."""
    borrowers = Borrowers(limit(rate, burst))
    borrowers.play(steps)
    assert borrowers.most_over() <= SLACK


@given(st.integers(1, 30), st.integers(8, 200), st.lists(st.floats(0.001, 0.2), min_size=50, max_size=80))
def test_two_that_always_want_more_get_all_there_is(rate: int, burst: int, pauses: list[float]) -> None:
    """As long as they do not ask so seldom that the bucket runs over."""
    borrowers = Borrowers(limit(rate, burst))
    sure = 0.0
    for turn, pause in enumerate(pauses):
        for who in (turn % 2, 1 - turn % 2):
            while borrowers.held.get(who, NOTHING).left and borrowers.now < borrowers.held[who].until:
                borrowers.use(who, 1)
            before = len(borrowers.spent)
            borrowers.ask(who, [1] * (burst + rate), 0.0)
            assert len(borrowers.spent) == before + 1
        borrowers.now += pause
        sure += pause * rate
    assert sum(tokens for _, tokens in borrowers.spent) >= burst + sure - rate * pauses[-1] - 1


def test_what_is_lent_and_not_spent_keeps_its_room_until_it_lapses() -> None:
    bucket = Bucket(limit(10, 20), 0.0)
    lent = bucket.take(0.0, 1, [1], 5)
    assert (passed(lent, [1]), lent.lent, lent.level) == ([1], 5, 14)
    assert bucket.level(0.9) == 15, "full but for the five that may still be spent"
    assert bucket.level(LAPSE_S + 0.2) == pytest.approx(17), "which were taken to be spent"
    assert not bucket.is_full(LAPSE_S + 0.4)
    assert bucket.is_full(LAPSE_S + 0.6)


def test_what_is_given_back_is_there_again_and_only_once() -> None:
    bucket = Bucket(limit(0.1, 20), 0.0)
    lent = bucket.take(0.0, 1, [], 8)
    back = bucket.take(0.1, 1, [], 0, left=8, stamp=lent.stamp)
    assert (lent.lent, back.level) == (8, 20)
    assert bucket.take(0.1, 1, [1], 0, left=8, stamp=lent.stamp).level == 19


def test_who_holds_a_loan_and_does_not_say_which_is_lent_nothing_more() -> None:
    """Two of its parts may not know of each other; what one of them holds must not be forgotten for that."""
    bucket = Bucket(limit(0.1, 20), 0.0)
    bucket.take(0.0, 1, [], 4)
    assert bucket.take(0.1, 1, [1], 4).lent == 0
    assert bucket.take(LAPSE_S + 0.1, 1, [1], 4).lent == 4


def test_who_is_refused_is_told_when_there_is_enough() -> None:
    """10 a second, 20 at once: of 21 that are asked for the last waits 0.1 s; 5 of 20 wait 0.5 s."""
    bucket = Bucket(limit(10, 20), 0.0)
    refused = bucket.take(0.0, 1, [1] * 21, 5)
    assert (len(passed(refused, [1] * 21)), refused.lent, refused.level) == (20, 0, 0)
    assert refused.wait_s == pytest.approx(0.1)
    assert bucket.take(0.0, 2, [5], 5).wait_s == pytest.approx(0.5)
    assert passed(bucket.take(refused.wait_s + 1e-9, 1, [1], 5), [1]) == [1]


def test_who_wants_all_of_a_burst_waits_for_what_is_lent() -> None:
    bucket = Bucket(limit(100, 20), 0.0)
    bucket.take(0.0, 1, [], 5)
    wait_s = bucket.take(0.5, 2, [20], 5).wait_s
    assert wait_s == pytest.approx(LAPSE_S - 0.5)
    assert passed(bucket.take(0.5 + wait_s + 5 / 100 + 1e-9, 2, [20], 5), [20]) == [20]


def test_what_is_too_large_keeps_nobody_out() -> None:
    """10 a second, 1000 at once, of which 500 are there: 700 and 900 are too many, and the others pass beside them."""
    bucket = Bucket(limit(10, 1000), 0.0, level=500)
    sizes = [700, 1, 400, 900, 1, 1]
    grant = bucket.take(0.0, 1, sizes, 0)
    assert passed(grant, sizes) == [1, 400, 1, 1]
    assert grant.wait_s == pytest.approx((700 - 97) / 10)
    assert grant.level == bucket.level(0.0) == 97


@given(st.floats(0, 60), st.lists(st.integers(1, 40), max_size=30), st.integers(0, 30))
def test_what_the_grant_says_may_pass_is_what_was_taken(level: float, sizes: list[int], block: int) -> None:
    bucket = Bucket(limit(1, 60), 0.0, level)
    grant = bucket.take(0.0, 1, sizes, block)
    assert sum(passed(grant, sizes)) + grant.lent + bucket.level(0.0) == pytest.approx(level)
    assert (grant.wait_s > 0) == (len(passed(grant, sizes)) < len(sizes))


def test_another_limit_holds_at_once_and_forgets_nothing() -> None:
    bucket = Bucket(limit(1, 20), 0.0)
    bucket.take(0.0, 1, [18], 0)
    bucket.change(limit(2, 40), 0.0)
    assert bucket.level(1.0) == pytest.approx(4)
    bucket.change(limit(2, 3), 1.0)
    assert bucket.level(1.0) == 3


@pytest.mark.parametrize(
    ("rate", "burst", "fronts", "block"),
    [(10_000, 10_000, 2, 250), (100, 100, 1, 5), (100, 100, 4, 1), (5, 5, 1, 0), (10_000, 40, 2, 5)],
)
def test_a_block_is_a_twentieth_of_a_second_shared_and_little_of_the_burst(
    rate: int, burst: int, fronts: int, block: int
) -> None:
    assert block_of(limit(rate, burst), fronts) == block
