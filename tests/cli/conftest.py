"""What these tests share: an empty directory to work in, an environment without settings, a small model."""

import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)
    hook = sys.excepthook
    yield tmp_path
    sys.excepthook = hook


@pytest.fixture(scope="session")
def iris() -> bytes:
    """A pipeline on the iris data, pickled."""
    data = load_iris()
    return pickle.dumps(make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data, data.target))
