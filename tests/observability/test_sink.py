"""How lines are put together for a descriptor."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.observability.sink import whole_lines


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)), st.integers(2, 40))
def test_chunks_hold_whole_lines_in_order_and_only_a_long_line_exceeds_the_limit(
    lines: list[bytes], limit: int
) -> None:
    chunks = list(whole_lines(lines, limit))
    assert b"".join(chunks) == b"".join(line + b"\n" for line in lines)
    assert all(chunk.endswith(b"\n") for chunk in chunks)
    assert all(len(chunk) <= limit or chunk.count(b"\n") == 1 for chunk in chunks)
