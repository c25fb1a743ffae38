"""Restarts come at once after health, and ever more slowly without it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.supervisor.backoff import Backoff

DEATHS = [
    # how long it was healthy before each death            what to wait after each
    ([0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 2, 4, 8, 16, 32, 60, 60]),
    ([3600, 3600, 3600], [0, 0, 0]),
    ([10, 10, 60, 10], [0, 1, 0, 1]),  # 60 s of health begin anew: at once, then 1 s
    ([0, 0, 0, 59.9, 60, 0], [0, 1, 2, 4, 0, 1]),
]


@pytest.mark.parametrize(("healthy", "waits"), DEATHS)
def test_the_first_restart_is_at_once_and_the_next_ones_double_up_to_a_minute(
    healthy: list[float], waits: list[float]
) -> None:
    backoff = Backoff()
    assert [backoff.after(seconds) for seconds in healthy] == waits


@given(st.lists(st.floats(0, 59)))
def test_without_health_a_wait_is_never_shorter_than_the_one_before(healthy: list[float]) -> None:
    backoff = Backoff()
    waits = [backoff.after(seconds) for seconds in healthy]
    assert waits == sorted(waits)
    assert all(wait <= 60 for wait in waits)
