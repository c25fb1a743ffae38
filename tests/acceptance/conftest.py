"""The models that the acceptance tests serve, trained once."""

import importlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline on the iris data, with flowers' names for classes."""
    data = load_iris()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(data.data, data.target_names[data.target])
    path = tmp_path_factory.mktemp("models") / "iris.pkl"
    path.write_bytes(pickle.dumps(model))
    return path


@pytest.fixture(scope="session")
def iris_onnx(iris: Path) -> Path:
    """The same as an ONNX graph, which starts in a third of the time."""
    from skl2onnx import to_onnx

    model = pickle.loads(iris.read_bytes())
    path = iris.with_suffix(".onnx")
    path.write_bytes(to_onnx(model, load_iris().data[:1], options={"zipmap": False}).SerializeToString())
    return path


@pytest.fixture
def behaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[Path, list[str | Path], Path]]:
    """Makes the model of behaving.py: its file, the arguments that serve it, and the record it keeps."""
    monkeypatch.syspath_prepend(str(HERE))

    def make() -> tuple[Path, list[str | Path], Path]:
        module = importlib.import_module("behaving")
        path, record = tmp_path / "behaving.pkl", tmp_path / "record"
        path.write_bytes(pickle.dumps(module.Behaving(record)))
        del sys.modules["behaving"]
        return path, [path, "--code-path", HERE / "behaving.py", "--compile", "off"], record

    return make
