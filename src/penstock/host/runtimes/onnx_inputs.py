"""The inputs of an ONNX graph as fields, and rows as the graph expects them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import UnsupportedArtifact
from penstock.host.inputs import made_up
from penstock.host.model import Column
from penstock.model.signature import DType, Field

DTYPES: dict[str, DType] = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(int8)": "int8",
    "tensor(uint64)": "uint64",
    "tensor(uint32)": "uint32",
    "tensor(uint16)": "uint16",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
    "tensor(string)": "string",
}

Feed = Callable[[Sequence[Column]], dict[str, NDArray[Any]]]
Shape = tuple[int | None, ...]


def row_shape(node: Any, widths: Mapping[str, int]) -> Shape:
    """The shape of one row of a graph's input or output; None where a length is open."""
    shape = tuple(length if isinstance(length, int) else None for length in node.shape[1:])
    return (widths[node.name],) if shape == (None,) and node.name in widths else shape


def fields(nodes: Sequence[Any], widths: Mapping[str, int]) -> tuple[tuple[Field, ...], bool]:
    """The fields of a graph's inputs, and whether they have names.

    The columns of an only input of shape (rows, columns) are fields without names; any other input is a field.
    Raises UnsupportedArtifact for inputs that are no tensors, or have no rows.
    """
    for node in nodes:
        if node.type not in DTYPES or not node.shape:
            raise UnsupportedArtifact(
                f"the model's input {node.name} is a {node.type} without rows, which is not served"
            )
    shapes = [row_shape(node, widths) for node in nodes]
    if len(nodes) == 1 and len(shapes[0]) == 1 and (shapes[0][0] or 0) > 1:
        dtype = DTYPES[nodes[0].type]
        return tuple(Field(name=made_up(i), dtype=dtype) for i in range(shapes[0][0] or 0)), False
    scalars = ((), (1,))
    return tuple(
        Field(name=node.name, dtype=DTYPES[node.type], shape=() if shape in scalars else shape)
        for node, shape in zip(nodes, shapes, strict=True)
    ), True


def feeder(nodes: Sequence[Any], inputs: Sequence[Field], gap: str = "") -> Feed:
    """What turns a batch's tensors into the graph's inputs; `gap` stands for a text that is missing.

    Raises UnsupportedArtifact where they do not fit.
    """
    if len(nodes) != 1 and len(nodes) != len(inputs):
        raise UnsupportedArtifact(
            f"the model takes {len(nodes)} inputs and {len(inputs)} are declared: name each of them"
        )
    if len(nodes) == 1:
        name, convert = nodes[0].name, _converter(nodes[0], gap)
        return lambda columns: {name: convert(columns[0] if len(columns) == 1 else _stack(columns))}
    converters = [(node.name, _converter(node, gap)) for node in nodes]

    def feed(columns: Sequence[Column]) -> dict[str, NDArray[Any]]:
        each = list(np.asarray(columns[0]).T) if len(columns) == 1 else columns
        return {name: convert(column) for (name, convert), column in zip(converters, each, strict=True)}

    return feed


def _stack(columns: Sequence[Column]) -> NDArray[Any]:
    return np.stack([np.asarray(column) for column in columns], axis=1)


def _converter(node: Any, gap: str) -> Callable[[Column], NDArray[Any]]:
    """A column as an array of the node's dtype and rank."""
    rank = len(node.shape)
    if node.type == "tensor(string)":

        def text(column: Column) -> NDArray[Any]:
            array: Any = np.array(column, dtype=object)
            array[array == None] = gap  # noqa: E711  # item by item
            shaped: NDArray[Any] = array.reshape(-1, 1) if rank == 2 and array.ndim == 1 else array
            return shaped

        return text
    dtype = np.dtype(DTYPES[node.type])

    def numbers(column: Column) -> NDArray[Any]:
        array = np.asarray(column, dtype=dtype)
        if array.ndim == rank:
            return array
        return (
            array.reshape(-1) if rank == 1 else array.reshape(len(array), *(1,) * (rank - array.ndim), *array.shape[1:])
        )

    return numbers
