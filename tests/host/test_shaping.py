"""What `output:` makes of answers: labels, decisions, the likeliest, rounded and clipped numbers; what it refuses."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from penstock.errors import ModelFailed, UnsupportedArtifact
from penstock.host.model import Column, Model, Outputs
from penstock.host.outputs import Packer
from penstock.host.shaping import Shaped, shaped
from penstock.model.control import Artifact
from penstock.model.shaping import Shaping
from penstock.model.signature import Field, Label, Output, OutputField
from tests.host.driver import HostProcess, artifact, loaded, pickled, refusal
from tests.host.nets import FLOAT, INT64, save

IRIS = load_iris()
FLOWERS: tuple[Label, ...] = ("setosa", "versicolor", "virginica")


class Says:
    """A model that always says the same, to any number of rows that it has answers for."""

    inputs: tuple[Field, ...] = (Field(name="x"),)
    named = False
    runtime = "words"
    device = "cpu"
    trained_with: dict[str, str] = {}  # noqa: RUF012  # as the port has it

    def __init__(self, output: Output, outputs: Outputs) -> None:
        self.output = output
        self.outputs = outputs

    def probe(self, tensors: Sequence[Column], rows: int) -> Output:
        return self.output

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs:
        return self.outputs if probabilities else self.outputs._replace(probabilities=None)

    def typical(self) -> None:
        return None


def values(array: Any, dtype: Any = "float64") -> Says:
    """A model that answers numbers, of this dtype and shape."""
    answer: NDArray[Any] = np.asarray(array, dtype)
    named: Any = answer.dtype.name
    field = OutputField(name="prediction", dtype=named, shape=answer.shape[1:])
    return Says(Output(fields=(field,)), Outputs((answer,)))


def classifier(stated: Any, *classes: Label) -> Says:
    """A classifier that states these probabilities."""
    matrix = np.asarray(stated, np.float64)
    indices = matrix.argmax(axis=1).astype(np.int32)
    field = OutputField(name="prediction", classes=classes)
    return Says(Output(fields=(field,), probabilities=True), Outputs((indices,), matrix.max(axis=1), matrix))


TEXT = Says(Output(fields=(OutputField(name="t", dtype="string"),)), Outputs((np.array(["x"], object),)))


def shape(model: Model, **said: Any) -> tuple[Output, Shaped]:
    """The model with its output shaped, and what it answers then."""
    around = shaped(model, Artifact(path="/m/model.pkl", format="pickle", root="/m", output=Shaping(**said)))
    assert isinstance(around, Shaped)
    return around.probe((), 0), around


def answers(model: Model, **said: Any) -> list[Any]:
    """The predictions of the shaped model."""
    output, around = shape(model, **said)
    answer = around.predict((), 0, False)
    assert (answer.probabilities, answer.ranks) == (None, None)
    column = np.asarray(answer.values[0]).tolist()
    classes = output.fields[0].classes
    return column if classes is None else [classes[index] for index in column]


def why(model: Model, **said: Any) -> str:
    """Why it cannot be shaped so."""
    with pytest.raises(UnsupportedArtifact) as caught:
        shape(model, **said)
    return str(caught.value)


def test_where_nothing_is_declared_nothing_stands_between() -> None:
    model = values([1.0])
    assert shaped(model, Artifact(path="/m", format="onnx", root="/")) is model


# ------------------------------------------------------------------ labels
@pytest.mark.parametrize(
    ("model", "names"),
    [
        (classifier(np.eye(3), 0, 1, 2), list(FLOWERS)),
        (classifier(np.eye(3), 3, 5, 7), list(FLOWERS)),
        (values([2, 0, 1], "int64"), ["virginica", "setosa", "versicolor"]),
        (values([2, 0], "uint8"), ["virginica", "setosa"]),
        (values([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]], "float32"), ["virginica", "setosa"]),
        (values([[-3.0, 9.0, 2.0]]), ["versicolor"]),
        (values([[2], [0]], "int64"), ["virginica", "setosa"]),
    ],
)
def test_labels_name_classes_indices_and_the_largest_score(model: Says, names: list[str]) -> None:
    output = model.output.fields[0]
    if output.shape == (1,):  # as a runtime tells of it
        model.output = Output(fields=(OutputField(name="prediction", dtype=output.dtype),))
    assert answers(model, labels=FLOWERS) == names


def test_truth_is_an_index_too() -> None:
    assert answers(values([True, False], "bool"), labels=("no", "yes")) == ["yes", "no"]


def test_scores_that_are_probabilities_are_stated_as_such_and_others_are_not() -> None:
    output, model = shape(values([[0.25, 0.75], [1.0, 0.0]], "float32"), labels=("no", "yes"))
    answer = model.predict((), 2, True)
    assert output.probabilities
    assert np.asarray(answer.confidence).tolist() == [0.75, 1.0]
    assert np.asarray(answer.probabilities).tolist() == [[0.25, 0.75], [1.0, 0.0]]
    output, model = shape(values([[3.0, -1.0]]), labels=("no", "yes"))
    assert not output.probabilities
    assert model.predict((), 1, True).probabilities is None


def test_a_class_and_its_scores_together_make_a_classifier() -> None:
    fields = (OutputField(name="class", dtype="int64"), OutputField(name="p", dtype="float32", shape=(2,)))
    both = Outputs((np.array([1, 0]), np.array([[0.6, 0.4], [0.9, 0.1]], np.float32)))
    output, model = shape(Says(Output(fields=fields), both), labels=("no", "yes"))
    answer = model.predict((), 2, True)
    assert (output.fields[0].classes, output.probabilities, len(output.fields)) == (("no", "yes"), True, 1)
    assert np.asarray(answer.confidence).tolist() == pytest.approx([0.4, 0.9]), "of the model's own choice"


@pytest.mark.parametrize(
    ("model", "labels", "said"),
    [
        (
            classifier(np.eye(3), 0, 1, 2),
            ("a", "b"),
            "2 labels, and the model has 3 classes: name each, in the order 0",
        ),
        (classifier(np.eye(2), "a", "b"), ("b", "a"), "give the labels in the order a, b"),
        (values([[0.1, 0.9]]), FLOWERS, "3 labels, and the model answers 2 scores"),
        (values([0, 3], "int64"), FLOWERS, "class 3, and the labels are 0 to 2"),
        (values([0.7]), ("no", "yes"), "`threshold: 0.5`"),
        (values(np.zeros((1, 2, 2))), ("no", "yes"), "float64 of shape (2, 2): remove them"),
        (TEXT, ("a", "b"), "remove them"),
    ],
)
def test_labels_that_do_not_fit_are_refused(model: Says, labels: tuple[str, ...], said: str) -> None:
    assert said in why(model, labels=labels)
    assert "output.labels in model.yaml" in why(model, labels=labels)


def test_a_class_that_has_no_label_fails_and_is_not_another() -> None:
    model = values([0, 1], "int64")
    around = shape(model, labels=("no", "yes"))[1]
    model.outputs = Outputs((np.array([-1, 1]),))
    with pytest.raises(ModelFailed):
        around.predict((), 2, False)


# ------------------------------------------------------------------ threshold
def test_a_threshold_decides_by_the_probability_of_the_second_class() -> None:
    model = classifier([[0.8, 0.2], [0.7, 0.3], [0.4, 0.6]], 0, 1)
    assert answers(model, threshold=0.3) == [0, 1, 1]
    assert answers(model, threshold=0.3, labels=("no", "yes")) == ["no", "yes", "yes"]
    output, around = shape(model, threshold=0.3)
    assert np.asarray(around.predict((), 3, False).confidence).tolist() == [0.8, 0.3, 0.6], "of the class that is told"
    assert output.threshold == 0.3


def test_a_threshold_decides_by_the_only_score() -> None:
    model = values([0.29, 0.3, 7.0])
    assert answers(model, threshold=0.3) == [False, True, True]
    assert answers(model, threshold=0.3, labels=("no", "yes")) == ["no", "yes", "yes"]
    assert not shape(model, threshold=0.3)[0].probabilities, "a score says nothing of its scale"


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_score_that_is_no_number_decides_nothing(odd: float) -> None:
    for model, said in ((values([0.5]), {"threshold": 0.3}), (values([[5.0, 9.0]]), {"labels": ("no", "yes")})):
        around = shape(model, **said)[1]
        model.outputs = Outputs((np.full_like(model.outputs.values[0], odd),))
        with pytest.raises(ModelFailed, match="not a finite number"):
            around.predict((), 1, True)


@pytest.mark.parametrize(
    ("model", "threshold", "said"),
    [
        (classifier(np.eye(3), *FLOWERS), 0.5, "between two classes, and the model has 3: remove it"),
        (classifier(np.eye(2), 0, 1), 30, "expected a number above 0 and up to 1, got 30"),
        (values([[0.2, 0.8]]), 0.5, "name the two classes (`labels: [no, yes]`)"),
        (Says(Output(fields=(OutputField(name="p", classes=(0, 1)),)), Outputs(([0],))), 0.5, "states none: remove it"),
    ],
)
def test_a_threshold_that_cannot_decide_is_refused(model: Says, threshold: float, said: str) -> None:
    assert said in why(model, threshold=threshold)


# ------------------------------------------------------------------ the likeliest
def test_the_likeliest_come_first_and_of_equals_the_first() -> None:
    model = classifier([[0.1, 0.6, 0.3], [0.25, 0.25, 0.5], [0.4, 0.2, 0.4]], *FLOWERS)
    output, around = shape(model, top_k=2)
    answer = around.predict((), 3, True)
    assert np.asarray(answer.ranks).tolist() == [[1, 2], [2, 0], [0, 2]]
    assert np.asarray(answer.probabilities).tolist() == [[0.6, 0.3], [0.5, 0.25], [0.4, 0.4]]
    assert output.top_k == 2
    assert [head.name for head in Packer(output).pack(answer, 3).heads][-1] == "ranks"


@pytest.mark.parametrize(
    ("model", "said"), [(classifier(np.eye(2), 0, 1), "2 classes"), (values([1.0]), "states none")]
)
def test_more_classes_than_there_are_cannot_be_told(model: Says, said: str) -> None:
    assert said in why(model, top_k=3)


# ------------------------------------------------------------------ numbers
def test_numbers_are_rounded_and_written_as_such() -> None:
    assert answers(values([0.33333, 2.0, -0.001], "float32"), round=2) == [0.33, 2.0, 0.0]
    assert str(answers(values([-0.001]), round=2)) == "[0.0]"
    assert answers(values([1.7976931348623157e308, 2.0**53 - 1]), round=15) == [1.7976931348623157e308, 2.0**53 - 1]
    assert answers(values([[1.26, 1.24]]), round=1) == [[1.3, 1.2]]


def test_numbers_are_clipped_after_they_are_rounded() -> None:
    assert answers(values([-3.0, 50.0, 101.5]), clip=(0, 100)) == [0.0, 50.0, 100.0]
    assert answers(values([-3.0, 101.5]), clip=(None, 100)) == [-3.0, 100.0]
    assert answers(values([0.9996]), clip=(0, 0.999), round=2) == [0.999]
    clipped = answers(values([7, 3000], "int64"), clip=(None, 99.5))
    assert (clipped, type(clipped[0])) == ([7, 99], int)
    assert answers(values([7, 250], "uint8"), clip=(-5, 1000)) == [7, 250]


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_an_error_and_no_large_number(odd: float) -> None:
    output, around = shape(values([odd, 1.0]), clip=(0, 100), round=2)
    assert Packer(output).pack(around.predict((), 2, False), 2).failed == {0}


@pytest.mark.parametrize("said", [{"round": 2}, {"clip": (0, 1)}, {"unit": "EUR"}])
def test_numbers_alone_are_rounded_clipped_and_measured(said: dict[str, Any]) -> None:
    assert "the model answers string: remove it" in why(TEXT, **said)
    assert "the model answers classes: remove it" in why(classifier(np.eye(2), 0, 1), **said)


def test_whole_numbers_are_not_rounded() -> None:
    assert "the model answers int64: remove it" in why(values([1], "int64"), round=2)
    assert "no int64 lies from 0.2 to 0.8" in why(values([1], "int64"), clip=(0.2, 0.8))


# ------------------------------------------------------------------ for people
def test_a_name_and_a_unit_are_told() -> None:
    (field,) = shape(values([1.0]), name="price", unit="EUR", round=2, clip=(0, None))[0].fields
    assert (field.name, field.unit, field.round, field.clip) == ("price", "EUR", 2, (0, None))
    assert "choose another name" in why(values([1.0]), name="confidence")


def test_one_name_is_not_for_several_outputs() -> None:
    fields = (OutputField(name="a"), OutputField(name="b"))
    model = Says(Output(fields=fields), Outputs((np.zeros(1), np.zeros(1))))
    for said in ({"name": "x"}, {"unit": "EUR"}, {"threshold": 0.5}, {"top_k": 1}, {"labels": ("x", "y")}):
        assert "one output, and this one has 2 (a, b)" in why(model, **said)
    assert [f.round for f in shape(model, round=1)[0].fields] == [1, 1]


# ------------------------------------------------------------------ in a host
def test_an_estimator_decides_otherwise_than_it_would(tmp_path: Path) -> None:
    rows, labels = load_breast_cancer(return_X_y=True)
    model = LogisticRegression(solver="newton-cholesky").fit(rows, labels)
    stated: NDArray[Any] = model.predict_proba(rows)[:, 1]
    with HostProcess(pickled(model, tmp_path, output=Shaping(threshold=0.9, labels=("bad", "good")))) as host:
        assert host.loaded().signature.output.fields[0].classes == ("bad", "good")
        indices, confidence = host.front().ask(rows)
    assert indices.tolist() == (stated >= 0.9).tolist()
    assert np.allclose(confidence, np.where(stated >= 0.9, stated, 1 - stated))


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"threshold": 0.5}, "between two classes, and the model has 3"),
        ({"labels": ("a", "b")}, "2 labels, and the model has 3 classes"),
        ({"top_k": 4}, "the model has 3 classes"),
        ({"clip": (0, 1)}, "the model answers classes"),
    ],
)
def test_a_contradiction_is_a_refusal_in_one_line(tmp_path: Path, said: dict[str, Any], complaint: str) -> None:
    model = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
    refused = refusal(pickled(model, tmp_path, output=Shaping(**said)))
    assert refused.code == "unsupported_artifact"
    assert complaint in refused.message


def test_a_classifier_without_probabilities_has_labels_and_no_threshold(tmp_path: Path) -> None:
    rows, labels = load_breast_cancer(return_X_y=True)
    model = LinearSVC(dual=False).fit(rows, labels)
    verdict = loaded(pickled(model, tmp_path, output=Shaping(labels=("bad", "good"))))
    assert verdict.signature.output.fields[0].classes == ("bad", "good")
    assert "states none" in refusal(pickled(model, tmp_path, output=Shaping(threshold=0.5))).message


def test_a_graph_that_ends_in_argmax_gets_names(tmp_path: Path) -> None:
    from onnx import helper

    node = helper.make_node("ArgMax", ["x"], ["y"], axis=1, keepdims=0)
    path = save(tmp_path / "model.onnx", [node], [("x", FLOAT, ["n", 3])], [("y", INT64, ["n"])])
    with HostProcess(artifact(path, output=Shaping(labels=FLOWERS))) as host:
        host.loaded()
        (indices,) = host.front().ask(np.eye(3, dtype=np.float32))
    assert [FLOWERS[i] for i in indices] == list(FLOWERS)


def test_golden_examples_are_those_of_the_shaped_answers(tmp_path: Path) -> None:
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 0.3333])
    (tmp_path / "examples.json").write_text(
        '[{"features": [2], "prediction": 0.6}, {"features": [1], "prediction": 0.3}]'
    )
    said = Shaping(round=1, clip=(0, 0.6))
    assert loaded(pickled(model, tmp_path, output=said, examples=str(tmp_path / "examples.json"))).examples == 2
