"""What an estimator will answer with: skl2onnx asks for types and shapes before it asks for the graph."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

from penstock.compile.graph import class_labels, number_of

OF_THE_PARSER = ("probabilities", "scores", "score_samples", "variable")  # as skl2onnx's parser names outputs


def announce_classes(operator: Any) -> None:
    """A label and its probabilities, [rows] and [rows, classes]; of several outputs [rows, outputs] and one tensor."""
    rows, classes = operator.inputs[0].get_first_dimension(), operator.raw_operator.classes_
    several = isinstance(classes, list)
    labels = class_labels(np.concatenate(classes) if several else classes)
    text = (
        labels.dtype.kind == "O" and not operator.scope_inst.get_options(operator.raw_operator, {"nocl": False})["nocl"]
    )
    kind = StringTensorType if text else Int64TensorType
    operator.outputs[0].set_type(kind([rows, len(classes)] if several else [rows]))
    shape = [len(classes), rows, max(map(len, classes))] if several else [rows, len(classes)]
    _announce_numbers(operator, 1, shape)


def announce_values(operator: Any) -> None:
    """A number for each output: [rows, outputs]."""
    rows = operator.inputs[0].get_first_dimension()
    _announce_numbers(operator, 0, [rows, getattr(operator.raw_operator, "n_outputs_", 1)])


def announce_outliers(operator: Any) -> None:
    """A label, 1 or -1, and a score: [rows, 1] each."""
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].set_type(Int64TensorType([rows, 1]))
    for position in range(1, len(operator.outputs)):
        _announce_numbers(operator, position, [rows, 1])


def announce_columns(operator: Any, width: int | None) -> None:
    """A matrix [rows, width] in the precision of the inputs."""
    operator.outputs[0].set_type(matrix(operator, [operator.inputs[0].get_first_dimension(), width]))


def announce_as_many(operator: Any) -> None:
    """A matrix of the shape of the first input, in the precision of the inputs."""
    operator.outputs[0].set_type(matrix(operator, operator.inputs[0].type.shape))


def matrix(operator: Any, shape: Sequence[int | None]) -> Any:
    """The type of a tensor in the precision of the operator's inputs."""
    return (DoubleTensorType if number_of(operator) is np.float64 else FloatTensorType)(list(shape))


def _announce_numbers(operator: Any, position: int, shape: list[int | None]) -> None:
    """Doubles, except to an ensemble of skl2onnx's own that calculates in single precision with what it gets."""
    output = operator.outputs[position]
    single = isinstance(operator.inputs[0].type, FloatTensorType) and output.raw_name not in OF_THE_PARSER
    output.set_type((FloatTensorType if single else DoubleTensorType)(shape))
