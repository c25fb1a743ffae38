"""What leaves the host: a model's outputs, checked against its signature and laid out for the wire."""

import math
import struct
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from penstock.errors import ModelFailed
from penstock.host.answers import demand_kind, text_of
from penstock.host.model import Column, Outputs
from penstock.model.batch import TensorHead
from penstock.model.frames import Buffer
from penstock.model.signature import DType, Output, OutputField

NAMES: dict[np.dtype[Any], DType] = {np.dtype(name): name for name in get_args(DType) if name != "string"}
"""The name of each dtype that may travel: numpy works a name out anew whenever it is asked."""
SMALL = 64 * 2**10  # bytes up to which copying is cheaper than keeping a view alive


class Packed:
    """An answer as the wire takes it: the heads of its tensors, their bytes, and the rows that are not finite."""

    __slots__ = ("failed", "heads", "payload")

    def __init__(self) -> None:
        self.heads: list[TensorHead] = []
        self.payload: list[Buffer] = []
        self.failed: set[int] = set()

    def add(self, name: str, array: NDArray[Any]) -> None:
        self.heads.append(TensorHead(name, NAMES[array.dtype], array.shape))
        self.payload.append(array.tobytes() if array.nbytes <= SMALL else _view(array))
        # The sum of finite numbers may overflow, but one that is not finite always shows in it: a cheap first look.
        if array.dtype.kind == "f" and not math.isfinite(np.add.reduce(array, axis=None)):
            self.failed.update(np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1)).tolist())

    def add_indices(self, name: str, indices: list[Any]) -> None:
        self.heads.append(TensorHead(name, "int32", (len(indices),)))
        self.payload.append(struct.pack(f"<{len(indices)}i", *indices))

    def add_floats(self, name: str, values: list[float]) -> None:
        self.heads.append(TensorHead(name, "float64", (len(values),)))
        self.payload.append(struct.pack(f"<{len(values)}d", *values))
        if not math.isfinite(sum(values)):
            self.failed.update(row for row, value in enumerate(values) if not math.isfinite(value))


class Packer:
    """Packs outputs, refusing those that break the signature's word."""

    def __init__(self, output: Output) -> None:
        self._fields = output.fields
        self._probabilities = output.probabilities

    def pack(self, outputs: Outputs, rows: int) -> Packed:
        """Raises ModelFailed for the wrong number of rows, shape or kind."""
        packed = Packed()
        for field, value in zip(self._fields, outputs.values, strict=True):
            if field.classes is not None and isinstance(value, list) and len(value) == rows:
                packed.add_indices(field.name, value)
            elif field.dtype == "string" and field.classes is None:
                packed.heads.append(_text(field, value, rows))
            else:
                packed.add(field.name, _conforming(field, value, rows))
        if self._probabilities:
            self._pack_probabilities(outputs, packed)
        return packed

    def _pack_probabilities(self, outputs: Outputs, packed: Packed) -> None:
        if isinstance(outputs.confidence, list):
            packed.add_floats("confidence", outputs.confidence)
        elif outputs.confidence is not None:
            packed.add("confidence", outputs.confidence)
        else:
            raise ModelFailed("the model stated no probabilities")
        if outputs.probabilities is not None:
            packed.add("probabilities", outputs.probabilities)
        if outputs.ranks is not None:
            packed.add("ranks", outputs.ranks)


def _view(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).data.cast("B")


def _conforming(field: OutputField, value: Column | list[int], rows: int) -> NDArray[Any]:
    array = _shaped(field, np.asarray(value), rows)
    dtype = "int32" if field.classes is not None else field.dtype
    if NAMES.get(array.dtype) == dtype:
        return array
    demand_kind(field, array)
    converted = array.astype(dtype)
    if converted.dtype.kind in "iu" and not np.array_equal(converted, array):
        raise ModelFailed(f"the model answered {field.name} beyond what {dtype} holds")
    return converted


def _shaped(field: OutputField, array: NDArray[Any], rows: int) -> NDArray[Any]:
    """The array, of which a last axis of length one is dropped where the field has none."""
    shape, expected = array.shape, (rows, *field.shape)
    if len(shape) == len(expected) + 1 and shape[-1] == 1:
        array = array.reshape(shape[:-1])
        shape = array.shape
    if shape != expected and not _fits(shape, expected):
        raise ModelFailed(f"the model answered {field.name} of shape {shape} where {expected} was expected")
    return array


def _fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(e in (None, s) for s, e in zip(shape, expected, strict=True))


def _text(field: OutputField, value: Column | list[int], rows: int) -> TensorHead:
    if isinstance(value, np.ndarray):
        demand_kind(field, value)
    array = _shaped(field, np.asarray(value, dtype=object), rows)
    text = [item if isinstance(item, str) else text_of(field, item) for item in array.ravel().tolist()]
    return TensorHead(field.name, "string", array.shape, text)
