"""The port between the host and a runtime: what every loaded model can do."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.model.signature import Field, Output

Column = NDArray[Any] | list[str | None]
"""One tensor of `Signature.tensors()`, rows first. Text of shape (rows,) is a list."""


class Outputs(NamedTuple):
    """What a model answered: one tensor for each output field, class labels as indices (int32, or a list of int).

    `confidence` has shape (rows,), `probabilities` (rows, classes); both float64 (the first may be a list of float),
    and None where the model states none. `ranks` (int32) says of which classes the probabilities are, where these are
    not all of them in order.
    """

    values: Sequence[Column | list[int]]
    confidence: NDArray[np.float64] | list[float] | None = None
    probabilities: NDArray[np.float64] | None = None
    ranks: NDArray[np.int32] | None = None


class Model(Protocol):
    """A model in memory. `named` is false where its field names were made up.

    `probe` runs the model for the first time, on plausible rows, and says what it answers: only then is that known.
    `predict` answers rows laid out as the signature's tensors. Both raise whatever the model raises.
    """

    inputs: tuple[Field, ...]
    named: bool
    runtime: str
    device: str
    trained_with: dict[str, str]

    def probe(self, tensors: Sequence[Column], rows: int) -> Output: ...

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs: ...

    def typical(self) -> Sequence[float] | None:
        """A row of numbers that the model saw when it was trained (means, say), if it remembers one."""


class Around:
    """A model around another one: what a subclass does not change is the inner model's own."""

    def __init__(self, model: Model) -> None:
        self.inputs = model.inputs
        self.named = model.named
        self.unused: tuple[str, ...] = getattr(model, "unused", ())
        self.runtime = model.runtime
        self.device = model.device
        self.trained_with = model.trained_with
        self.beside: Mapping[str, str] = getattr(model, "beside", {})
        self._model = model

    def probe(self, tensors: Sequence[Column], rows: int) -> Output:
        return self._model.probe(tensors, rows)

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs:
        return self._model.predict(tensors, rows, probabilities)

    def typical(self) -> Sequence[float] | None:
        return self._model.typical()
