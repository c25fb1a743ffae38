"""The models that are measured, and the rows that are sent to them."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Rows = np.ndarray[Any, Any]

ROWS = 4000
FEW = 32
COLOURS = ("red", "green", "blue", "white", "black")
THINGS = ("house", "bicycle", "river", "mountain range")
CLOSE_ENOUGH = 1e-4  # ONNX computes in float32
EVEN = 0.505  # trees that split evenly leave the label to rounding, which differs between the formats


class Subject(NamedTuple):
    """A model in both formats, rows it never saw, and what it answers: a class and how sure it is, or a number.

    There is no ONNX of what takes texts. `most` is how many rows a request may have.
    """

    name: str
    pickle: Path
    onnx: Path
    rows: list[list[Any]]
    labels: list[int]
    confidences: Sequence[float | None]
    most: int = 100

    def is_right(self, row: int, label: object, confidence: float | None) -> bool:
        """Whether this is the model's own answer for that row."""
        expected = self.confidences[row]
        if expected is None or confidence is None:
            return label == self.labels[row] and confidence is expected
        return label == self.labels[row] and abs(confidence - expected) <= CLOSE_ENOUGH


def fitted(names: set[str], folder: Path) -> dict[str, Subject]:
    """Fits the models called `names` and writes them into `folder`."""
    made: dict[str, Callable[[], Made]] = {"iris": iris, "forest": forest, "image": image, "words": words}
    return {name: write(name, make(), folder) for name, make in made.items() if name in names}


class Made(NamedTuple):
    """A fitted classifier, rows it never saw, and how many of them make a large request."""

    model: Any
    rows: Rows
    most: int = 100


def iris() -> Made:
    x, y = load_iris(return_X_y=True)
    return Made(make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(x, y), draw(x))


def forest() -> Made:
    x, y = load_breast_cancer(return_X_y=True)
    return Made(RandomForestClassifier(100, random_state=0).fit(x, y), draw(x))


def image() -> Made:
    """Rows of 600 KB, and of twice that in double precision: a picture of 224 by 224 in three colours."""
    x = np.random.default_rng(7).random((FEW, 3 * 224 * 224)).round(3)
    y = x.mean(axis=1) > np.median(x.mean(axis=1))
    return Made(LogisticRegression(max_iter=20).fit(x, y.astype(int)), x, most=8)


def words() -> Made:
    """Rows of four texts."""
    random = np.random.default_rng(7)
    known = np.array([f"{first} {second}" for first in COLOURS for second in THINGS], object)
    x = known[random.integers(0, len(known), (ROWS, 4))]
    y = [len(row[0]) % 3 for row in x]
    return Made(make_pipeline(OneHotEncoder(), LogisticRegression(max_iter=500)).fit(x, y), x)


def write(name: str, made: Made, folder: Path) -> Subject:
    model = made.model
    rows = made.rows[model.predict_proba(made.rows).max(axis=1) > EVEN]
    (folder / f"{name}.pkl").write_bytes(pickle.dumps(model))
    if rows.dtype != object:
        exported = to_onnx(model, rows[:1].astype(np.float32), options={"zipmap": False})
        (folder / f"{name}.onnx").write_bytes(exported.SerializeToString())
    return Subject(
        name,
        folder / f"{name}.pkl",
        folder / f"{name}.onnx",
        rows.tolist(),
        model.predict(rows).tolist(),
        model.predict_proba(rows).max(axis=1).tolist(),
        made.most,
    )


def draw(x: Rows) -> Rows:
    """Rows like those of `x`, none of them the same, with the digits that measurements have."""
    random = np.random.default_rng(7)
    near = x[random.integers(0, len(x), ROWS)]
    rows: Rows = np.round(near + random.normal(0, 0.25, near.shape) * x.std(axis=0), 4)
    return rows
