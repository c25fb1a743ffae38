"""From a fitted estimator to ONNX graphs: the forms in which it may run, the most precise one first."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import skl2onnx
from skl2onnx.common import data_types

from penstock.compile import encoders, features, gaps, linear, registration, trees, words
from penstock.compile.finishing import finished
from penstock.compile.unwrapping import unwrapped
from penstock.host.estimators import everything, steps, stranger, takes_text
from penstock.model.signature import DType, Signature, Tensor

OWN = (features, words, encoders, gaps, linear, trees)
ROWS = "rows"  # the only input of a graph that takes a matrix


class Form(NamedTuple):
    """A form by its name, and what makes its graph: that may raise anything, and take its time."""

    name: str
    graph: Callable[[], bytes]


def forms(model: Any, signature: Signature) -> Iterator[Form]:
    """The forms of an estimator whose rows are laid out as `signature` says.

    Raises NotImplementedError for classes of one's own, which a converter would take for those that they build on.
    """
    if kind := stranger(model):
        raise NotImplementedError(f"{kind.__module__}.{kind.__qualname__} is code of its own")
    numbers = {"float64": data_types.DoubleTensorType, "float32": data_types.FloatTensorType}
    for name, number in numbers.items():
        yield Form(f"ONNX in {name}", partial(_graph, model, signature, number))


def _graph(model: Any, signature: Signature, number: Any) -> bytes:
    with warnings.catch_warnings(), own_converters(), encoders.widening(number is data_types.DoubleTensorType):
        warnings.simplefilter("ignore")
        model = unwrapped(model)
        inputs = list(_inputs(model, signature.tensors(), number))
        texts = {id(each): words.options(each) for each in everything(model) if _splits_texts(each)}
        try:
            graph = skl2onnx.to_onnx(model, initial_types=inputs, options={id(model): {"zipmap": False}} | texts)
        except NameError:  # an estimator without that option: it has no maps to avoid
            graph = skl2onnx.to_onnx(model, initial_types=inputs, options=texts)
        classes = signature.output.fields[0].classes if len(signature.output.fields) == 1 else None
        data: bytes = finished(graph, classes or ()).SerializeToString()
        return data


@contextmanager
def own_converters() -> Iterator[None]:
    """Within, skl2onnx has our converters in some places of its own; afterwards it is as it was."""
    with registration.undone():
        for own in OWN:
            own.register()
        yield


def _splits_texts(estimator: Any) -> bool:
    return takes_text(estimator) and hasattr(estimator, "build_analyzer") and not hasattr(estimator, "steps")


def _inputs(model: Any, tensors: tuple[Tensor, ...], number: Any) -> Iterator[tuple[str, Any]]:
    """The graph's inputs: a column each where a ColumnTransformer picks them by name, else one matrix."""
    table = any(hasattr(step, "transformers_") for step in steps(model)[:1])
    if table:
        for tensor in tensors:
            for field in tensor.fields:
                yield field.name, _kind(tensor.dtype, number)([None, 1])
    elif len({tensor.dtype for tensor in tensors}) == 1:
        width = sum(len(tensor.fields) for tensor in tensors)
        yield ROWS, _kind(tensors[0].dtype, number)([None, width])
    else:
        raise TypeError("its columns are of several types and no ColumnTransformer tells them apart")


def _kind(dtype: DType, number: Any) -> Any:
    if dtype == "string":
        return data_types.StringTensorType
    if dtype == "bool":
        return data_types.BooleanTensorType
    return number if dtype.startswith("float") else data_types.Int64TensorType
