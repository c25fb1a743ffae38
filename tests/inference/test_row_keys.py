"""Keys of rows: what the model gets is the same if and only if the keys are."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.inference.row_keys import RowKeys
from penstock.inference.rows import Rows, picked
from penstock.model.signature import Field, Output, OutputField, Signature

OUTPUT = Output(fields=(OutputField(name="y"),))
NUMBERS = Signature(inputs=(Field(name="a"), Field(name="b")), output=OUTPUT)
MIXED = Signature(
    inputs=(Field(name="a"), Field(name="s", dtype="string"), Field(name="t", dtype="string")), output=OUTPUT
)
VARIABLE = Signature(inputs=(Field(name="x", dtype="uint8", shape=(None, None)),), output=OUTPUT)
LARGE = Signature(inputs=(Field(name="x", dtype="uint8", shape=(300,)),), output=OUTPUT)

Row = tuple[float, str | None, str | None]
TEXT = st.none() | st.text("ab\0\xff…", max_size=3) | st.just("a" * 300) | st.just("a" * 301)


def keys(signature: Signature, rows: Rows, *, probabilities: bool = False) -> list[bytes]:
    return RowKeys(signature.tensors()).of(rows, probabilities=probabilities)


def numbers(*values: float) -> Rows:
    return Rows(len(values) // 2, [np.array(values).tobytes()])


def mixed(rows: list[Row]) -> Rows:
    a, s, t = zip(*rows, strict=True)
    return Rows(len(rows), [np.array(a).tobytes(), list(s), list(t)])


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), TEXT, TEXT), min_size=1, max_size=6))
def test_two_rows_have_one_key_only_if_they_are_the_same(rows: list[Row]) -> None:
    made = keys(MIXED, mixed(rows))
    for i, row in enumerate(rows):
        for j, other in enumerate(rows):
            assert (made[i] == made[j]) == (row == other)


@given(st.lists(st.tuples(st.floats(), TEXT, TEXT), min_size=1, max_size=6), st.booleans())
def test_a_row_has_the_same_key_alone_and_among_others(rows: list[Row], chances: bool) -> None:
    together = mixed(rows)
    alone = [keys(MIXED, picked(together, [at]), probabilities=chances)[0] for at in range(len(rows))]
    assert keys(MIXED, together, probabilities=chances) == alone


def test_numbers_count_by_the_bytes_that_the_model_gets() -> None:
    first, second, third = keys(NUMBERS, numbers(0.0, 1.0, -0.0, 1.0, 0.0, 1.0))
    assert (first == second, first == third) == (False, True)
    assert len(set(keys(NUMBERS, numbers(float("nan"), 1.0, float("nan"), 1.0)))) == 1


def test_null_is_no_text_and_texts_do_not_run_into_each_other() -> None:
    rows: list[Row] = [(0.0, "", ""), (0.0, None, ""), (0.0, "", None), (0.0, "ab", "c"), (0.0, "a", "bc")]
    assert len(set(keys(MIXED, mixed(rows)))) == len(rows)


def test_a_lone_surrogate_is_a_text_like_any_other() -> None:
    rows: list[Row] = [(0.0, "\ud800", ""), (0.0, "\ud801", "")]
    assert len(set(keys(MIXED, mixed(rows)))) == 2


def test_the_same_bytes_in_another_shape_are_another_row() -> None:
    wide, tall = (Rows(1, [bytes(6)], (shape,)) for shape in ((2, 3), (3, 2)))
    assert keys(VARIABLE, wide) != keys(VARIABLE, tall)


def test_an_answer_with_probabilities_has_another_key() -> None:
    assert keys(NUMBERS, numbers(1, 2)) != keys(NUMBERS, numbers(1, 2), probabilities=True)


def test_of_large_rows_the_keys_are_short_and_none_is_that_of_a_small_one() -> None:
    large = np.zeros((2, 300), np.uint8)
    large[1, 299] = 1
    first, second = keys(LARGE, Rows(2, [large.tobytes()]))
    assert first != second
    assert len(first) < 40
    assert keys(LARGE, Rows(1, [memoryview(large[0].tobytes())])) == [first]
    long = keys(MIXED, mixed([(0.0, "a" * 300, "")]))[0]
    small: Any = long[1:].decode("latin-1")
    assert keys(MIXED, mixed([(0.0, small, "")]))[0] != long
