"""Rows at boundaries lie on both sides of them, as near as a sixteen-thousandth of the way."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.host.boundaries import PAIRS, boundary_rows
from penstock.model.signature import Field

INPUTS = (
    Field(name="x"),
    Field(name="colour", dtype="string", categories=("red", "blue")),
    Field(name="n", dtype="int64"),
)
ROWS: list[list[Any]] = [[float(x), colour, n] for x in range(-20, 21, 4) for colour in ("red", "blue") for n in (0, 5)]


def found(ask: Any) -> list[Any]:
    return [list(row) for row in boundary_rows(INPUTS, ROWS, ask(ROWS), ask)]


@given(st.floats(-15.0, 15.0))
def test_a_boundary_is_found_wherever_it_is(at: float) -> None:
    def ask(rows: Sequence[Any]) -> list[bool]:
        return [row[0] > at for row in rows]

    rows = found(ask)
    assert rows
    assert all(abs(row[0] - at) <= 40 / 2**14 for row in rows)
    assert {row[0] > at for row in rows} == {False, True}


def test_what_is_no_number_stays_as_it_is() -> None:
    """Halving the way between colours makes no sense: pairs that only differ by those tell nothing."""
    assert found(lambda rows: [row[1] for row in rows]) == []
    rows = found(lambda rows: [row[2] > 2 for row in rows])
    assert {row[2] for row in rows} == {2, 3}
    assert {row[1] for row in rows} == {"red", "blue"}


def test_there_are_not_too_many_and_none_where_all_rows_have_one_label() -> None:
    assert found(lambda rows: [1] * len(rows)) == []
    assert len(found(lambda rows: [row[0] > 0 for row in rows])) <= 2 * PAIRS
