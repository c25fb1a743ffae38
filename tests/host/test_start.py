"""From a file to a model that is ready: what is told on the way, and what stops it."""

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from penstock.host.runtimes.estimator import Estimator
from penstock.model.control import Artifact, Golden
from tests.host.driver import HostProcess, artifact, declared, loaded, pickled, refusal

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
IRIS = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, NAMES[Y])


def test_the_stages_are_told_and_the_digest_before_anything_is_run(tmp_path: Path) -> None:
    model = pickled(
        IRIS, tmp_path, examples=examples(tmp_path, {"features": [5.1, 3.5, 1.4, 0.2], "prediction": "setosa"})
    )
    digest = hashlib.sha256((tmp_path / "model.pkl").read_bytes()).hexdigest()
    with HostProcess(model) as host:
        verdict = host.loaded()
        assert host.stages == [("reading", None), ("loading", digest), ("warming", None), ("replaying", None)]
    assert (verdict.sha256, verdict.bytes, verdict.examples) == (digest, (tmp_path / "model.pkl").stat().st_size, 1)
    assert (verdict.runtime, verdict.device) == ("sklearn", "cpu")
    assert verdict.libraries["scikit-learn"] == sklearn.__version__
    assert verdict.trained_with == {"scikit-learn": sklearn.__version__}
    assert verdict.load_s > 0
    assert verdict.warmup_s > 0


def test_the_host_that_the_supervisor_starts_serves_and_ends(tmp_path: Path) -> None:
    """The others are forked from a process that has scikit-learn already; this one begins from nothing."""
    with HostProcess(pickled(IRIS, tmp_path), forked=False) as host:
        host.loaded()
        assert host.front().ask(X[:1])[0] == [0]
        host.stop()
        assert host.status() == 0


def test_the_digest_that_is_pinned_must_be_that_of_the_file(tmp_path: Path) -> None:
    model = pickled(IRIS, tmp_path, pinned="0" * 64)
    refused = refusal(model)
    assert refused.code == "changed_artifact"
    assert "has changed" in refused.message
    pinned = hashlib.sha256(Path(model.path).read_bytes()).hexdigest()
    assert loaded(pickled(IRIS, tmp_path, pinned=pinned)).sha256 == pinned


class Touches:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def test_a_pickle_that_nobody_vouched_for_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Touches(tmp_path / "trace")))
    refused = refusal(artifact(tmp_path / "model.pkl", trusted=False))
    assert refused.code == "untrusted_artifact"
    assert "penstock lock" in refused.message
    assert not (tmp_path / "trace").exists()


def test_another_version_of_scikit_learn_is_a_warning_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sklearn.base.__version__", "1.2.0")
    model = pickled(IRIS, tmp_path)
    monkeypatch.undo()
    verdict = loaded(model)
    assert verdict.trained_with == {"scikit-learn": "1.2.0"}
    (warning,) = verdict.warnings
    assert "1.2.0" in warning
    assert sklearn.__version__ in warning


def test_warnings_while_loading_are_told_once(tmp_path: Path) -> None:
    (tmp_path / "wells.py").write_text(
        "import warnings\nclass Model:\n    n_features_in_ = 1\n"
        "    def __setstate__(self, state):\n        for _ in range(3): warnings.warn('the well\\nis low')\n"
        "    predict = lambda self, rows: rows[:, 0]\n"
    )
    (tmp_path / "model.pkl").write_bytes(b"cwells\nModel\n)\x81}b.")
    assert loaded(artifact(tmp_path / "model.pkl", code=(str(tmp_path / "wells.py"),))).warnings == ("the well is low",)


# ------------------------------------------------------------------ warming up
def test_a_model_that_rejects_zeros_is_warmed_up_with_other_rows(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(np.log), LinearRegression()).fit(X, Y)
    assert loaded(pickled(model, tmp_path)).signature.output.fields[0].dtype == "float64"


REJECTS = """
class Model:
    n_features_in_ = 2
    def predict(self, rows):
        if (rows != 7).any(): raise ValueError('only sevens')
        return rows.sum(axis=1)
"""


def rejecting(folder: Path, **said: Any) -> Any:
    (folder / "sevens.py").write_text(REJECTS)
    (folder / "model.pkl").write_bytes(b"csevens\nModel\n)\x81.")
    return artifact(folder / "model.pkl", code=(str(folder / "sevens.py"),), **said)


def test_a_model_that_answers_no_row_is_refused_with_what_it_said(tmp_path: Path) -> None:
    refused = refusal(rejecting(tmp_path))
    assert refused.code == "failed_start"
    assert "ValueError: only sevens" in refused.message
    assert "examples.json" in refused.message


def test_a_model_that_answers_its_examples_alone_is_served(tmp_path: Path) -> None:
    golden = examples(tmp_path, {"features": [7, 7], "prediction": 14})
    assert loaded(rejecting(tmp_path, examples=golden)).examples == 1


def test_a_model_that_answers_only_rows_like_those_it_was_trained_on_is_served(tmp_path: Path) -> None:
    field = {"count": 1, "missing": 0}
    fields = [field | {"name": "f0"}, field | {"name": "f1"}]
    (tmp_path / "reference.json").write_text(json.dumps({"rows": 1, "fields": fields, "sample": [[7, 7]]}))
    loaded(rejecting(tmp_path, reference=str(tmp_path / "reference.json")))


# ------------------------------------------------------------------ golden examples
def examples(folder: Path, *listed: dict[str, Any]) -> str:
    (folder / "examples.json").write_text(json.dumps(listed))
    return str(folder / "examples.json")


SETOSA = {"features": [5.1, 3.5, 1.4, 0.2], "prediction": "setosa"}


@pytest.mark.parametrize(
    "example",
    [
        SETOSA,
        {"features": {"f0": 5.1, "f1": 3.5, "f2": 1.4, "f3": 0.2}, "prediction": "setosa"},
        SETOSA | {"confidence": float(IRIS.predict_proba([SETOSA["features"]]).max())},
        SETOSA | {"confidence": 0.9, "tolerance": 0.2},
    ],
)
def test_examples_that_hold_are_counted(example: dict[str, Any], tmp_path: Path) -> None:
    assert loaded(pickled(IRIS, tmp_path, examples=examples(tmp_path, SETOSA, example))).examples == 2


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (SETOSA | {"prediction": "virginica"}, 'expected "virginica", got "setosa"'),
        (SETOSA | {"confidence": 0.5}, "expected confidence 0.5, got 0.98"),
        (SETOSA | {"features": [1.0]}, "it has 1 features where the model takes 4"),
        (SETOSA | {"features": {"f9": 1.0}}, "unknown ['f9']"),
        (SETOSA | {"features": [1.0, 2.0, 3.0, "x"]}, "could not be answered"),
        (SETOSA | {"typo": 1}, "no list of examples"),
    ],
)
def test_an_example_that_fails_is_named_with_both_answers(example: dict[str, Any], said: str, tmp_path: Path) -> None:
    refused = refusal(pickled(IRIS, tmp_path, examples=examples(tmp_path, SETOSA, example)))
    assert refused.code == "failed_example"
    assert said in refused.message
    assert "example 2" in refused.message or "no list" in refused.message


def test_what_it_makes_of_anothers_examples_is_told_and_no_reason_to_refuse_it(tmp_path: Path) -> None:
    file = examples(tmp_path, SETOSA, SETOSA | {"prediction": "virginica"}, SETOSA | {"features": [1.0]})
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    told = loaded(pickled(IRIS, tmp_path, others=Golden(file, digest))).comparison
    assert told is not None
    assert (told.examples, told.differing, told.unanswered) == (3, 1, 1)
    assert told.us > 0
    assert loaded(pickled(IRIS, tmp_path, others=Golden(file, "0" * 64))).comparison is None, "they are others now"
    assert loaded(pickled(IRIS, tmp_path)).comparison is None


def test_an_example_of_several_outputs_is_a_list(tmp_path: Path) -> None:
    model = LinearRegression().fit(X, np.column_stack([X[:, 0], X[:, 1] * 2]))
    right = examples(tmp_path, {"features": [5.0, 3.0, 1.0, 0.2], "prediction": [5.0, 6.0]})
    assert loaded(pickled(model, tmp_path, examples=right)).examples == 1
    wrong = examples(tmp_path, {"features": [5.0, 3.0, 1.0, 0.2], "prediction": [5.0, 7.0]})
    assert refusal(pickled(model, tmp_path, examples=wrong)).code == "failed_example"


def test_a_model_of_one_declared_image_is_served(tmp_path: Path) -> None:
    (tmp_path / "images.py").write_text("class Model:\n    def predict(self, x): return x.sum(axis=(1, 2, 3))\n")
    (tmp_path / "model.pkl").write_bytes(b"cimages\nModel\n)\x81.")
    model = artifact(
        tmp_path / "model.pkl", code=(str(tmp_path / "images.py"),), inputs=declared("input", shape=(3, 4, 5))
    )
    with HostProcess(model) as host:
        host.loaded()
        assert host.front().ask(np.ones((2, 3, 4, 5)))[0].tolist() == [60.0, 60.0]


def test_threads_that_an_estimator_asks_for_are_those_it_is_given() -> None:
    """A forest that was trained on all processors would start a thread for each, for every single row."""
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5, n_jobs=-1)).fit(X, Y)
    Estimator(model, Artifact(path="model.pkl", format="pickle", root=".", threads=2))
    assert model[-1].n_jobs == 2
