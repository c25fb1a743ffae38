"""What the examples are given to serve: a folder as the Dockerfile and the unit want it."""

import pickle
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from tests.acceptance.driver import penstock


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """penstock.yaml, models/ with one pinned pickle, and penstock.lock."""
    folder = tmp_path_factory.mktemp("site")
    version = folder / "models" / "iris" / "1"
    version.mkdir(parents=True)
    data = load_iris()
    model = LogisticRegression(max_iter=500).fit(data.data, data.target_names[data.target])
    (version / "model.pkl").write_bytes(pickle.dumps(model))
    (folder / "penstock.yaml").write_text("models:\n  iris: {path: models/iris}\n")
    assert penstock("lock", "models", cwd=folder).returncode == 0
    return folder
