"""The agreement: how often a model answers its target, and a doubt where it might as well not look at its rows."""

from typing import Any

import pytest

from penstock.cli.packing.agreement import HINT, agreement
from penstock.model.signature import Output, OutputField

KINDS = Output(fields=(OutputField(name="kind", classes=("no", "yes")),))
DIGITS = Output(fields=(OutputField(name="digit", classes=(0, 1)),))
FLAGS = Output(fields=(OutputField(name="flag", classes=(False, True)),))
COUNTS = Output(fields=(OutputField(name="count", dtype="int64"),))
NUMBERS = Output(fields=(OutputField(name="number"),))
PAIRS = Output(fields=(OutputField(name="a"), OutputField(name="b")))


@pytest.mark.parametrize(
    ("output", "answers", "cells", "summary"),
    [
        (KINDS, ["no", "yes", "yes"], ["no", "yes", "no"], "the model answers y on 2 of 3 rows (66.7%)"),
        (KINDS, ["no", "yes", "yes"], ["no", None, ""], "the model answers y on 1 of 1 rows (100%)"),
        (DIGITS, [0, 1, 1], ["0.0", "1", " 1.0"], "the model answers y on 3 of 3 rows (100%)"),
        (DIGITS, [0, 1], ["False", "True"], "the model answers y on 2 of 2 rows (100%)"),
        (FLAGS, [False, True], ["0", "True"], "the model answers y on 2 of 2 rows (100%)"),
        (COUNTS, [3, 4], ["3", "5"], "the model answers y on 1 of 2 rows (50%)"),
        (DIGITS, [0, 1], ["no", "yes"], "y (no, yes) holds none of the model's answers"),
        (
            NUMBERS,
            [1.0, 2.0, 4.0],
            ["1", "2", "3"],
            "the model answers y with a mean error of 0.333 on 3 rows (R² 0.5)",
        ),
        (NUMBERS, [1.0, 2.0], ["1.5", "?"], "the model answers y with a mean error of 0.5 on 1 rows"),
        (NUMBERS, [1.0], ["low"], "y (low, …) holds no number, which is what the model answers"),
    ],
)
def test_answers_are_held_against_the_cells_of_the_target(
    output: Output, answers: list[Any], cells: list[str | None], summary: str
) -> None:
    found = agreement("y", output, list(zip(answers, cells, strict=True)))
    assert found is not None
    assert found.summary == summary


@pytest.mark.parametrize(
    ("output", "answers", "cells", "doubt"),
    [
        (KINDS, ["no", "no", "yes"], ["no", "no", "no"], None),
        (KINDS, ["no", "no", "yes"], ["no", "no", "yes"], None),
        (KINDS, ["no", "no", "no"], ["no", "no", "yes"], "2 of 3 rows (66.7%), and 'no' alone would on 2"),
        (NUMBERS, [1.0, 2.0, 3.0], ["1", "2", "3"], None),
        (NUMBERS, [2.0, 2.0, 2.0], ["1", "2", "3"], "on 3 rows (R² 0), no better than always its mean, 2"),
        (NUMBERS, [2.0, 3.0], ["1", "1"], None),
    ],
)
def test_a_model_that_might_as_well_not_look_at_its_rows_is_doubted(
    output: Output, answers: list[Any], cells: list[str], doubt: str | None
) -> None:
    found = agreement("y", output, list(zip(answers, cells, strict=True)))
    assert found is not None
    assert (found.warning or "").endswith(f"{doubt}: {HINT}" if doubt else "")
    assert (found.warning is None) == (doubt is None)


def test_nothing_is_said_of_several_outputs_or_where_no_truth_is_known() -> None:
    assert agreement("y", PAIRS, [([1.0, 2.0], "1")]) is None
    assert agreement("y", KINDS, [("no", None)]) is None
