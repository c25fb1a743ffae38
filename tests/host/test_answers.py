"""What a model's own code answers is taken as what it is, and never made into something else."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from penstock.errors import ModelFailed
from penstock.host.answers import as_array, text_of
from penstock.host.model import Outputs
from penstock.host.outputs import Packer
from penstock.model.signature import DType, Output, OutputField


def packed(answer: Any, dtype: DType) -> Any:
    """What is packed of an answer to two rows, where this kind of field was answered at first."""
    packer = Packer(Output(fields=(OutputField(name="prediction", dtype=dtype),)))
    made = packer.pack(Outputs([as_array(answer)]), 2)
    return made.heads[0].text if dtype == "string" else np.frombuffer(made.payload[0], dtype).tolist()


@pytest.mark.parametrize(
    ("answer", "dtype", "taken"),
    [
        (["a", "b"], "string", ["a", "b"]),
        (np.array(["a", "b"], object), "string", ["a", "b"]),
        (np.array([b"a", b"\xc3\xa4"]), "string", ["a", "ä"]),
        (np.array([date(2026, 1, 2), "b"], object), "string", ["2026-01-02", "b"]),
        (np.array([1, 2.5], object), "float64", [1.0, 2.5]),
        ([1, 2], "float64", [1.0, 2.0]),
        ([1, 2], "int8", [1, 2]),
        (np.array([True, False], object), "bool", [True, False]),
    ],
)
def test_what_is_of_the_kind_is_taken(answer: Any, dtype: DType, taken: list[Any]) -> None:
    assert packed(answer, dtype) == taken


@pytest.mark.parametrize(
    ("answer", "dtype", "said"),
    [
        (np.array(["a", None], object), "string", "as NoneType where text"),
        (np.array(["a", np.nan], object), "string", "as float where text"),
        (np.array(["a", {"b": 1}], object), "string", "as dict where text"),
        (np.array([True, 2.5], object), "float64", "values of different kinds"),
        ([np.nan, "a"], "string", "values of different kinds"),
        ([np.nan, np.nan], "string", "as float64 where text"),
        ([True, False], "int64", "as bool where int64"),
        ([2.0, 3.0], "int64", "as float64 where int64"),
        ([1, 300], "int8", "beyond what int8 holds"),
    ],
)
def test_what_is_of_another_kind_is_a_failure_of_the_model(answer: Any, dtype: DType, said: str) -> None:
    with pytest.raises(ModelFailed, match=said):
        packed(answer, dtype)


def test_the_failure_names_the_field() -> None:
    with pytest.raises(ModelFailed, match="the model answered word as int where text was expected"):
        text_of(OutputField(name="word", dtype="string"), 2)
