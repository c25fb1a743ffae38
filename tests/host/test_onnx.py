"""ONNX models: what the graph knows, what goes in and what comes out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from tests.host.driver import HostProcess, artifact, ask, declared, loaded, refusal
from tests.host.nets import DOUBLE, FLOAT, INT64, STRING, linear, save, with_external_data

X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)
NAMES = np.array(["setosa", "versicolor", "virginica"])


def converted(model: Any, path: Path, **said: Any) -> Path:
    path.write_bytes(to_onnx(model, X[:1], **said).SerializeToString())
    return path


def own_answers(path: Path, rows: Any) -> list[Any]:
    """What ONNX Runtime says without a host."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    answers: list[Any] = session.run(None, {session.get_inputs()[0].name: rows})
    return answers


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize(
    ("labels", "classes"), [(Y, (0, 1, 2)), (Y * 5 - 1, (-1, 4, 9)), (NAMES[Y], tuple(NAMES.tolist()))]
)
def test_a_classifier_answers_labels_confidence_and_probabilities(
    labels: Any, classes: tuple[Any, ...], maps: bool, tmp_path: Path
) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, labels)
    path = converted(model, tmp_path / "model.onnx", options={"zipmap": maps})
    with HostProcess(artifact(path)) as host:
        signature = host.loaded().signature
        indices, confidence, probabilities = host.front().ask(X, probabilities=True)
    own_labels, own = own_answers(path, X)
    expected = np.array([[row[c] for c in classes] for row in own]) if maps else own
    assert signature.output.fields[0].classes == classes
    assert np.array_equal(np.array(classes)[indices], own_labels)
    assert np.array_equal(probabilities, expected.astype(np.float64))
    assert np.array_equal(confidence, probabilities[np.arange(len(X)), indices])


@pytest.mark.parametrize("model", [RandomForestClassifier(5, random_state=0), KNeighborsClassifier()])
def test_the_classes_are_those_that_the_graph_knows(model: Any, tmp_path: Path) -> None:
    path = converted(model.fit(X, NAMES[Y]), tmp_path / "model.onnx", options={"zipmap": False})
    with HostProcess(artifact(path)) as host:
        output = host.loaded().signature.output
        columns = host.front().ask(X)
    assert output.probabilities
    assert np.array_equal(np.array(output.fields[0].classes)[columns[0]], own_answers(path, X)[0])


def test_scores_that_are_no_probabilities_are_not_passed_off_as_such(tmp_path: Path) -> None:
    path = converted(LinearSVC().fit(X, Y), tmp_path / "model.onnx")
    with HostProcess(artifact(path)) as host:
        assert not host.loaded().signature.output.probabilities
        columns = host.front().ask(X, probabilities=True)
    assert np.array_equal(columns[0], own_answers(path, X)[0])
    assert len(columns) == 1


@pytest.mark.parametrize(
    ("data", "model"), [(load_diabetes, LinearRegression()), (load_breast_cancer, LinearRegression())]
)
def test_a_regressor_answers_a_number_for_each_row(data: Any, model: Any, tmp_path: Path) -> None:
    rows, targets = data(return_X_y=True)
    rows = rows.astype(np.float32)
    (tmp_path / "model.onnx").write_bytes(to_onnx(model.fit(rows, targets), rows[:1]).SerializeToString())
    with HostProcess(artifact(tmp_path / "model.onnx")) as host:
        signature = host.loaded().signature
        (values,) = host.front().ask(rows)
    assert (signature.output.fields[0].dtype, signature.output.fields[0].shape) == ("float32", ())
    assert np.array_equal(values, own_answers(tmp_path / "model.onnx", rows)[0][:, 0])


def test_columns_without_names_are_numbered_and_an_input_of_its_own_keeps_its_name(tmp_path: Path) -> None:
    signature = loaded(artifact(linear(tmp_path / "model.onnx"))).signature
    assert [(f.name, f.dtype) for f in signature.inputs] == [("f0", "float32"), ("f1", "float32"), ("f2", "float32")]
    assert not signature.named
    add = helper.make_node("Add", ["age", "height"], ["sum"])
    inputs = [("age", FLOAT, ["n", 1]), ("height", FLOAT, ["n", 1])]
    path = save(tmp_path / "sum.onnx", [add], inputs, [("sum", FLOAT, ["n", "m"])])
    assert [field.name for field in loaded(artifact(path)).signature.inputs] == ["age", "height"]


def test_several_inputs_are_each_given_their_own(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["count"], ["number"], to=FLOAT),
        helper.make_node("ReduceSum", ["image", "axes"], ["light"], keepdims=0),
        helper.make_node("Reshape", ["number", "flat"], ["numbers"]),
        helper.make_node("Add", ["numbers", "light"], ["y"]),
        helper.make_node("Identity", ["name"], ["echo"]),
    ]
    inputs = [("count", INT64, ["n", 1]), ("image", FLOAT, ["n", 2, 3]), ("name", STRING, ["n", 1])]
    outputs = [("y", FLOAT, ["n"]), ("echo", STRING, ["n", 1])]
    path = save(tmp_path / "model.onnx", nodes, inputs, outputs, axes=np.array([1, 2]), flat=np.array([-1]))
    with HostProcess(artifact(path)) as host:
        signature = host.loaded().signature
        front = host.front()
        sums, echo = front.ask(np.array([1, 2]), np.ones((2, 2, 3), np.float32), ["tea", "fish"])
    assert [(f.name, f.dtype, f.shape) for f in signature.inputs] == [
        ("count", "int64", ()),
        ("image", "float32", (2, 3)),
        ("name", "string", ()),
    ]
    assert signature.named
    assert sums.tolist() == [7.0, 8.0]
    assert np.array(echo).ravel().tolist() == ["tea", "fish"]


def test_inputs_of_one_dtype_travel_as_one_matrix_and_arrive_apart(tmp_path: Path) -> None:
    nodes = [helper.make_node("Sub", ["a", "b"], ["y"])]
    path = save(
        tmp_path / "model.onnx", nodes, [("a", FLOAT, ["n", 1]), ("b", FLOAT, ["n", 1])], [("y", FLOAT, ["n", 1])]
    )
    assert ask(artifact(path), np.array([[5, 3], [1, 4]], np.float32))[0].tolist() == [2.0, -3.0]


def test_a_model_of_text_is_served(tmp_path: Path) -> None:
    texts = ["likes tea", "likes fish", "is late", "drinks tea"]
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, ["yes", "no", "no", "yes"])
    options = {LogisticRegression: {"zipmap": False}, CountVectorizer: {"locale": "C"}}
    graph = to_onnx(model, initial_types=[("note", StringTensorType([None, 1]))], options=options)
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    with HostProcess(artifact(tmp_path / "model.onnx")) as host:
        signature = host.loaded().signature
        columns = host.front().ask(texts)
    assert [(f.name, f.dtype) for f in signature.inputs] == [("note", "string")]
    assert np.array_equal(np.array(["no", "yes"])[columns[0]], model.predict(texts))


def test_a_locale_that_is_not_here_is_told_with_the_way_around_it(tmp_path: Path) -> None:
    node = helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale="xx_XX")
    path = save(tmp_path / "model.onnx", [node], [("x", STRING, ["n"])], [("y", STRING, ["m"])])
    assert "locale='C'" in refusal(artifact(path)).message


def test_an_output_whose_length_is_open_may_differ_between_batches(tmp_path: Path) -> None:
    node = helper.make_node("Neg", ["x"], ["y"])
    path = save(tmp_path / "model.onnx", [node], [("x", FLOAT, ["n", "k"])], [("y", FLOAT, ["n", "k"])])
    with HostProcess(artifact(path)) as host:
        assert host.loaded().signature.output.fields[0].shape == (None,)
        front = host.front()
        for length in (2, 5):
            assert front.ask(np.ones((3, length), np.float32))[0].shape == (3, length)


def test_outputs_of_a_net_keep_their_shape_and_dtype(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["deep"]),
        helper.make_node("Cast", ["x"], ["wide"], to=DOUBLE),
        helper.make_node("ArgMax", ["x"], ["best"], axis=1, keepdims=1),
    ]
    outputs = [("deep", FLOAT, ["n", 4]), ("wide", DOUBLE, ["n", "k"]), ("best", INT64, ["n", 1])]
    path = save(tmp_path / "model.onnx", nodes, [("x", FLOAT, ["n", 2])], outputs, w=np.ones((2, 4), np.float32))
    with HostProcess(artifact(path)) as host:
        fields = host.loaded().signature.output.fields
        columns = host.front().ask(np.array([[1, 2]], np.float32))
    assert [(f.name, f.dtype, f.shape) for f in fields] == [
        ("deep", "float32", (4,)),
        ("wide", "float64", (2,)),
        ("best", "int64", ()),
    ]
    assert [column.tolist() for column in columns] == [[[3.0] * 4], [[1.0, 2.0]], [1]]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_model_of_a_fixed_number_of_rows_is_given_any_number(batch: int, tmp_path: Path) -> None:
    with HostProcess(artifact(linear(tmp_path / "model.onnx", batch=batch))) as host:
        host.loaded()
        front = host.front()
        for rows in (1, 3, 4, 9):
            (values,) = front.ask(np.arange(rows * 3, dtype=np.float32).reshape(rows, 3))
            assert values.tolist() == [14.0 * i * 1.0 + 8.0 + 4.0 * i for i in range(rows)]


def test_the_number_of_columns_that_the_shape_leaves_open_is_told_by_the_weights(tmp_path: Path) -> None:
    assert len(loaded(artifact(linear(tmp_path / "model.onnx", columns="k"))).signature.inputs) == 3
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    graph = to_onnx(model, initial_types=[("x", FloatTensorType([None, None]))])
    (tmp_path / "iris.onnx").write_bytes(graph.SerializeToString())
    assert len(loaded(artifact(tmp_path / "iris.onnx")).signature.inputs) == 4


def test_a_length_that_stays_open_is_one_field_unless_columns_are_declared(tmp_path: Path) -> None:
    node = helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)
    path = save(tmp_path / "model.onnx", [node], [("x", FLOAT, ["n", "k"])], [("y", FLOAT, ["n"])], axes=np.array([1]))
    with HostProcess(artifact(path)) as host:
        (field,) = host.loaded().signature.inputs
        assert (field.name, field.shape) == ("x", (None,))
        assert host.front().ask(np.ones((2, 5), np.float32))[0].tolist() == [5.0, 5.0]
    with HostProcess(artifact(path, inputs=declared("width", "height", dtype="float32"))) as host:
        assert [f.name for f in host.loaded().signature.inputs] == ["width", "height"]
        assert host.front().ask(np.array([[1, 2]], np.float32))[0].tolist() == [3.0]


def test_declared_dtypes_are_turned_into_those_of_the_graph(tmp_path: Path) -> None:
    """Whole numbers may be declared for columns that the graph computes with as floats."""
    fields = declared("a", "b", "c", dtype="int64")
    assert ask(artifact(linear(tmp_path / "model.onnx"), inputs=fields), np.array([[1, 2, 3]]))[0].tolist() == [14.0]


def test_the_producer_is_what_trained_it(tmp_path: Path) -> None:
    assert loaded(artifact(linear(tmp_path / "model.onnx"))).trained_with == {"tests": "1.2"}


# ------------------------------------------------------------------ files beside the model
WEIGHTS = np.arange(1, 4, dtype=np.float32).tobytes()


def test_weights_beside_the_model_are_read(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(WEIGHTS)
    path = with_external_data(tmp_path / "model.onnx", "weights.bin")
    assert ask(artifact(path), np.ones((2, 3), np.float32))[0].tolist() == [6.0, 6.0]


@pytest.mark.parametrize("location", ["{outside}/weights.bin", "../weights.bin", "link.bin"])
def test_weights_outside_the_root_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(WEIGHTS)
    root = tmp_path / "model"
    root.mkdir()
    (root / "link.bin").symlink_to(tmp_path / "weights.bin")
    path = with_external_data(root / "model.onnx", location.format(outside=tmp_path))
    refused = refusal(artifact(path))
    assert refused.code == "untrusted_artifact"
    assert "outside" in refused.message


@pytest.mark.parametrize("content", [None, b"", WEIGHTS[:-1]])
def test_weights_that_are_missing_or_cut_short_are_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "weights.bin").write_bytes(content)
    assert refusal(artifact(with_external_data(tmp_path / "model.onnx", "weights.bin"))).code == "unreadable_artifact"


# ------------------------------------------------------------------ refused
def test_a_graph_that_is_not_well_formed_is_refused(tmp_path: Path) -> None:
    import onnx

    model = onnx.load(linear(tmp_path / "model.onnx"))
    model.graph.node[0].op_type = "Nonsense"
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    refused = refusal(artifact(tmp_path / "model.onnx"))
    assert refused.code == "unreadable_artifact"
    assert "Nonsense" in refused.message


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_device_that_is_not_there_is_refused(device: str, tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is a CUDA device here")
    refused = refusal(artifact(linear(tmp_path / "model.onnx"), device=device))
    assert refused.code == "unavailable_device"
    assert "device: cpu" in refused.message


def test_without_the_checker_nothing_is_served(tmp_path: Path) -> None:
    """The onnx package is made unimportable by one that stands before it."""
    (tmp_path / "onnx.py").write_text("raise ModuleNotFoundError('gone', name='onnx')\n")
    path = linear(tmp_path / "model.onnx")
    with HostProcess(artifact(path), forked=False, environment={"PYTHONPATH": str(tmp_path)}) as host:
        refused = host.refused()
    assert refused.code == "missing_dependency"
    assert "pip install onnx onnxruntime" in refused.message


def test_a_host_of_a_small_model_is_small_and_leaves_no_checker_behind(tmp_path: Path) -> None:
    with HostProcess(artifact(linear(tmp_path / "model.onnx")), forked=False) as host:
        host.loaded()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{host.pid}/status").read_text().splitlines())
        assert int(status["VmRSS"].split()[0]) < 80_000
        assert Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text() == ""
