"""Puts converters of our own among skl2onnx's, which it keeps by the names of its operators."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from skl2onnx import _parse, _supported_operators, update_registered_converter
from skl2onnx.common import _registration
from skl2onnx.common._registration import get_converter, register_converter, register_shape_calculator

from penstock.compile.graph import Graph, Number

Announce = Callable[[Any], None]
"""Says of what types and shapes an operator's outputs will be: skl2onnx asks for that before it asks for the graph."""
Write = Callable[[Graph], None]
"""Adds the operator's nodes. Raises NotImplementedError for what cannot be represented exactly."""

Options = dict[str, list[Any]]

LABELLED: Options = {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]}
SCORED = LABELLED | {"raw_scores": [True, False]}

POOLS: tuple[dict[Any, Any], ...] = (
    _registration._converter_pool,
    _registration._shape_calculator_pool,
    _supported_operators.sklearn_operator_name_map,
    _parse.sklearn_parsers_map,
)
"""Where skl2onnx keeps what converts what."""


@contextmanager
def undone() -> Iterator[None]:
    """What is registered within is forgotten afterwards."""
    before = [dict(pool) for pool in POOLS]
    try:
        yield
    finally:
        for pool, was in zip(POOLS, before, strict=True):
            pool.clear()
            pool.update(was)


def replace(
    operator: str, announce: Announce, write: Write, number: Number | None = None, options: Options | None = None
) -> None:
    """Takes the place of skl2onnx's converter, also where the estimator is part of a pipeline or an ensemble.

    It calculates with `number`, else in the precision of its inputs, and has these options, else those of skl2onnx's.
    """
    options = options or get_converter(operator).get_allowed_options()
    register_converter(operator, _converter(write, number), overwrite=True, options=options)
    register_shape_calculator(operator, announce, overwrite=True)


def introduce(estimator: type, announce: Announce, write: Write, number: Number | None = None, **more: Any) -> None:
    """The same of an estimator that skl2onnx does not know; `more` is options, and a parser."""
    alias = f"Penstock{estimator.__name__}"
    update_registered_converter(estimator, alias, announce, _converter(write, number), **more)


def _converter(write: Write, number: Number | None) -> Callable[[Any, Any, Any], None]:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        write(Graph(scope, operator, container, number))

    return convert
