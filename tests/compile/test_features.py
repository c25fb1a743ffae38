"""Columns that are made of columns run in double precision."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, PolynomialFeatures, StandardScaler

from tests.compile.driver import certified, demand_double, same

WINE = load_wine()
DIABETES = load_diabetes()


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize(
    "features",
    [
        PolynomialFeatures(2),
        PolynomialFeatures(3, include_bias=False),
        PolynomialFeatures((2, 2), interaction_only=True),
        KBinsDiscretizer(4),
        KBinsDiscretizer(3, encode="ordinal", strategy="uniform"),
        KBinsDiscretizer(3, encode="onehot-dense"),
        FunctionTransformer(),
        *(FunctionTransformer(function) for function in (np.log1p, np.log, np.sqrt, np.square, np.abs)),
    ],
    ids=str,
)
def test_columns_are_made_in_double_precision(features: Any, tmp_path: Path) -> None:
    rows = WINE.data[:, :4]
    for last in (LogisticRegression(), Ridge()):
        model = make_pipeline(features, StandardScaler(with_mean=False), last).fit(rows, WINE.target)
        entry = certified(model, tmp_path)
        demand_double(entry)
        same(entry, model, rows)


def test_a_function_of_ones_own_has_no_graph(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(np.cbrt), Ridge()).fit(WINE.data, WINE.target)
    assert "the function cbrt" in (certified(model, tmp_path).certificate.reason or "")


@pytest.mark.parametrize(
    "target",
    [
        {},
        {"func": np.log, "inverse_func": np.exp},
        {"func": np.log1p, "inverse_func": np.expm1},
        {"transformer": StandardScaler()},
    ],
    ids=str,
)
def test_a_target_comes_back(target: Any, tmp_path: Path) -> None:
    inner = make_pipeline(StandardScaler(), Ridge())
    model = TransformedTargetRegressor(inner, **target).fit(DIABETES.data, DIABETES.target)
    entry = certified(model, tmp_path)
    demand_double(entry)
    same(entry, model, DIABETES.data)
