"""ONNX models small enough to be written down."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Port = tuple[str, Any, Any]

FLOAT, INT64, STRING, DOUBLE = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.DOUBLE


def save(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    **weights: Any,
) -> Path:
    """Writes a graph of `nodes` as an ONNX file."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(*port) for port in inputs],
        [helper.make_tensor_value_info(*port) for port in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="tests", producer_version="1.2")
    onnx.save(model, path)
    return path


def linear(path: Path, columns: int | str = 3, batch: int | str = "n") -> Path:
    """y = x · [1, 2, …], in float32."""
    weights = np.arange(1, 4, dtype=np.float32)[:, None]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return save(path, [node], [("x", FLOAT, [batch, columns])], [("y", FLOAT, [batch, 1])], w=weights)


def with_external_data(path: Path, location: str) -> Path:
    """`linear`, whose weights lie in the file `location`."""
    model = onnx.load(linear(path))
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(data)))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    return path
