"""The models that the acceptance tests serve, trained once."""

import importlib
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.acceptance.driver import Service, serving

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


Made = tuple[Path, list[str | Path], Path]


@pytest.fixture
def behaving(tmp_path: Path) -> Callable[[], Made]:
    """Makes the model of behaving.py: its file, the arguments that serve it, and the record it keeps."""
    return lambda: made(tmp_path)


def made(folder: Path) -> Made:
    """The model of behaving.py in `folder`."""
    path, record = folder / "behaving.pkl", folder / "record"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        module = importlib.import_module("behaving")
        path.write_bytes(pickle.dumps(module.Behaving(record)))
        del sys.modules["behaving"]
    return path, [path, "--code-path", HERE / "behaving.py", "--compile", "off"], record


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path]]:
    """A service of that model, which says hello when it is loaded, and its record; for tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("talkative")
    path, (_, option, code, *off), record = made(folder)
    loud = folder / "behaving.py"
    loud.write_text("print('hello from the model')\n" + Path(code).read_text())
    with serving(path, option, loud, *off, cwd=folder) as service:
        yield service, record
