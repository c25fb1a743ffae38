"""Stamps of the wall clock."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from penstock.observability.timestamps import Stamps


@given(st.lists(st.integers(0, 4_000_000_000_000), min_size=1))
def test_a_stamp_is_the_time_in_utc_to_the_millisecond(milliseconds: list[int]) -> None:
    clock = iter(milliseconds)
    stamps = Stamps(lambda: next(clock) / 1000 + 0.0001)
    for now in milliseconds:
        stamp = stamps()
        assert stamp.endswith("Z")
        assert datetime.fromisoformat(stamp) == datetime.fromtimestamp(now // 1000, UTC).replace(
            microsecond=now % 1000 * 1000
        )
