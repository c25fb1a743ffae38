"""Boosted trees that rows of numbers and text cannot be given to: what is in the way, said before they are tried."""

from typing import Any

from penstock.errors import UnsupportedArtifact
from penstock.host.estimators import steps
from penstock.model.control import Artifact


def demand_plain_rows(model: Any, artifact: Artifact) -> None:
    """Raises UnsupportedArtifact for a bare Booster of XGBoost, and for trees that take pandas' categories themselves.

    Behind another step that is that step's affair: it may well make the categories.
    """
    kind = type(model)
    if kind.__name__ == "Booster" and kind.__module__.startswith("xgboost."):
        raise UnsupportedArtifact(
            f"{artifact.path} holds an xgboost Booster, which takes a DMatrix and no rows: pickle the scikit-learn "
            "wrapper (XGBClassifier, XGBRegressor), or make the DMatrix in a predictor.py"
        )
    first = next(iter(steps(model)), None)
    if _takes_categories(first):
        raise UnsupportedArtifact(
            f"{artifact.path}: {type(first).__name__} was trained on pandas' category columns, and a row cannot say "
            "theirs: train a pipeline with an OrdinalEncoder before it, or make the table in a predictor.py"
        )


def _takes_categories(estimator: Any) -> bool:
    """Whether it was fitted to a table with columns of the dtype `category`."""
    library = type(estimator).__module__.partition(".")[0]
    if library == "lightgbm":
        return bool(getattr(getattr(estimator, "_Booster", None), "pandas_categorical", None))
    if library == "xgboost" and getattr(estimator, "feature_types", None) is None and hasattr(estimator, "get_booster"):
        try:
            return "c" in (estimator.get_booster().feature_types or ())
        except Exception:  # noqa: BLE001  # not fitted: told elsewhere
            return False
    return False
