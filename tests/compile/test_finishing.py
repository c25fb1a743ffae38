"""What skl2onnx leaves to be done in a graph is done."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from penstock.compile.finishing import finished
from tests.compile.driver import certified, same

IRIS = load_iris()
ROWS = np.array([[1.0, -2.0]])
HEAD = '<ir_version: 10, opset_import: ["" : 21]> of_rows (double[N, 2] rows) => '


def answers(model: onnx.ModelProto) -> list[Any]:
    return [np.asarray(each).tolist() for each in ReferenceEvaluator(model).run(None, {"rows": ROWS})]


def test_nothing_is_copied_before_it_is_answered(tmp_path: Path) -> None:
    model = RandomForestClassifier(5, random_state=0).fit(IRIS.data, IRIS.target)
    entry = certified(model, tmp_path)
    assert "Identity" not in {node.op_type for node in onnx.load_from_string(entry.graph).graph.node}
    same(entry, model, IRIS.data)


def test_a_tensor_that_is_answered_twice_is_copied_once() -> None:
    text = HEAD + "(double[N, 2] one, double[N, 2] two) { a = Neg(rows) one = Identity(a) two = Identity(a) }"
    model = finished(onnx.parser.parse_model(text))
    assert [node.op_type for node in model.graph.node] == ["Neg", "Identity"]
    assert answers(model) == [[[-1.0, 2.0]], [[-1.0, 2.0]]]


def test_an_input_that_is_answered_is_copied() -> None:
    model = finished(onnx.parser.parse_model(HEAD + "(double[N, 2] same) { same = Identity(rows) }"))
    assert [output.name for output in model.graph.output] == ["same"]
    assert answers(model) == [ROWS.tolist()]


def test_classes_that_are_texts_are_told_by_their_places(tmp_path: Path) -> None:
    model = RandomForestClassifier(5, random_state=0).fit(IRIS.data, IRIS.target_names[IRIS.target])
    entry = certified(model, tmp_path)
    graph = onnx.load_from_string(entry.graph).graph
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.INT64
    assert all(table.data_type != onnx.TensorProto.STRING for table in graph.initializer)
    same(entry, model, IRIS.data)


def test_texts_in_another_order_stay_texts() -> None:
    head = HEAD.replace("double[N, 2]", "int64[N]")
    text = head + '(string[N] label) <string[2] names = {"a", "b"}> { label = Gather(names, rows) }'
    assert [node.op_type for node in finished(onnx.parser.parse_model(text), ["b", "a"]).graph.node] == ["Gather"]
    copied = finished(onnx.parser.parse_model(text), ["a", "b"])
    assert copied.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.INT64


def test_an_output_is_of_the_type_that_its_node_makes() -> None:
    model = finished(onnx.parser.parse_model(HEAD + "(float[N, 2] negative) { negative = Neg(rows) }"))
    assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
