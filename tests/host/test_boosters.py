"""Boosted trees that want more than rows are refused in one line that names the way out; the others are served."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.host.driver import loaded, pickled, refusal

COLOURS = pd.DataFrame({"size": np.arange(60.0), "colour": pd.Categorical(["red", "green", "blue"] * 20)})
KINDS = np.arange(60) % 2


def lightgbm() -> Any:
    return pytest.importorskip("lightgbm").LGBMClassifier(n_estimators=3, verbose=-1)


def xgboost(**said: Any) -> Any:
    return pytest.importorskip("xgboost").XGBClassifier(n_estimators=3, **said)


@pytest.mark.parametrize("made", [lightgbm, lambda: xgboost(enable_categorical=True)], ids=["lightgbm", "xgboost"])
def test_what_takes_pandas_categories_itself_is_refused(made: Any, tmp_path: Path) -> None:
    model = made()
    for saved in (model.fit(COLOURS, KINDS), make_pipeline(model).fit(COLOURS, KINDS)):
        refused = refusal(pickled(saved, tmp_path))
        assert refused.code == "unsupported_artifact"
        assert f"{type(model).__name__} was trained on pandas' category columns" in refused.message
        assert "predictor.py" in refused.message


def test_a_bare_booster_is_refused(tmp_path: Path) -> None:
    booster = xgboost().fit(np.eye(4), [0, 1, 0, 1]).get_booster()
    assert "the scikit-learn wrapper (XGBClassifier" in refusal(pickled(booster, tmp_path)).message


def test_categories_that_are_codes_or_that_a_step_makes_are_served(tmp_path: Path) -> None:
    rows = np.column_stack([np.arange(60.0), np.arange(60) % 3])
    coded = xgboost(feature_types=["q", "c"], enable_categorical=True).fit(rows, KINDS)
    assert loaded(pickled(coded, tmp_path)).signature.output.probabilities
    categories = FunctionTransformer(partial(pd.DataFrame, dtype="category"))
    made = make_pipeline(categories, lightgbm()).fit(rows, KINDS)
    assert loaded(pickled(made, tmp_path)).signature.output.probabilities
