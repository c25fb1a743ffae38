"""The models that are measured, and the rows that are sent to them."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROWS = 4000
CLOSE_ENOUGH = 1e-4  # ONNX computes in float32
EVEN = 0.505  # trees that split evenly leave the label to rounding, which differs between the formats


class Subject(NamedTuple):
    """A model in both formats, rows it never saw, and what it answers: a class and how sure it is, or a number."""

    name: str
    pickle: Path
    onnx: Path
    rows: list[list[float]]
    labels: list[int]
    confidences: Sequence[float | None]

    def is_right(self, row: int, label: object, confidence: float | None) -> bool:
        """Whether this is the model's own answer for that row."""
        expected = self.confidences[row]
        if expected is None or confidence is None:
            return label == self.labels[row] and confidence is expected
        return label == self.labels[row] and abs(confidence - expected) <= CLOSE_ENOUGH


def fitted(names: set[str], folder: Path) -> dict[str, Subject]:
    """Fits the models called `names` and writes them into `folder`."""
    made: dict[str, Any] = {
        "iris": (load_iris, make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))),
        "forest": (load_breast_cancer, RandomForestClassifier(100, random_state=0)),
    }
    return {name: fit(name, load, model, folder) for name, (load, model) in made.items() if name in names}


def fit(name: str, load: Any, model: Any, folder: Path) -> Subject:
    x, y = load(return_X_y=True)
    model.fit(x, y)
    rows = draw(x)
    rows = rows[model.predict_proba(rows).max(axis=1) > EVEN]
    (folder / f"{name}.pkl").write_bytes(pickle.dumps(model))
    exported = to_onnx(model, x[:1].astype(np.float32), options={"zipmap": False})
    (folder / f"{name}.onnx").write_bytes(exported.SerializeToString())
    return Subject(
        name,
        folder / f"{name}.pkl",
        folder / f"{name}.onnx",
        rows.tolist(),
        model.predict(rows).tolist(),
        model.predict_proba(rows).max(axis=1).tolist(),
    )


def draw(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows like those of `x`, none of them the same, with the digits that measurements have."""
    random = np.random.default_rng(7)
    near = x[random.integers(0, len(x), ROWS)]
    rows: np.ndarray[Any, Any] = np.round(near + random.normal(0, 0.25, near.shape) * x.std(axis=0), 4)
    return rows
