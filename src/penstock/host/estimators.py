"""How scikit-learn nests estimators: what sees a model's input, in which order, and what lies inside.

Everything is told by the attributes that fitted estimators share, so that pipelines, searches, ensembles and other
libraries' estimators need no list of classes, and scikit-learn itself is not imported here.
"""

import sys
from collections.abc import Iterator
from typing import Any

_INNER = ("best_estimator_", "regressor_", "estimator_", "estimators_", "calibrated_classifiers_", "_preprocessor")
_PREFITTED = "estimator"  # of FrozenEstimator and CalibratedClassifierCV's members
LIBRARIES = frozenset({"sklearn", "xgboost", "lightgbm"})
_NOTHING = (None, "passthrough", "drop")


def steps(model: Any) -> list[Any]:
    """The estimators that the input passes one after another; those of an inner pipeline stand in its place."""
    if hasattr(model, "steps"):
        return [inner for _, step in model.steps if not _is_nothing(step) for inner in steps(step)]
    for name in ("best_estimator_", "regressor_"):
        if hasattr(model, name):
            return steps(getattr(model, name))
    return [model]


def lineage(model: Any) -> Iterator[Any]:
    """The model and, one inside another, the estimators that see its input first."""
    current: Any = model
    for _ in range(20):  # an estimator that contains itself must not hold us
        yield current
        current = _inside(current)
        if current is None:
            return


def everything(model: Any) -> Iterator[Any]:
    """The model and all estimators in it, fitted or not."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, list | tuple):
            waiting.extend(current)
        elif isinstance(current, dict):
            waiting.extend(current.values())
        elif hasattr(current, "get_params") and not isinstance(current, type):
            yield current
            waiting.extend(vars(current).values() if hasattr(current, "__dict__") else ())


def accepts_missing(estimator: Any) -> bool:
    """Whether the estimator's tags say that its input may hold NaN, or it only calls a function on it."""
    tags = _input_tags(estimator)
    calls = hasattr(estimator, "inverse_func") and not getattr(estimator, "validate", True)
    return calls or bool(tags is not None and tags.allow_nan)


def means(model: Any, width: int) -> list[float] | None:
    """The means of so many columns, if a scaler at the model's entrance learnt them."""
    for estimator in lineage(model):
        learnt: Any = getattr(estimator, "mean_", None)
        if getattr(learnt, "shape", None) == (width,):
            return [float(mean) for mean in learnt.tolist()]
    return None


def missing_as_none(model: Any) -> bool:
    """Whether an encoder in the model learnt None, and not NaN, as what stands for a missing text."""
    learnt = [values for inner in everything(model) for values in getattr(inner, "categories_", ())]
    return any(value is None for values in learnt for value in values.tolist())


def takes_text(estimator: Any) -> bool:
    """Whether the estimator takes one list of texts, as a vectoriser does."""
    for inner in lineage(estimator):
        tags = _input_tags(inner)
        if hasattr(inner, "build_analyzer") or (tags is not None and tags.string and not tags.two_d_array):
            return True
        if hasattr(inner, "transformers_"):
            return False
    return False


def decides_otherwise(model: Any) -> bool:
    """Whether labels are decided at a threshold that was tuned or fixed, and not by the largest probability.

    Between the two thresholds there may be few rows, and no probe row.
    """
    return any(hasattr(inner, "response_method") for inner in everything(model))


def stranger(model: Any) -> type | None:
    """The first class, of the model and all within, that is none of a library whose ways are known.

    A pipeline of one's own, say, may answer anything where a pipeline's converter answers what its last step does.
    """
    kinds = map(type, everything(model))
    return next((kind for kind in kinds if kind.__module__.partition(".")[0] not in LIBRARIES), None)


def takes_one_number(estimator: Any) -> bool:
    """Whether a row is a single number, as to an isotonic regression: that does not count its columns."""
    tags = _input_tags(estimator)
    return tags is not None and tags.one_d_array


def _input_tags(estimator: Any) -> Any:
    utils = sys.modules.get("sklearn.utils")
    try:
        return utils.get_tags(estimator).input_tags if utils is not None else None
    except Exception:  # noqa: BLE001  # other people's estimators raise what they like; no tags, nothing known
        return None


def _inside(model: Any) -> Any:
    if hasattr(model, "steps"):
        return next((step for _, step in model.steps if not _is_nothing(step)), None)
    if hasattr(model, "transformer_list"):
        return next((step for _, step in model.transformer_list if not _is_nothing(step)), None)
    for name in (*_INNER, _PREFITTED):
        inner: Any = getattr(model, name, None)
        while isinstance(inner, list | tuple) or hasattr(inner, "ravel"):
            inner = next((each for each in inner if not _is_nothing(each)), None)
        if inner is not None and not isinstance(inner, str | type) and hasattr(inner, "get_params"):
            return inner
        if inner is not None and hasattr(inner, _PREFITTED):
            return inner
    return None


def _is_nothing(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step in _NOTHING)
