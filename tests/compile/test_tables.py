"""Gaps, categories and numbers side by side run in double precision."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from tests.compile.driver import certified, demand_double, same

DATA = load_diabetes()
HOLES = np.where(np.random.default_rng(0).random(DATA.data.shape) < 0.1, np.nan, DATA.data)


@pytest.mark.parametrize(
    "imputer",
    [
        SimpleImputer(),
        SimpleImputer(strategy="median", add_indicator=True),
        SimpleImputer(strategy="constant", fill_value=-7.25),
    ],
    ids=str,
)
def test_gaps_are_filled_in_double_precision(imputer: Any, tmp_path: Path) -> None:
    model = make_pipeline(imputer, StandardScaler(), Ridge()).fit(HOLES, DATA.target)
    entry = certified(model, tmp_path)
    demand_double(entry)
    same(entry, model, HOLES)


def test_another_mark_for_a_gap(tmp_path: Path) -> None:
    rows = np.where(np.isnan(HOLES), -1.0, HOLES)
    model = make_pipeline(SimpleImputer(missing_values=-1.0), Ridge()).fit(rows, DATA.target)
    entry = certified(model, tmp_path)
    demand_double(entry)
    same(entry, model, rows)


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(drop="first"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ],
    ids=str,
)
@pytest.mark.parametrize("model", [LogisticRegression(), Ridge()], ids=str)
def test_categories_beside_numbers(encoder: Any, model: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame(DATA.data[:, :3], columns=["a", "b", "c"]).assign(
        kind=["x", "y", "z", "y"] * 110 + ["x", "z"], bp=HOLES[:, 3] * 1000
    )
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    table = ColumnTransformer([("t", encoder, ["kind"]), ("n", numbers, ["bp", "a"])], remainder="passthrough")
    model = make_pipeline(table, model).fit(frame, DATA.target > 140)
    entry = certified(model, tmp_path)
    demand_double(entry)
    same(entry, model, frame)


def test_categories_that_are_numbers(tmp_path: Path) -> None:
    """1.5 is none of them, and not 1."""
    rows = np.array([[1.0, 0.2], [2.0, 0.3], [5.0, 0.1], [1.0, 0.9]] * 10)
    table = ColumnTransformer([("t", OneHotEncoder(handle_unknown="ignore"), [0])], remainder="passthrough")
    model = make_pipeline(table, LogisticRegression()).fit(rows, rows[:, 0] * rows[:, 1] > 0.5)
    entry = certified(model, tmp_path)
    if entry.certificate.verdict == "compiled":
        same(entry, model, np.array([[1.5, 0.2], [1.0 + 1e-9, 0.2], [1.0, 0.2], [7.0, 0.2]]))
    else:
        assert " differs on a" in (entry.certificate.reason or "")


@pytest.mark.parametrize("filled", [True, False], ids=["filled", "a category of its own"])
def test_texts_that_are_missing(filled: bool, tmp_path: Path) -> None:
    """Which the texts "", "nan" and "None" are not."""
    kinds = ["x", None, "y", "y"] * 110 + ["x", "y"]
    frame = pd.DataFrame({"kind": kinds, "city": ["a", "b"] * 221, "a": DATA.data[:, 0]})
    encoder = OneHotEncoder(handle_unknown="ignore")
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder) if filled else encoder
    table = ColumnTransformer([("t", texts, ["kind", "city"])], remainder="passthrough")
    model = make_pipeline(table, LogisticRegression()).fit(frame, DATA.target > 140)
    entry = certified(model, tmp_path)
    demand_double(entry)
    asked = pd.DataFrame({"kind": ["x", None, "", "nan", "None", "z"], "city": ["a"] * 6, "a": [0.1] * 6})
    same(entry, model, asked)
