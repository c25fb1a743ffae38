"""The models that hostile input is sent to: one whose answer tells its row, and one with all sorts of columns."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.acceptance.driver import Service, serving

ROWS = 40
LIMITS = {"body": "200000", "headers": "16384", "header-s": "5", "body-s": "5", "idle-s": "10", "rows": "50"}


class Model(NamedTuple):
    """A model by name, and the fields of its rows as GET /models/{name} tells them."""

    name: str
    fields: tuple[dict[str, Any], ...]


@contextmanager
def hostile_service(folder: Path, *arguments: str) -> Iterator[tuple[Service, tuple[Model, ...]]]:
    """Serves both, with short time limits."""
    limits = [word for name, value in LIMITS.items() for word in (f"--limits-{name}", value)]
    with serving(*train(folder), "--default-model", "sum", *limits, *arguments, cwd=folder) as service:
        yield service, tuple(described(service, name) for name in ("sum", "people"))


def described(service: Service, name: str) -> Model:
    (version,) = service.get(f"/models/{name}").body["versions"]
    return Model(name, tuple(version["inputs"]))


def train(folder: Path) -> list[Path]:
    """`sum` answers a + 2b."""
    numbers = pd.DataFrame({"a": np.arange(ROWS) % 7.0, "b": np.arange(ROWS) % 5.0})
    people = pd.DataFrame(
        {
            "age": np.where(np.arange(ROWS) % 5 == 0, np.nan, np.arange(ROWS) + 20.0),
            "city": [["Rome", "Oslo", "Bern"][i % 3] for i in range(ROWS)],
            "note": [["likes fish", "likes tea", "is late"][i % 3] for i in range(ROWS)],
        }
    )
    columns = ColumnTransformer(
        [
            ("number", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            ("category", OneHotEncoder(), ["city"]),
            ("text", TfidfVectorizer(), "note"),
        ]
    )
    models = {
        "sum": LinearRegression().fit(numbers, numbers["a"] + 2 * numbers["b"]),
        "people": make_pipeline(columns, LogisticRegression()).fit(people, np.arange(ROWS) % 4 > 1),
    }
    paths = [folder / f"{name}.pkl" for name in models]
    for path, model in zip(paths, models.values(), strict=True):
        path.write_bytes(pickle.dumps(model))
    return paths
