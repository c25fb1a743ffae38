"""Rows at which neighbours tie: the last one that counts is as far away as the first that does not.

Among columns of measured values, which have few digits, they are common; among others there are none.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 2000
MOST_TIES = 200
NEARLY = (
    1e-9  # of the distance: what is equal on paper differs in its last digits, and not by all means of computing it
)


def ties(estimator: Any, dice: np.random.Generator) -> NDArray[np.float64]:
    """Such rows for an estimator that asks its nearest neighbours; none for another, or where none are found."""
    rows, count = getattr(estimator, "_fit_X", None), getattr(estimator, "n_neighbors", None)
    nothing: NDArray[np.float64] = np.empty((0, 0))
    if not isinstance(rows, np.ndarray) or not isinstance(count, int) or not 0 < count < len(rows):
        return nothing
    candidates = _candidates(rows.astype(np.float64), dice)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            distances = estimator.kneighbors(candidates, n_neighbors=count + 1)[0]
    except Exception:  # noqa: BLE001  # other people's estimators
        return nothing
    last, following = distances[:, count - 1], distances[:, count]
    tied: NDArray[np.float64] = candidates[following - last <= NEARLY * following]
    return tied[:MOST_TIES]


def _candidates(rows: NDArray[np.float64], dice: np.random.Generator) -> NDArray[np.float64]:
    """Rows with values as they occur in each column, and the rows that the estimator keeps."""
    mixed = np.stack([dice.choice(column, CANDIDATES) for column in rows.T], axis=1)
    found = np.concatenate([mixed, rows[:CANDIDATES]])
    return found[dice.permutation(len(found))]
