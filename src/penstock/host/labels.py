"""Class labels: plain Python values for people, indices for the wire."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import ModelFailed
from penstock.model.signature import Label

STRANGER = "the model answered a label that is not among its classes"
FEW = 16  # rows that Python is through with sooner than numpy gets going

SUM_TOLERANCE = 1e-3  # of a row of probabilities; scores that are none do not sum to one

Indices = NDArray[np.int32] | list[int]
"""Positions of classes, one a row; of few rows as a list."""


def plain(value: Any) -> Label:
    """The label as a str, int, float or bool, whatever library made it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float) else str(value)


class Labels:
    """The classes of one output, in the order of its probabilities.

    `keys` are the labels as the model spells them, `classes` the plain values for people.
    """

    def __init__(self, classes: Iterable[Any]) -> None:
        self.keys = classes.tolist() if isinstance(classes, np.ndarray) else list(classes)
        self.classes = tuple(map(plain, self.keys))
        self._index = {label: index for index, label in enumerate(self.keys)}
        self._are_indices = self.keys == list(range(len(self.keys)))

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, label: object) -> bool:
        return label in self._index

    def indices(self, labels: NDArray[Any]) -> Indices:
        """Where each label, shape (rows,), stands in `classes`. Raises ModelFailed for one that is not there."""
        if self._are_indices and len(labels) > FEW and labels.dtype.kind == "i":
            if np.maximum.reduce(labels) >= len(self.keys) or np.minimum.reduce(labels) < 0:
                raise ModelFailed(STRANGER)
            return labels.astype(np.int32)
        try:
            found = [self._index[label] for label in labels.tolist()]
        except KeyError:
            raise ModelFailed(STRANGER) from None
        return found if len(found) <= FEW else np.array(found, np.int32)


def chosen(stated: NDArray[Any], indices: Indices) -> NDArray[np.float64] | list[float]:
    """Out of probabilities, shape (rows, classes), those of each row's own class."""
    if isinstance(indices, list):
        return [row[index] for row, index in zip(stated.tolist(), indices, strict=True)]
    return np.asarray(stated[np.arange(len(indices)), indices], dtype=np.float64)


def are_probabilities(stated: NDArray[Any]) -> bool:
    """Whether each row of a matrix is within 0 and 1, and sums to one."""
    within = np.all(stated >= 0) and np.all(stated <= 1 + SUM_TOLERANCE)
    return bool(within and np.allclose(stated.sum(axis=1), 1, atol=SUM_TOLERANCE))
