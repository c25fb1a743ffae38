"""Versions that can be told apart: each answers every row with its own number."""

from pathlib import Path


def constant(answer: float) -> bytes:
    """An ONNX model that takes one number and gives every row this answer."""
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [answer])
    nought = helper.make_tensor("nought", TensorProto.FLOAT, [1], [0.0])
    nodes = [helper.make_node("Mul", ["x", "nought"], ["z"]), helper.make_node("Add", ["z", "value"], ["y"])]
    graph = helper.make_graph(nodes, "constant", [x], [y], [value, nought])
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def publish(model: Path, version: str, answer: float | None = None) -> None:
    """Puts a version that answers with its own number beside the others, in one move."""
    staging = model / f".{version}"
    staging.mkdir(parents=True)
    (staging / "model.onnx").write_bytes(constant(float(version) if answer is None else answer))
    staging.rename(model / version)
