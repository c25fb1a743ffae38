"""One pass instead of two: whether a classifier's labels can be read off its probabilities.

Mostly `predict` is `predict_proba` and the largest of it, so that asking for both computes everything twice. Mostly:
some classifiers decide otherwise (a support vector machine with Platt's probabilities, say), so it has to be shown.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.labels import Labels
from penstock.host.rows import Row

PROBES = 256
PART = 16  # rows of a batch: one that the model refuses takes only these with it
BUDGET_S = 1.0


def is_one_pass(
    rows: Sequence[Row],
    arrange: Callable[[Sequence[Row]], Any],
    predict: Callable[[Any], Any],
    state: Callable[[Any], Any],
    labels: Labels,
) -> bool:
    """Whether the largest probability named the label that `predict` gave, in all of the rows that it takes."""
    until = perf_counter() + BUDGET_S
    shown = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # probe rows are strange, and nobody sent them
        for part in _parts(rows):
            if perf_counter() > until:
                break
            try:
                table = arrange(part)
                answered, stated = np.asarray(predict(table)), np.asarray(state(table))
            except Exception:  # noqa: BLE001  # the model's own: these rows show nothing
                continue
            if not _same(answered, stated, labels):
                return False
            shown += len(part)
    return shown >= PART


def _parts(rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
    return (rows[start : start + PART] for start in range(0, len(rows), PART))


def _same(answered: NDArray[Any], stated: NDArray[Any], labels: Labels) -> bool:
    if stated.shape != (len(answered), len(labels)) or not np.isfinite(stated).all():
        return False
    return bool(np.array_equal(labels.indices(answered.reshape(-1)), stated.argmax(axis=1)))
