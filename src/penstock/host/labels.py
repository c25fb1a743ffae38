"""Class labels: plain Python values for people, indices for the wire."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import ModelFailed
from penstock.model.signature import Label


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

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, label: object) -> bool:
        return label in self._index

    def indices(self, labels: NDArray[Any]) -> NDArray[np.int32]:
        """Where each label, shape (rows,), stands in `classes`. Raises ModelFailed for one that is not there."""
        try:
            return np.fromiter(map(self._index.__getitem__, labels.tolist()), np.int32, len(labels))
        except KeyError:
            raise ModelFailed("the model answered a label that is not among its classes") from None
