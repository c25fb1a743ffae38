"""The compiler certifies what is equal, says why not of what is not, and never asks a model for nothing."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from penstock.compile import certify as module
from penstock.compile.certify import certify
from penstock.compile.conversion import Form, forms
from penstock.host.cache import Entry
from penstock.host.probes import WIDEST
from penstock.host.runtimes.compiled import Compiled
from penstock.model.control import Artifact
from tests.host.driver import pickled

IRIS = load_iris()


def linear() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def certified(model: Any, folder: Path, **said: Any) -> Entry:
    return certify(pickled(model, folder, compile="auto", **said))


def run(entry: Entry, *tensors: Any) -> Sequence[Any]:
    """What the compiled form answers: labels, confidence, probabilities or values."""
    compiled = Compiled(entry.graph, entry.signature, Artifact(path="", format="pickle", root=""), {})
    outputs = compiled.predict(tensors, len(tensors[0]), True)
    return [*outputs.values, outputs.confidence, outputs.probabilities]


@pytest.mark.parametrize("names", [IRIS.target_names, np.arange(3), np.array([10, 20, 30])])
def test_a_pipeline_is_compiled_in_double_precision(tmp_path: Path, names: Any) -> None:
    model = linear().fit(IRIS.data, names[IRIS.target])
    entry = certified(model, tmp_path)
    certificate = entry.certificate
    assert (certificate.verdict, certificate.form, certificate.reason) == ("compiled", "ONNX in float64", None)
    assert certificate.rows > 1000
    assert certificate.largest_difference is not None
    assert certificate.largest_difference < 1e-12
    assert certificate.compiled_us is not None
    assert certificate.original_us is not None
    assert certificate.compiled_us < certificate.original_us
    labels, _, probabilities = run(entry, IRIS.data)
    assert np.array_equal(model.classes_[np.asarray(labels)], model.predict(IRIS.data))
    assert np.allclose(probabilities, model.predict_proba(IRIS.data), rtol=1e-12)


def test_a_regressor_and_columns_of_several_types(tmp_path: Path) -> None:
    data = load_diabetes()
    entry = certified(Ridge().fit(data.data, data.target), tmp_path)
    assert entry.certificate.verdict == "compiled", entry.certificate.reason

    frame = pd.DataFrame({"sex of owner": ["f", "m", "x"] * 40, "age": np.arange(120.0)})
    table = ColumnTransformer(
        [("t", OneHotEncoder(handle_unknown="ignore"), ["sex of owner"]), ("n", StandardScaler(), ["age"])]
    )
    model = make_pipeline(table, LogisticRegression()).fit(frame, np.arange(120) > 50)
    entry = certified(model, tmp_path)
    assert entry.certificate.verdict == "compiled", entry.certificate.reason
    labels, _, _ = run(entry, frame["sex of owner"].tolist(), frame["age"].to_numpy())
    assert np.array_equal(np.asarray(labels, bool), model.predict(frame))


TEXTS = ["a good film", "a bad film", "good, good!", "awful and bad"] * 5


def test_text_is_compiled_where_words_are_split_alike(tmp_path: Path) -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0, 1, 0] * 5)
    entry = certified(model, tmp_path)
    assert entry.certificate.verdict == "compiled", entry.certificate.reason
    asked = ["résumé awful", "a GOOD film", "good\u00a0bad", "bad—good", "", "awful\nfilm"]
    _, _, probabilities = run(entry, asked)
    assert np.allclose(probabilities, model.predict_proba(asked), rtol=1e-12)


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [(r"\S+", TEXTS), (r"(?u)\b\w\w+\b", ["ein schönes über", "ärger und grauen", "schön", "grauen"] * 5)],
)
def test_text_is_not_compiled_where_they_are_not(pattern: str, texts: list[str], tmp_path: Path) -> None:
    """Blanks beyond ASCII part words for Python alone, and capitals beyond it are lowered by Python alone."""
    model = make_pipeline(TfidfVectorizer(token_pattern=pattern), LogisticRegression()).fit(texts, [1, 0, 1, 0] * 5)
    certificate = certified(model, tmp_path).certificate
    assert certificate.verdict == "original"
    assert "differs on a probe row" in (certificate.reason or "")


@pytest.mark.parametrize("threshold", [0.3, 0.45])
def test_a_threshold_of_its_own_is_no_largest_probability(threshold: float, tmp_path: Path) -> None:
    model = FixedThresholdClassifier(linear(), threshold=threshold).fit(IRIS.data, IRIS.target > 1)
    certificate = certified(model, tmp_path).certificate
    assert (certificate.verdict, certificate.reason) == ("original", "not converted: a threshold of its own")


class Guarded(Pipeline):  # type: ignore[misc]  # scikit-learn has no types
    """A pipeline with a rule of its own."""

    def predict(self, rows: Any) -> Any:
        return np.where(np.asarray(rows)[:, 0] == 5.05, 0, super().predict(rows))


def test_a_class_of_ones_own_is_not_taken_for_what_it_builds_on(tmp_path: Path) -> None:
    model = Guarded(linear().steps).fit(IRIS.data, IRIS.target)
    certificate = certified(model, tmp_path).certificate
    assert certificate.verdict == "original"
    assert (certificate.reason or "").endswith("Guarded is code of its own")


def test_a_conversion_that_is_wrong_is_told_with_the_row(tmp_path: Path) -> None:
    """Neighbours at the same distance are taken in another order by the runtime."""
    entry = certified(KNeighborsClassifier().fit(IRIS.data, IRIS.target), tmp_path)
    assert entry.certificate.verdict == "original"
    assert entry.graph == b""
    assert re.search(r"differs on .*: \d by the original, \d compiled", entry.certificate.reason or "")
    assert (entry.certificate.differing_row or "").startswith("[")


class Own:
    """Nothing that a converter knows."""

    n_features_in_ = 2
    asked = 0

    def predict(self, rows: Any) -> Any:
        Own.asked += len(rows)
        return np.asarray(rows)[:, 0]


def test_a_model_that_cannot_be_converted_is_not_asked_for_probe_rows(tmp_path: Path) -> None:
    Own.asked = 0
    entry = certified(Own(), tmp_path)
    assert entry.certificate.verdict == "original"
    assert "Own" in (entry.certificate.reason or "")
    assert Own.asked < 500  # the warm-up


def test_a_model_too_wide_to_be_compared_is_served_as_it_was_trained(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((8, WIDEST + 1))
    certificate = certified(Ridge().fit(rows, range(8)), tmp_path).certificate
    assert (certificate.verdict, certificate.rows) == ("original", 0)
    assert "more inputs than can be compared" in (certificate.reason or "")


def test_the_first_form_that_passes_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One raises, one is the graph of another model, one is right."""
    model, other = linear().fit(IRIS.data, IRIS.target), linear().fit(IRIS.data[::-1], (IRIS.target[::-1] + 1) % 3)

    def made(estimator: Any, signature: Any) -> list[Form]:
        def broken() -> bytes:
            raise RuntimeError("no converter")

        right = next(iter(forms(estimator, signature)))
        wrong = next(iter(forms(other, signature)))
        return [Form("broken", broken), Form("wrong", wrong.graph), Form("right", right.graph)]

    monkeypatch.setattr(module, "forms", made)
    assert certified(model, tmp_path).certificate.form == "right"
    monkeypatch.setattr(module, "forms", lambda estimator, signature: made(estimator, signature)[:2])
    reason = certified(model, tmp_path).certificate.reason or ""
    assert reason.startswith("broken: RuntimeError: no converter; wrong: prediction differs on a ")


def test_golden_examples_are_replayed_compiled(tmp_path: Path) -> None:
    model = linear().fit(IRIS.data, IRIS.target)
    row = IRIS.data[0].tolist()
    confidence = float(model.predict_proba([row]).max())
    examples = [{"features": row, "prediction": 0, "confidence": confidence, "tolerance": 1e-12}]
    (tmp_path / "examples.json").write_text(json.dumps(examples))
    entry = certified(model, tmp_path, examples=str(tmp_path / "examples.json"))
    assert entry.certificate.verdict == "compiled"


def test_what_is_equal_and_no_faster_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Trial, "_microseconds", lambda self, model, found, rows: 7.0)
    reason = certified(linear().fit(IRIS.data, IRIS.target), tmp_path).certificate.reason or ""
    assert "equal, but no faster: 7 µs a row, and the original 7 µs" in reason


def test_a_support_vector_machine_states_no_probabilities_compiled_either(tmp_path: Path) -> None:
    """Its graph has scores where others have probabilities."""
    model = SVC().fit(IRIS.data, IRIS.target)
    entry = certified(model, tmp_path)
    assert entry.certificate.verdict == "compiled", entry.certificate.reason
    labels, confidence, probabilities = run(entry, IRIS.data)
    assert np.array_equal(labels, model.predict(IRIS.data))
    assert (confidence, probabilities) == (None, None)


def test_the_two_are_compared_on_rows_of_the_training_data(tmp_path: Path) -> None:
    """Here they differ nowhere else: a label that only the reference's row brings about."""
    reference = tmp_path / "reference.json"
    fields = [{"name": f"f{i}", "count": 1, "missing": 0} for i in range(4)]
    row = [4321.5, 1234.5, 3.25, 7.75]
    reference.write_text(json.dumps({"rows": 1, "fields": fields, "sample": [row]}))
    compiled = Compiled.predict

    def wrong_there(self: Compiled, tensors: Sequence[Any], rows: int, probabilities: bool) -> Any:
        answers = compiled(self, tensors, rows, probabilities)
        there = (np.asarray(tensors[0]) == row).all(axis=1)
        labels = np.asarray(answers.values[0])
        return answers._replace(values=[np.where(there, (labels + 1) % 3, labels)])

    model = linear().fit(IRIS.data, IRIS.target)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compiled, "predict", wrong_there)
        assert certified(model, tmp_path).certificate.verdict == "compiled"
        certificate = certified(model, tmp_path, reference=str(reference)).certificate
    assert certificate.verdict == "original"
    assert "prediction differs on a row of the training data: " in (certificate.reason or "")
    assert certificate.differing_row == str(row)
