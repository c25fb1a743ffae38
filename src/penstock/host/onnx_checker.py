"""`python -P -m penstock.host.onnx_checker`: is this ONNX model well formed, and what does its graph know?

The model's bytes come on stdin, the verdict goes to stdout as JSON. A process of its own, because the onnx package
is larger than everything else that serving needs, and because its parser may be killed.
"""

import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from penstock.model.leash import die_with_parent

TIME_LIMIT_S = 120


class Verdict(Struct, frozen=True, kw_only=True):
    """`error` says why the model is not well formed; `missing` which module was not there to tell.

    `classes` are the labels of a classifier, `external` the files its weights lie in, `widths` how many columns an
    input has where its shape leaves that open.
    """

    error: str | None = None
    missing: str | None = None
    classes: tuple[str | int | float, ...] | None = None
    external: tuple[str, ...] = ()
    widths: dict[str, int] = {}
    producer: str = ""
    producer_version: str = ""


def main() -> None:
    die_with_parent()
    signal.alarm(TIME_LIMIT_S)
    data = sys.stdin.buffer.read()
    try:
        verdict = judge(data)
    except ModuleNotFoundError as error:
        verdict = {"missing": error.name or "onnx"}
    print(json.dumps(verdict))


def judge(data: bytes) -> dict[str, Any]:
    """The verdict on a serialized model, as the JSON object of a `Verdict`."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
        external = sorted(set(_locations(model)))
        if not external:  # with external data the checker would look for the files, and the host reads them itself
            onnx.checker.check_model(data)
        elif not model.graph.node:
            raise ValueError("the graph is empty")
    except Exception as error:  # noqa: BLE001  # protobuf's errors, the checker's, and what bad bytes make of its C++
        return {"error": " ".join(str(error).split())[:300] or type(error).__name__}
    if not model.graph.output:
        return {"error": "the model has no graph"}
    return {
        "classes": _classes(model),
        "external": external,
        "widths": dict(_widths(model.graph)),
        "producer": model.producer_name,
        "producer_version": model.producer_version,
    }


def _locations(model: Any) -> Iterator[str]:
    """The files named by tensors whose data lies outside the model."""
    from onnx.external_data_helper import _get_all_tensors

    for tensor in _get_all_tensors(model):
        if tensor.data_location == tensor.EXTERNAL:
            yield from (entry.value for entry in tensor.external_data if entry.key == "location")


def _classes(model: Any) -> list[Any] | None:
    """The labels that the first output is chosen from, told by the node that chooses."""
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    waiting = [output.name for output in model.graph.output]
    for name in waiting:  # grows while it is walked: from the outputs towards the inputs, nearest first
        node = makers.get(name)
        if node is None:
            continue
        if (labels := _labels(node, constants)) is not None:
            return labels
        waiting += [each for each in node.input if each not in waiting]
    return None


def _labels(node: Any, constants: dict[str, Any]) -> list[Any] | None:
    from onnx import numpy_helper

    for attribute in node.attribute:
        if attribute.name.startswith("classlabels_") and (attribute.strings or attribute.ints):
            return [text.decode() for text in attribute.strings] or list(attribute.ints)
    if node.op_type == "ArrayFeatureExtractor" and node.input[0] in constants:
        chosen = numpy_helper.to_array(constants[node.input[0]]).ravel().tolist()
        labels = [each.decode() if isinstance(each, bytes) else each for each in chosen]
        return labels if len(set(labels)) == len(labels) else None  # else it chooses a neighbour, not a class
    return None


def _widths(graph: Any) -> Iterator[tuple[str, int]]:
    """How many columns the first nodes take, by the weights that they hold for each."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type == "Scaler" and len(attributes["offset"].floats) > 1:
            yield node.input[0], len(attributes["offset"].floats)
        elif node.op_type == "LinearClassifier" and "coefficients" in attributes:
            classes = len(attributes["intercepts"].floats) if "intercepts" in attributes else 0
            if classes:
                yield node.input[0], len(attributes["coefficients"].floats) // classes
        elif node.op_type == "LinearRegressor":
            targets = attributes["targets"].i if "targets" in attributes else 1
            yield node.input[0], len(attributes["coefficients"].floats) // targets
        elif node.op_type in ("MatMul", "Gemm") and node.input[1] in constants:
            across = "transB" in attributes and attributes["transB"].i
            yield node.input[0], constants[node.input[1]].dims[-1 if across else 0]


if __name__ == "__main__":
    main()
