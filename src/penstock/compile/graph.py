"""The graph of one estimator: nodes are added to it by calling it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

Number = type[np.float32] | type[np.float64]
NUMBERS: dict[Any, Number] = {FloatTensorType: np.float32, DoubleTensorType: np.float64}


class Graph:
    """Adds nodes to skl2onnx's container on behalf of one of its operators.

    It calculates with `number`: its constants are of that type, as far as they are not whole, nor truths or texts.
    """

    def __init__(self, scope: Any, operator: Any, container: Any, number: Number | None = None) -> None:
        self.model = operator.raw_operator
        self.number = number or number_of(operator)
        self.scope, self.operator, self.container = scope, operator, container

    def __call__(
        self, op: str, *operands: ArrayLike, domain: str = "", version: int | None = None, **attributes: Any
    ) -> str:
        """Adds a node whose operands are tensors by name, or constants; gives the name of its first result."""
        names = [operand if isinstance(operand, str) else self._constant(operand) for operand in operands]
        result: str = self.scope.get_unique_variable_name(op.lower())
        self._add(op, names, result, op_domain=domain, op_version=version, **attributes)
        return result

    def _constant(self, value: ArrayLike) -> str:
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(self.number, copy=False)
        name: str = self.scope.get_unique_variable_name("constant")
        self.container.initializers.append(numpy_helper.from_array(array, name))
        return name

    def _add(self, op: str, names: list[str], result: str, **attributes: Any) -> None:
        self.container.add_node(op, names, result, name=self.scope.get_unique_operator_name(op), **attributes)

    def cast(self, tensor: str, to: type[np.generic] | None = None) -> str:
        """The tensor in another type, the graph's own if none is said."""
        return self("Cast", tensor, to=helper.np_dtype_to_tensor_dtype(np.dtype(to or self.number)))

    def features(self, number: Number | None = None) -> str:
        """The input as one matrix of that type, the graph's own if none is said; it may come in several pieces."""
        pieces = [self.cast(variable.full_name, number) for variable in self.operator.inputs]
        return pieces[0] if len(pieces) == 1 else self("Concat", *pieces, axis=1)

    def option(self, name: str) -> bool:
        """Whether an option of skl2onnx is on for this estimator."""
        return bool(self.container.get_options(self.model, {name: False}, fail=False)[name])

    def answer(self, position: int, result: str) -> None:
        """Makes `result` the output at `position`; of numbers it is one in `number`, and takes the type announced."""
        output = self.operator.outputs[position]
        announced = NUMBERS.get(type(output.type), self.number)
        self._add("Identity", [result if announced is self.number else self.cast(result, announced)], output.full_name)

    def labels(self, indices: str) -> None:
        """Answers first with the classes that are at `indices`, or with these themselves under the option `nocl`."""
        classes = self.model.classes_
        places = np.arange(len(classes))
        labels = places if self.option("nocl") else class_labels(classes)
        self.answer(0, indices if np.array_equal(labels, places) else self("Gather", labels, indices, axis=0))


def number_of(operator: Any) -> Number:
    """Double precision if one of the operator's inputs has it, else single."""
    return np.float64 if any(type(variable.type) is DoubleTensorType for variable in operator.inputs) else np.float32


def class_labels(classes: NDArray[Any]) -> NDArray[Any]:
    """Classes as ONNX has them: int64 or text. Raises NotImplementedError for any other."""
    if classes.dtype.kind in "biu" or (classes.dtype.kind == "f" and (classes == np.floor(classes)).all()):
        return classes.astype(np.int64)
    if all(isinstance(each, str) for each in classes.ravel()):
        return classes.astype(object)
    raise NotImplementedError(f"its classes are no whole numbers and no text: {classes.dtype}")
