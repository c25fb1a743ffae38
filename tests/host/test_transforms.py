"""Transforms in front of a model: the answers are those of the whole chain, for every format, and misfits are named."""

import hashlib
import importlib
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from penstock.model.control import Artifact, Transform
from penstock.model.shaping import Shaping
from tests.host.driver import HostProcess, artifact, loaded, pickled, refusal
from tests.host.nets import FLOAT, linear, save

X, Y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=500).fit(X, Y)


def saved(folder: Path, *fitted: Any) -> dict[str, Any]:
    """Transforms in files of their own, pinned, as an artifact names them."""
    found = []
    for number, each in enumerate(fitted):
        path = folder / f"t{number}.pkl"
        joblib.dump(each, path)
        found.append(Transform(str(path), "pickle"))
    pins = {each.path: hashlib.sha256(Path(each.path).read_bytes()).hexdigest() for each in found}
    return {"transforms": tuple(found), "beside": pins}


def answers(of: Artifact, *tensors: Any) -> Any:
    with HostProcess(of) as host:
        host.loaded()
        return host.front().ask(*tensors)[0]


def test_an_estimator_and_its_transforms_are_one_chain(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(X)
    pca = PCA(2).fit(scaler.transform(X))
    chain = pca.transform(scaler.transform(X))
    model = LogisticRegression().fit(chain, Y)
    of = pickled(model, tmp_path, **saved(tmp_path, scaler, pca))
    with HostProcess(of) as host:
        verdict = host.loaded()
        indices, confidence = host.front().ask(X)
    assert [field.name for field in verdict.signature.inputs] == ["f0", "f1", "f2", "f3"], "those of the scaler"
    assert verdict.transforms == ("t0.pkl", "t1.pkl")
    assert verdict.beside == of.beside
    assert verdict.chain == tuple(of.beside.values())
    assert indices.tolist() == model.predict(chain).tolist()
    assert np.allclose(confidence, model.predict_proba(chain).max(axis=1), atol=1e-12)


def test_names_and_types_are_those_of_the_first_transform(tmp_path: Path) -> None:
    table = pd.DataFrame({"age": [23.0, 35.0, 48.0, 61.0], "colour": ["red", "green", "red", "green"]})
    columns = make_column_transformer((StandardScaler(), ["age"]), (OneHotEncoder(), ["colour"])).fit(table)
    model = LinearRegression().fit(columns.transform(table), [1.0, 2.0, 3.0, 4.0])
    of = pickled(model, tmp_path, **saved(tmp_path, columns))
    with HostProcess(of) as host:
        inputs = host.loaded().signature.inputs
        values = host.front().ask(np.array([48.0]), ["red"])[0]
    assert [(field.name, field.dtype) for field in inputs] == [("age", "float64"), ("colour", "string")]
    assert values == pytest.approx([3.0], abs=0.6)


def test_text_is_a_row_too(tmp_path: Path) -> None:
    words = TfidfVectorizer().fit(["good film", "bad film"])
    model = LogisticRegression().fit(words.transform(["good film", "bad film"]), [1, 0])
    assert answers(pickled(model, tmp_path, **saved(tmp_path, words)), ["good", "bad"]).tolist() == [1, 0]


def test_a_model_that_is_no_estimator_has_transforms_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "doubling.py").write_text(
        "class Doubling:\n    def predict(self, rows):\n        return rows[:, 0] * 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    logarithm, code = FunctionTransformer(np.log1p).fit(X), (str(tmp_path / "doubling.py"),)
    of = pickled(importlib.import_module("doubling").Doubling(), tmp_path, code=code, **saved(tmp_path, logarithm))
    del sys.modules["doubling"]
    assert np.allclose(answers(of, X), np.log1p(X[:, 0]) * 2)


def test_a_graph_gets_what_its_transforms_make(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(X)
    pca = PCA(3).fit(scaler.transform(X))
    of = artifact(linear(tmp_path / "model.onnx"), **saved(tmp_path, scaler, pca))
    with HostProcess(of) as host:
        verdict = host.loaded()
        values = host.front().ask(X)[0]
    assert (len(verdict.signature.inputs), verdict.signature.inputs[0].dtype) == (4, "float64")
    assert np.allclose(values, pca.transform(scaler.transform(X)) @ [1, 2, 3], atol=1e-4)
    assert verdict.beside == of.beside


def test_a_graph_of_open_width_takes_what_comes(tmp_path: Path) -> None:
    chain = make_pipeline(StandardScaler(), PCA(3)).fit(X)
    of = artifact(linear(tmp_path / "model.onnx", columns="k"), **saved(tmp_path, chain))
    assert np.allclose(answers(of, X), chain.transform(X) @ [1, 2, 3], atol=1e-4)


@pytest.mark.needs("torch")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:.*torch.jit:FutureWarning")
def test_a_program_gets_what_its_transforms_make_and_needs_no_declared_inputs(tmp_path: Path) -> None:
    from tests.host.test_torchscript import program

    chain = StandardScaler().fit(X)
    of = artifact(program(tmp_path, "net"), **saved(tmp_path, chain))
    assert np.allclose(answers(of, X), chain.transform(X).sum(axis=1) * 2, atol=1e-4)


def test_answers_behind_transforms_are_shaped_too(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(X)
    model = LogisticRegression().fit(scaler.transform(X), Y)
    said = Shaping(labels=("setosa", "versicolor", "virginica"), top_k=2)
    verdict = loaded(pickled(model, tmp_path, output=said, **saved(tmp_path, scaler)))
    assert verdict.signature.output.fields[0].classes == ("setosa", "versicolor", "virginica")


# ------------------------------------------------------------------ what cannot be
def test_widths_that_do_not_fit_are_both_named(tmp_path: Path) -> None:
    pca = PCA(2).fit(X)
    said = refusal(pickled(MODEL, tmp_path, **saved(tmp_path, pca))).message
    assert "t0.pkl gives 2 columns, and" in said
    assert "model.pkl, which follows it, takes 4" in said
    graph = refusal(artifact(linear(tmp_path / "model.onnx"), **saved(tmp_path, pca))).message
    assert "t0.pkl gives 2 columns, and" in graph
    assert "model.onnx, which follows it, takes 3" in graph


def test_a_width_that_no_part_tells_is_found_in_the_rehearsal(tmp_path: Path) -> None:
    widening = FunctionTransformer(np.tile, kw_args={"reps": (1, 2)}).fit(X)
    said = refusal(pickled(MODEL, tmp_path, **saved(tmp_path, widening))).message
    assert "8 features" in said
    assert "4 features" in said


@pytest.mark.parametrize(("held", "what"), [(MODEL, "LogisticRegression"), ([1, 2], "builtins.list")])
def test_what_does_not_transform_is_named(held: Any, what: str, tmp_path: Path) -> None:
    refused = refusal(pickled(MODEL, tmp_path, **saved(tmp_path, held)))
    assert refused.code == "unsupported_artifact"
    assert what in refused.message
    assert "t0.pkl is named as a transform" in refused.message


def test_a_model_that_does_not_predict_is_told_of_as_itself(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(X)
    said = refusal(pickled(scaler, tmp_path, **saved(tmp_path, scaler))).message
    assert "model.pkl holds no model but a sklearn.preprocessing" in said


def test_a_transform_that_nobody_vouched_for_is_not_loaded(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    of = pickled(MODEL, tmp_path, **saved(tmp_path, Marking(mark)))
    refused = refusal(artifact(Path(of.path), transforms=of.transforms))
    assert (refused.code, mark.exists()) == ("untrusted_artifact", False)
    assert "penstock lock" in refused.message


class Marking:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("model", ["model.pkl", "model.onnx"])
def test_a_transform_that_is_not_the_pinned_one_is_not_loaded(tmp_path: Path, model: str) -> None:
    said = saved(tmp_path, PCA(3).fit(X))
    joblib.dump(PCA(3, whiten=True).fit(X), tmp_path / "t0.pkl")
    if model == "model.onnx":
        of = artifact(linear(tmp_path / model), **said)
    else:
        of = pickled(LogisticRegression(max_iter=500).fit(X[:, :3], Y), tmp_path, **said)
    refused = refusal(of)
    assert refused.code == "changed_artifact"
    assert "t0.pkl has changed" in refused.message


def test_skops_files_transform_with_the_types_that_are_trusted(tmp_path: Path) -> None:
    from skops import io

    scaler = StandardScaler().fit(X)
    io.dump(scaler, tmp_path / "scaler.skops")
    model = LinearRegression().fit(scaler.transform(X), Y)
    of = pickled(model, tmp_path, transforms=(Transform(str(tmp_path / "scaler.skops"), "skops"),))
    with HostProcess(of) as host:
        assert list(host.loaded().beside) == [str(tmp_path / "scaler.skops")], "pinned by the first load"
        assert np.allclose(host.front().ask(X)[0], model.predict(scaler.transform(X)))


def test_several_tables_are_none(tmp_path: Path) -> None:
    from onnx import helper

    node = helper.make_node("Add", ["a", "b"], ["y"])
    ports = [("a", FLOAT, ["n", 4]), ("b", FLOAT, ["n", 4])]
    path = save(tmp_path / "model.onnx", [node], ports, [("y", FLOAT, ["n", 4])])
    said = refusal(artifact(path, **saved(tmp_path, StandardScaler().fit(X)))).message
    assert "more than one table of numbers" in said
