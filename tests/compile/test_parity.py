"""Parity: one difference anywhere is found and named, and what the original refuses may not be answered."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.compile.parity import TOLERANCE, Difference, largest_difference, reference
from penstock.host.model import Column, Outputs
from penstock.host.rows import batch
from penstock.model.signature import Field, Output, OutputField, Signature

INPUTS = (Field(name="x"), Field(name="y"))
CLASSIFIER = Output(fields=(OutputField(name="label", dtype="int32", classes=("no", "yes")),), probabilities=True)
REGRESSOR = Output(fields=(OutputField(name="value"),))
AS_BATCH = partial(batch, Signature(inputs=INPUTS, output=REGRESSOR).tensors(), INPUTS)


class Made:
    """A model that answers what `answer` makes of a matrix of rows."""

    inputs: tuple[Field, ...] = INPUTS
    named = True
    runtime = "made"
    device = "cpu"

    def __init__(self, answer: Callable[[Any], Outputs]) -> None:
        self.trained_with: dict[str, str] = {}
        self._answer = answer

    def probe(self, tensors: Sequence[Column], rows: int) -> Output:
        raise NotImplementedError

    def typical(self) -> None:
        return None

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs:
        return self._answer(np.asarray(tensors[0]))


def values(function: Callable[[Any], Any]) -> Made:
    return Made(lambda rows: Outputs((function(rows),)))


def stating(chance: Callable[[Any], Any], label: Callable[[Any], Any] | None = None) -> Made:
    def answer(rows: Any) -> Outputs:
        stated = np.stack([1 - chance(rows), chance(rows)], axis=1)
        labels = (chance(rows) > 0.5 if label is None else label(rows)).astype(np.int32)
        return Outputs((labels,), stated[np.arange(len(rows)), labels], stated)

    return Made(answer)


def compare(original: Made, other: Made, output: Output, rows: Sequence[Sequence[float]]) -> float:
    return largest_difference(reference(original, rows, AS_BATCH, output), other, AS_BATCH, output)


ROWS = [[float(i), float(i % 7)] for i in range(100)]


def test_the_same_is_the_same() -> None:
    total = values(lambda rows: rows.sum(axis=1))
    assert compare(total, total, REGRESSOR, ROWS) == 0.0
    half = stating(lambda rows: rows[:, 0] / 100)
    assert compare(half, half, CLASSIFIER, ROWS) == 0.0


@given(st.integers(0, 99), st.sampled_from([1e-3, 2e-5, -1.0, math.inf, math.nan]))
def test_one_number_that_is_off_is_found_and_its_row_named(at: int, by: float) -> None:
    def off(rows: Any) -> Any:
        found = 1000.0 + rows[:, 0]
        found[rows[:, 0] == at] *= 1 + by
        return found

    with pytest.raises(
        Difference, match=r"^value differs on a probe row: (by .*e-0\d of its size|only one|by 1)"
    ) as told:
        compare(values(lambda rows: 1000.0 + rows[:, 0]), values(off), REGRESSOR, ROWS)
    assert told.value.row == f"[{at}.0, {at % 7}.0]"


@given(st.integers(0, 99))
def test_one_label_that_is_another_is_found(at: int) -> None:
    chance = stating(lambda rows: np.full(len(rows), 0.3))
    flipped = stating(lambda rows: np.full(len(rows), 0.3), lambda rows: rows[:, 0] == at)
    by_name = "^label differs on a probe row: 'no' by the original, 'yes' compiled$"
    with pytest.raises(Difference, match=by_name) as told:
        compare(chance, flipped, CLASSIFIER, ROWS)
    assert told.value.row == f"[{at}.0, {at % 7}.0]"


def test_differences_within_the_tolerance_are_told() -> None:
    told = compare(
        values(lambda rows: 1e3 + rows[:, 0]), values(lambda rows: 1e3 + rows[:, 0] * 1.00001), REGRESSOR, ROWS
    )
    assert 0 < told <= TOLERANCE


def test_small_answers_are_compared_at_their_own_size() -> None:
    """A model whose answers are about 1e-7 is not equal to one that answers nothing but zeros."""
    with pytest.raises(Difference):
        compare(values(lambda rows: 1e-7 * (1 + rows[:, 0])), values(lambda rows: 0.0 * rows[:, 0]), REGRESSOR, ROWS)


def test_both_may_answer_what_is_not_finite_in_the_same_places() -> None:
    infinite = values(lambda rows: np.where(rows[:, 0] == 3, np.inf, np.where(rows[:, 0] == 4, np.nan, rows[:, 0])))
    assert compare(infinite, infinite, REGRESSOR, ROWS) == 0.0
    other = values(lambda rows: np.where(rows[:, 0] == 3, -np.inf, np.where(rows[:, 0] == 4, np.nan, rows[:, 0])))
    with pytest.raises(Difference, match="only one of the two is a finite number") as told:
        compare(infinite, other, REGRESSOR, ROWS)
    assert told.value.row == "[3.0, 3.0]"


def refusing(*refused: int) -> Made:
    def answer(rows: Any) -> Any:
        if np.isin(rows[:, 0], refused).any():
            raise ValueError("not this one")
        return rows[:, 0]

    return values(answer)


@given(st.sets(st.integers(0, 99), max_size=8))
def test_rows_that_the_original_refuses_are_found_among_the_others(refused: set[int]) -> None:
    found = reference(refusing(*refused), ROWS, AS_BATCH, REGRESSOR)
    assert {int(row[0]) for row in found.refused} == refused
    assert [row[0] for row in found.rows] == found.outputs[0].ravel().tolist()
    assert len(found.rows) + len(found.refused) == len(ROWS)


def test_what_the_original_refuses_may_not_be_answered() -> None:
    assert compare(refusing(17, 50), refusing(17, 50), REGRESSOR, ROWS) == 0.0
    with pytest.raises(Difference, match="refuses a probe row, which the compiled form answers") as told:
        compare(refusing(17, 50), refusing(17), REGRESSOR, ROWS)
    assert told.value.row == "[50.0, 1.0]"
    with pytest.raises(Difference, match="does not answer"):
        compare(refusing(17), refusing(17, 18), REGRESSOR, ROWS)


def test_an_answer_that_is_not_finite_is_a_refusal() -> None:
    def infinite(*refused: int) -> Made:
        return values(lambda rows: np.where(np.isin(rows[:, 0], refused), np.nan, rows[:, 0]))

    assert compare(refusing(17, 50), infinite(17, 50), REGRESSOR, ROWS) == 0.0
    with pytest.raises(Difference, match="refuses a probe row"):
        compare(refusing(17, 50), infinite(17), REGRESSOR, ROWS)


def test_an_original_that_takes_no_row_shows_nothing() -> None:
    with pytest.raises(Difference, match="takes none of the probe rows"):
        reference(refusing(*range(100)), ROWS, AS_BATCH, REGRESSOR)


def test_a_missing_output_or_one_of_another_shape_differs() -> None:
    half = stating(lambda rows: np.full(len(rows), 0.25))
    silent = Made(lambda rows: half.predict([rows], len(rows), True)._replace(probabilities=None))
    with pytest.raises(Difference, match="an output is missing"):
        compare(half, silent, CLASSIFIER, ROWS)
    wide = values(lambda rows: rows)
    with pytest.raises(Difference):
        compare(values(lambda rows: rows[:, 0]), wide, REGRESSOR, ROWS)
