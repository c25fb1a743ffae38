"""The graph of one estimator: nodes are added to it by calling it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from skl2onnx.common import data_types

Operand = str | NDArray[Any]


class Graph:
    """Adds nodes to skl2onnx's container on behalf of one of its operators."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        self.model = operator.raw_operator
        self._scope, self._operator, self._container = scope, operator, container

    def __call__(
        self, op: str, *operands: Operand, domain: str = "", version: int | None = None, **attributes: Any
    ) -> str:
        """Adds a node whose operands are tensors by name, or constants; gives the name of its first result."""
        names = [operand if isinstance(operand, str) else self._constant(operand) for operand in operands]
        result: str = self._scope.get_unique_variable_name(op.lower())
        name = self._scope.get_unique_operator_name(op)
        self._container.add_node(op, names, result, op_domain=domain, op_version=version, name=name, **attributes)
        return result

    def _constant(self, value: NDArray[Any]) -> str:
        name: str = self._scope.get_unique_variable_name("constant")
        self._container.initializers.append(numpy_helper.from_array(value, name))
        return name

    def option(self, name: str) -> bool:
        """Whether an option of skl2onnx is on for this estimator."""
        return bool(self._container.get_options(self.model, {name: False}, fail=False)[name])

    def features(self, number: int) -> str:
        """The input as one matrix of the type `number` of TensorProto, also where it comes in several pieces."""
        pieces = [self("Cast", variable.full_name, to=number) for variable in self._operator.inputs]
        return pieces[0] if len(pieces) == 1 else self("Concat", *pieces, axis=1)

    def answer(self, position: int, result: str) -> None:
        """Makes `result` the output at `position`, in the type that was announced for it."""
        output = self._operator.outputs[position]
        if isinstance(output.type, data_types.FloatTensorType):
            result = self("Cast", result, to=TensorProto.FLOAT)
        name = self._scope.get_unique_operator_name("Identity")
        self._container.add_node("Identity", result, output.full_name, name=name)

    def labels(self, position: int, indices: str) -> None:
        """Answers with the classes that are at `indices`."""
        self.answer(position, self("Gather", class_labels(self.classes()), indices, axis=0))

    def classes(self) -> NDArray[Any]:
        """The estimator's classes, or their numbers with the option `nocl`."""
        classes: NDArray[Any] = self.model.classes_
        return np.arange(len(classes)) if self.option("nocl") else classes


def class_labels(classes: NDArray[Any]) -> NDArray[Any]:
    """Classes as ONNX has them: int64 or text. Raises NotImplementedError for any other."""
    if classes.dtype.kind in "biu" or (classes.dtype.kind == "f" and (classes == np.floor(classes)).all()):
        return classes.astype(np.int64)
    if all(isinstance(each, str) for each in classes.ravel()):
        return classes.astype(object)
    raise NotImplementedError(f"its classes are neither whole numbers nor text: {classes.dtype}")
