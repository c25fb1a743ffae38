"""What is learned of a model's speed: right where it is simple, never absurd, and soon corrected."""

from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.inference.pace import MEMORY, Mean, Pace

ROWS = st.integers(1, 1000)
SECONDS = st.floats(0, 10)
BATCHES = st.lists(st.tuples(ROWS, SECONDS), min_size=1, max_size=60)
PARTS = st.tuples(st.floats(0, 0.1), st.floats(1e-6, 0.01))
"""Seconds for the batch and for each row."""


def learned(*batches: tuple[int, float]) -> Pace:
    pace = Pace()
    for rows, seconds in batches:
        pace.learn(rows, seconds)
    return pace


def line(parts: tuple[float, float], rows: float) -> float:
    return parts[0] + parts[1] * rows


def test_nothing_is_expected_before_the_first_batch() -> None:
    pace = Pace()
    assert (pace.is_known, pace.seconds(64)) == (False, 0.0)
    pace.learn(8, 0.02)
    assert (pace.is_known, pace.rows) == (True, 8)


@given(PARTS, st.lists(ROWS, max_size=60), ROWS)
def test_a_linear_model_is_known_exactly(parts: tuple[float, float], sizes: list[int], rows: int) -> None:
    pace = learned(*[(size, line(parts, size)) for size in (*sizes, 1, 64)])
    assert pace.seconds(rows) == pytest.approx(line(parts, rows), rel=1e-6, abs=1e-9)


@given(BATCHES, ROWS, ROWS)
def test_whatever_is_measured_no_time_is_negative_and_more_rows_take_no_less(
    batches: list[tuple[int, float]], first: int, second: int
) -> None:
    pace = learned(*batches)
    less, more = sorted([first, second])
    assert 0.0 <= pace.seconds(less) <= pace.seconds(more)


@given(st.lists(SECONDS, min_size=1, max_size=MEMORY), ROWS, ROWS)
def test_where_all_batches_had_one_size_another_is_expected_to_take_as_long(
    seconds: list[float], size: int, rows: int
) -> None:
    pace = learned(*[(size, taken) for taken in seconds])
    assert pace.seconds(rows) == pytest.approx(sum(seconds) / len(seconds))


def test_larger_batches_that_happened_to_take_less_say_nothing_of_rows() -> None:
    pace = learned((10, 0.03), (20, 0.01))
    assert [pace.seconds(rows) for rows in (1, 15, 1000)] == pytest.approx([0.02] * 3)


def test_no_batch_takes_less_than_its_share_of_the_rows() -> None:
    """Else small ones, by a line that is too steep, would be answered before they are sent."""
    pace = learned((10, 0.001), (20, 0.1))
    assert pace.seconds(30) == pytest.approx(2 * pace.seconds(15))
    assert pace.seconds(15) == pytest.approx(0.0505)


@given(PARTS, st.sampled_from([1 / 8, 1 / 2, 2, 8]), st.lists(ROWS, min_size=1, max_size=8), st.integers(1, 300))
def test_a_change_is_believed_within_the_batches_that_count(
    parts: tuple[float, float], factor: float, sizes: list[int], before: int
) -> None:
    """However long the model was as it was before: what is expected is then nearer to what is."""
    was, becomes = parts, (parts[0] * factor, parts[1] * factor)
    old = [(size, line(was, size)) for size in islice(cycle(sizes), before)]
    new = [(size, line(becomes, size)) for size in islice(cycle(sizes), MEMORY)]
    pace = learned(*old, *new)
    usual = pace.rows
    expected = pace.seconds(usual)
    assert abs(expected - line(becomes, usual)) < abs(expected - line(was, usual))


@given(PARTS, PARTS, st.integers(1, 300))
def test_what_was_long_ago_is_forgotten(was: tuple[float, float], becomes: tuple[float, float], before: int) -> None:
    old = [(size, line(was, size)) for size in islice(cycle([1, 64]), before)]
    new = [(size, line(becomes, size)) for size in islice(cycle([1, 64]), 20 * MEMORY)]
    assert learned(*old, *new).seconds(32) == pytest.approx(line(becomes, 32), rel=1e-3, abs=1e-6)


@given(st.lists(SECONDS, min_size=1, max_size=MEMORY))
def test_a_mean_of_few_is_the_plain_one(values: list[float]) -> None:
    mean = Mean()
    for value in values:
        mean.add(value)
    assert mean.value == pytest.approx(sum(values) / len(values))


@given(st.lists(SECONDS, min_size=1, max_size=20), SECONDS, st.integers(1, 30))
def test_a_mean_of_many_follows_the_late_ones(values: list[float], late: float, times: int) -> None:
    mean = Mean()
    for value in (*values * times, *[late] * MEMORY):
        mean.add(value)
    farthest = max([abs(value - late) for value in values])
    assert abs(mean.value - late) <= farthest / 2 + 1e-9
