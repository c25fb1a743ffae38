"""Nodes of a graph in the making, added to what skl2onnx keeps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from onnx import TensorProto
from skl2onnx.common import data_types

ML = "ai.onnx.ml"
DOUBLE, FLOAT, INTEGER, BOOLEAN = TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
_TYPES = {"f": DOUBLE, "i": INTEGER, "b": BOOLEAN, "U": TensorProto.STRING}


class Nodes:
    """The nodes of one converter. Each method returns the name of what its node puts out."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        self._scope = scope
        self._container = container
        self.outputs: list[str] = [variable.full_name for variable in operator.outputs]
        self.number: int = DOUBLE if is_double(operator) else FLOAT
        self._inputs = operator.inputs

    def input(self) -> str:
        """All inputs as one matrix of `number`."""
        parts = [self.add("Cast", variable.full_name, to=self.number) for variable in self._inputs]
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=1)

    def add(self, kind: str, *inputs: str, into: str | None = None, **attributes: Any) -> str:
        """A node of ONNX's own operators; its output is called `into` where that is said."""
        output = into or self._scope.get_unique_variable_name(kind.lower())
        name = self._scope.get_unique_operator_name(kind)
        domain = {"op_domain": ML} if kind in ("ArrayFeatureExtractor", "LabelEncoder") else {}
        self._container.add_node(kind, list(inputs), output, name=name, **domain, **attributes)
        return output

    def constant(self, values: ArrayLike) -> str:
        """Numbers of `number`, whole numbers, truths or texts."""
        array = np.asarray(values)
        kind = self.number if array.dtype.kind == "f" else _TYPES[array.dtype.kind]
        content: Sequence[Any] = array.ravel().tolist()
        if array.dtype.kind == "U":
            content = [text.encode() for text in content]
        name: str = self._scope.get_unique_variable_name("constant")
        self._container.add_initializer(name, kind, list(array.shape), content)
        return name


def is_double(operator: Any) -> bool:
    """Whether one of its inputs is in double precision: then so is what it computes."""
    return any(isinstance(variable.type, data_types.DoubleTensorType) for variable in operator.inputs)


def numbers(operator: Any, shape: Sequence[int | None]) -> Any:
    """The type of such a matrix of numbers, in the precision of the operator's inputs."""
    kind = data_types.DoubleTensorType if is_double(operator) else data_types.FloatTensorType
    return kind(list(shape))
