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

from penstock.host.boundaries import boundary_rows
from penstock.host.labels import Labels
from penstock.host.rows import Row
from penstock.model.signature import Field

PROBES = 256
PART = 16  # rows of a batch: one that the model refuses takes only these with it
BUDGET_S = 1.0


def is_one_pass(
    inputs: Sequence[Field],
    rows: Sequence[Row],
    arrange: Callable[[Sequence[Row]], Any],
    predict: Callable[[Any], Any],
    state: Callable[[Any], Any],
    labels: Labels,
) -> bool:
    """Whether the largest probability named the label that `predict` gave, in all of the rows that it takes.

    Those are `rows`, and rows at the boundaries that lie between them.
    """
    taken: dict[Any, list[Row]] = {}

    def differs(part: Sequence[Row]) -> bool:
        table = arrange(part)
        answered, stated = np.asarray(predict(table)).reshape(-1), np.asarray(state(table))
        for row, label in zip(part, answered.tolist(), strict=True):
            taken.setdefault(label, []).append(row)
        return not _same(answered, stated, labels)

    until = perf_counter() + BUDGET_S
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # probe rows are strange, and nobody sent them
        for part in _parts(rows):
            if perf_counter() > until:
                break
            try:
                if differs(part):
                    return False
            except Exception:  # noqa: BLE001  # the model's own: these rows show nothing
                continue
        known = [(row, label) for label, some in taken.items() for row in some]
        if len(known) < PART:
            return False
        try:
            near = boundary_rows(
                inputs,
                [row for row, _ in known],
                [label for _, label in known],
                lambda part: np.asarray(predict(arrange(part))).reshape(-1).tolist(),
            )
            return not near or not differs(near)
        except Exception:  # noqa: BLE001  # it refuses what lies between
            return False


def _parts(rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
    return (rows[start : start + PART] for start in range(0, len(rows), PART))


def _same(answered: NDArray[Any], stated: NDArray[Any], labels: Labels) -> bool:
    if stated.shape != (len(answered), len(labels)) or not np.isfinite(stated).all():
        return False
    return bool(np.array_equal(labels.indices(answered.reshape(-1)), stated.argmax(axis=1)))
