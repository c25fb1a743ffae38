"""Every artifact that cannot be served is refused in one sentence that says what to do."""

import errno
import io
import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penstock.errors import MissingDependency, UnreadableArtifact
from penstock.host import runtimes
from penstock.host.refusals import explain
from penstock.host.source import Source
from tests.host.driver import Died, HostProcess, artifact, declared, pickled, refusal

THROW = "(_ for _ in ()).throw(KeyboardInterrupt)"
RECURSE = "(lambda f: f(f))(lambda f: f(f))"
GOOD = pickle.dumps(LogisticRegression().fit([[0.0], [1.0]], [0, 1]))


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("schema.json", "{}")
    return content.getvalue()


def calls(module: str, name: str, argument: str = "") -> bytes:
    """A pickle that calls a function of one text, or of nothing."""
    return f"c{module}\n{name}\n".encode() + (f"(S{argument!r}\ntR." if argument else "(tR.").encode()


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("model.pkl", b"", "unreadable_artifact", "is empty"),
        ("model.pkl", b"version https://git-lfs.github.com/spec/v1\noid", "unreadable_artifact", "git lfs pull"),
        ("model.pkl", GOOD[:-20], "unreadable_artifact", "damaged or cut short"),
        ("model.pkl", b"hello", "unreadable_artifact", "damaged or cut short"),
        ("model.pkl", archive(), "unreadable_artifact", "a zip archive, as skops"),
        ("model.pkl", b"\x89HDF\r\n\x1a\n", "unreadable_artifact", "export the model to ONNX"),
        ("model.pkl", b"<!DOCTYPE html>", "unreadable_artifact", "a web page"),
        ("model.skops", GOOD, "unreadable_artifact", "cannot be read as skops"),
        ("model.onnx", GOOD, "unreadable_artifact", "no well-formed ONNX model"),
        ("model.onnx", b"\0" * 100, "unreadable_artifact", "no well-formed ONNX model"),
        ("model.pkl", pickle.dumps({"a": 1}), "unsupported_artifact", "no model but a dict"),
        ("model.pkl", pickle.dumps(np.zeros(3)), "unsupported_artifact", "an array of numbers"),
        ("model.pkl", pickle.dumps(StandardScaler()), "unsupported_artifact", "save the pipeline that ends"),
        ("model.pkl", pickle.dumps(LogisticRegression), "unsupported_artifact", "save a fitted instance"),
        ("model.pkl", b"ccatboost\nCatBoostClassifier\n.", "missing_dependency", "pip install catboost"),
        ("model.pkl", b"cimblearn.pipeline\nPipeline\n.", "missing_dependency", "pip install imbalanced-learn"),
        ("model.pkl", b"cfeatures\nRatio\n.", "missing_dependency", "--code-path features.py"),
        ("model.pkl", b"c__main__\nRatio\n.", "missing_dependency", "Ratio from its training script"),
        ("model.pkl", b"csklearn.linear_model.gone\nOld\n.", "missing_dependency", "version of sklearn"),
        ("model.pkl", b"csklearn.linear_model\nGone\n.", "missing_dependency", "version of sklearn"),
        ("model.pkl", calls("sys", "exit"), "failed_start", "do not trust this file"),
        ("model.pkl", calls("builtins", "eval", THROW), "failed_start", "do not trust"),
        ("model.pkl", calls("builtins", "eval", RECURSE), "unreadable_artifact", "too deeply"),
        ("model.pkl", calls("builtins", "eval", "1 / 0"), "unreadable_artifact", "ZeroDivisionError"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_with_its_remedy(
    name: str, content: bytes, code: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    refused = refusal(artifact(tmp_path / name))
    assert (refused.code, said in refused.message) == (code, True), refused


def test_a_dict_that_holds_the_model_is_told_where_it_is(tmp_path: Path) -> None:
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    assert "'model' is the model" in refusal(pickled({"model": model, "version": 3}, tmp_path)).message


SCALED = StandardScaler().fit([[0.0], [1.0]])


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(SCALED, LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [1.0]}),
    ],
    ids=["an estimator", "a pipeline", "the end of a pipeline", "a search"],
)
@pytest.mark.parametrize("inputs", [(), declared("x")], ids=["inferred", "declared"])
def test_what_was_never_fitted_is_to_be_fitted_before_it_is_saved(model: Any, inputs: Any, tmp_path: Path) -> None:
    refused = refusal(pickled(model, tmp_path, inputs=inputs))
    assert refused.code == "unsupported_artifact"
    assert refused.message.startswith("the model was saved before it was fitted (NotFittedError: This ")
    assert refused.message.endswith(": call its `fit` with the training data, and save it then")


def test_a_fitted_estimator_that_does_not_know_its_input_is_not_taken_for_an_unfitted_one(tmp_path: Path) -> None:
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    del model.n_features_in_, model.coef_, model.intercept_
    assert "does not say what it takes" in refusal(pickled(model, tmp_path)).message


def test_a_model_of_ones_own_that_does_not_show_what_it_learnt_is_not_taken_for_an_unfitted_one(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from sklearn.base import BaseEstimator\n"
        "class Sum(BaseEstimator):\n"
        "    def fit(self, rows, labels): return self\n"
        "    def predict(self, rows): return rows.sum(axis=1)\n"
    )
    (tmp_path / "model.pkl").write_bytes(b"cown\nSum\n)\x81.")
    code = (str(tmp_path / "own.py"),)
    assert "does not say what it takes" in refusal(artifact(tmp_path / "model.pkl", code=code)).message


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    """Reading a pipe or a device could wait for ever."""
    os.mkfifo(tmp_path / "pipe.pkl")
    (tmp_path / "folder.pkl").mkdir()
    for name in ("pipe.pkl", "folder.pkl"):
        assert "not a regular file" in refusal(artifact(tmp_path / name)).message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(artifact(tmp_path / "model.pkl")).message


def test_a_pickle_that_needs_more_memory_than_there_is_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"cbuiltins\nbytearray\n(I" + str(2**60).encode() + b"\ntR.")
    refused = refusal(artifact(tmp_path / "model.pkl"))
    assert refused.code == "failed_start"
    assert "memory" in refused.message


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libblas.so: failed to map segment from shared object"),
        ImportError("_sfc64.so: cannot map zero-fill pages"),
        UnreadableArtifact("model.onnx is no well-formed ONNX model (std::bad_alloc): the file may be damaged"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        RuntimeError("can't start new thread"),
    ],
)
def test_a_lack_of_memory_is_told_from_what_it_looks_like_where_there_is_a_limit(error: Exception) -> None:
    limited = explain(error, artifact(Path("model.onnx"), memory=2**20))
    assert "`memory` allows its process 1 MiB" in str(limited)
    assert "`memory`" not in str(explain(error, artifact(Path("model.onnx"))))


def test_a_pickle_that_ends_the_process_takes_only_its_host_along(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"cos\n_exit\n(I3\ntR.")
    with HostProcess(artifact(tmp_path / "model.pkl")) as host, pytest.raises(Died):
        host.verdict()


def test_a_device_that_a_runtime_has_no_use_for_is_refused(tmp_path: Path) -> None:
    refused = refusal(pickled(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path, device="cuda"))
    assert refused.code == "unavailable_device"
    assert "device: cpu" in refused.message


def test_a_model_that_does_not_say_what_it_takes_is_told_both_ways_to_say_it(tmp_path: Path) -> None:
    (tmp_path / "mute.py").write_text("class Model:\n    def predict(self, rows): return rows[:, 0]\n")
    (tmp_path / "model.pkl").write_bytes(b"cmute\nModel\n)\x81.")
    refused = refusal(artifact(tmp_path / "model.pkl", code=(str(tmp_path / "mute.py"),)))
    assert refused.code == "unsupported_artifact"
    assert "--inputs 4" in refused.message
    assert "`inputs:" in refused.message


@pytest.mark.parametrize(
    ("kind", "package", "wanted"),
    [
        ("onnx", "onnxruntime", "onnx onnxruntime"),
        ("pickle", "joblib", "scikit-learn joblib pandas"),
        ("skops", "skops", "scikit-learn skops pandas"),
        ("torchscript", "torch", "torch"),
    ],
)
def test_a_runtime_that_is_not_installed_is_named_with_what_to_install(
    kind: Any, package: str, wanted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on a machine where penstock was installed without that extra; the name on PyPI is none to rely on."""
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith("penstock.host.runtimes.")]:
        monkeypatch.delitem(sys.modules, name)
    served = artifact(tmp_path / "model.onnx", format=kind)
    with pytest.raises(ImportError) as caught:
        runtimes.load(Source(tmp_path / "model.onnx", b"?", ""), served)
    refused = explain(caught.value, served)
    assert isinstance(refused, MissingDependency)
    assert str(refused) == f"the model needs {package}: pip install {wanted}"


def test_a_library_that_cannot_use_the_model_is_told_of_in_one_sentence_alone(tmp_path: Path) -> None:
    broken = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    broken.coef_ = np.zeros((1, 2))
    with HostProcess(pickled(broken, tmp_path)) as host:
        assert "answers none of the rows" in host.refused().message
        assert "Traceback" not in host.words()
