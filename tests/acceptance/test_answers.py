"""The server's answers are the model's own, on every row of the bundled data, through JSON, to the bit."""

import pickle
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.acceptance.driver import Service, serving

BATCH = 100


class Subject(NamedTuple):
    rows: Any
    model: Any


def subjects() -> dict[str, Subject]:
    """Each bundled data set with a model of a kind that suits it; labels are names where the data has names."""
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    forest = RandomForestClassifier(25, random_state=0)
    made = {"iris": linear, "breast_cancer": forest, "digits": forest, "wine": linear, "diabetes": Ridge()}
    found: dict[str, Subject] = {}
    for name, model in made.items():
        data = getattr(datasets, f"load_{name}")()
        target = data.target_names[data.target] if name in ("iris", "breast_cancer") else data.target
        found[name] = Subject(data.data, pickle.loads(pickle.dumps(model)).fit(data.data, target))
    return found


SUBJECTS = subjects()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("answers")
    for name, subject in SUBJECTS.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(subject.model))
    with serving(*(folder / f"{name}.pkl" for name in SUBJECTS), cwd=folder) as running:
        yield running


@pytest.mark.parametrize("name", SUBJECTS)
def test_in_batches(service: Service, name: str) -> None:
    rows, model = SUBJECTS[name]
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        body = service.request(
            "POST", f"/models/{name}/predict-batch?probabilities=true", {"batch": part.tolist()}
        ).body
        assert body["predictions"] == model.predict(part).tolist()
        if hasattr(model, "predict_proba"):
            stated = model.predict_proba(part)
            assert np.array_equal(body["probabilities"], stated)
            assert np.array_equal(body["confidences"], stated.max(axis=1))
        else:
            assert body["confidences"] == [None] * len(part)


@pytest.mark.parametrize("name", SUBJECTS)
def test_row_by_row(service: Service, name: str) -> None:
    """Alone, as a list and by name: what the model answers for this row alone."""
    rows, model = SUBJECTS[name]
    for row in rows:
        body = service.request("POST", f"/models/{name}/predict", {"features": row.tolist()}).body
        assert body["prediction"] == model.predict([row]).tolist()[0]
        confidence = model.predict_proba([row]).max() if hasattr(model, "predict_proba") else None
        assert body["confidence"] == confidence
