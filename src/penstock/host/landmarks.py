"""What a fitted model remembers of its input: rows it was trained on, and the places where it changes its mind.

Everything is told by the attributes that fitted estimators share, as in estimators.py. What an estimator inside a
pipeline remembers is taken back through the steps before it, as far as they have a way back.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.columns import positions
from penstock.host.splits import beside_splits, trees_of
from penstock.host.ties import ties

Rows = NDArray[np.float64]
"""Shape (rows, columns of the model's input); NaN where a column may hold anything."""
Back = Callable[[Rows], Rows]

MOST_TREES = 40
MOST_AT_SPLITS = 1500  # rows at all of their nodes
MOST_SEEN = 200  # rows of one kind that one estimator remembers
DEEPEST = 8
_MATRICES = (
    "_fit_X",
    "X_train_",
    "support_vectors_",
    "theta_",
    "means_",
    "cluster_centers_",
    "centroids_",
    "quantiles_",
)
_VECTORS = ("mean_", "center_", "data_min_", "data_max_", "statistics_")


def landmarks(model: Any, width: int, dice: np.random.Generator) -> Rows:
    """Rows worth trying on a model of `width` input columns; none where it remembers nothing."""
    everyone = list(_walk(model, lambda rows: rows, 0))
    grown = [(tree, estimator.n_features_in_, back) for estimator, back in everyone for tree in trees_of(estimator)]
    chosen = [grown[i] for i in dice.permutation(len(grown))[:MOST_TREES]]
    found = [(rows, back) for estimator, back in everyone for rows in _seen(estimator)]
    found += [(tied, back) for estimator, back in everyone if len(tied := ties(estimator, dice))]
    found += [(beside_splits(tree, count, MOST_AT_SPLITS // len(chosen), dice), back) for tree, count, back in chosen]
    raw = [taken for rows, back in found if (taken := _taken_back(rows, back, width)) is not None]
    return np.concatenate([np.empty((0, width)), *raw])


def _taken_back(rows: Rows, back: Back, width: int) -> Rows | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rows that nobody sent
            raw = np.asarray(back(rows), dtype=np.float64)
    except Exception:  # noqa: BLE001  # the estimator's own inverse, or none: this memory is of no use
        return None
    return raw if raw.ndim == 2 and raw.shape[1] == width else None


def _walk(estimator: Any, back: Back, depth: int) -> Iterator[tuple[Any, Back]]:
    """The estimator and those within, each with the way from its input back to the model's."""
    if depth > DEEPEST or isinstance(estimator, str | type) or estimator is None:
        return
    yield estimator, back
    if hasattr(estimator, "steps"):
        for _, step in estimator.steps:
            yield from _walk(step, back, depth + 1)
            back = _before(step, back)
    elif hasattr(estimator, "transformers_"):
        for _, transformer, columns in estimator.transformers_:
            yield from _walk(transformer, _out_of(estimator, columns, back), depth + 1)
    else:
        for inner in _inner(estimator):
            yield from _walk(inner, back, depth + 1)


def _inner(estimator: Any) -> Iterator[Any]:
    for value in vars(estimator).values() if hasattr(estimator, "__dict__") else ():
        held = value.ravel().tolist() if isinstance(value, np.ndarray) and value.dtype == object else value
        for each in held if isinstance(held, list | tuple) else [held]:
            if hasattr(each, "get_params") and not isinstance(each, type):
                yield each


def _before(step: Any, back: Back) -> Back:
    """The way back for who sees what `step` puts out."""
    return back if step is None or isinstance(step, str) else lambda rows: back(_undone(step, rows))


def _out_of(table: Any, columns: Any, back: Back) -> Back:
    """The way back for who sees some columns of a ColumnTransformer's input."""
    names = getattr(table, "feature_names_in_", None)
    width = table.n_features_in_
    chosen = list(positions(columns, width, None if names is None else [str(name) for name in names]))

    def spread(rows: Rows) -> Rows:
        whole = np.full((len(rows), width), np.nan)
        whole[:, chosen] = rows
        return back(whole)

    return spread


def _undone(step: Any, rows: Rows) -> Rows:
    """The input of `step` whose output `rows` are. Raises whatever its inverse raises, AttributeError for none."""
    if hasattr(step, "steps"):
        for _, inner in reversed(step.steps):
            rows = rows if inner is None or isinstance(inner, str) else _undone(inner, rows)
        return rows
    if hasattr(step, "transformers_"):
        return _undone_table(step, rows)
    if hasattr(step, "missing_values") and hasattr(step, "statistics_"):  # what an imputer puts out, it would take
        return rows
    try:
        return np.asarray(step.inverse_transform(rows), dtype=np.float64)
    except ValueError:  # it mixes columns, and wants all of them
        return np.asarray(step.inverse_transform(np.nan_to_num(rows)), dtype=np.float64)


def _undone_table(table: Any, rows: Rows) -> Rows:
    names = getattr(table, "feature_names_in_", None)
    known = None if names is None else [str(name) for name in names]
    whole = np.full((len(rows), table.n_features_in_), np.nan)
    for name, transformer, columns in table.transformers_:
        made = rows[:, table.output_indices_[name]]
        chosen = list(positions(columns, whole.shape[1], known))
        if isinstance(transformer, str):
            whole[:, chosen] = made if transformer == "passthrough" else np.nan
            continue
        try:
            whole[:, chosen] = _undone(transformer, made)
        except Exception:  # noqa: BLE001  # these columns have no way back, or hold no numbers: they stay open
            continue
    return whole


def _seen(estimator: Any) -> Iterator[Rows]:
    """Rows that the estimator keeps, or that say where its columns lie."""
    for name in _MATRICES:
        matrix = _numbers(getattr(estimator, name, None))
        if matrix is not None and matrix.ndim == 2 and len(matrix):
            yield matrix[:: -(-len(matrix) // MOST_SEEN)]
    for name in _VECTORS:
        vector = _numbers(getattr(estimator, name, None))
        if vector is not None and vector.ndim == 1:
            spread = _numbers(getattr(estimator, "scale_", None))
            steps = (0.0,) if spread is None or spread.shape != vector.shape else (-2.0, -0.5, 0.0, 0.5, 2.0)
            yield np.array([vector + (0.0 if step == 0 or spread is None else step * spread) for step in steps])


def _numbers(value: Any) -> NDArray[np.float64] | None:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        return None
    return value.astype(np.float64)
