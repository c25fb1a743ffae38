"""The server's answers are the model's own, on every row of the bundled data in batches and every third alone, as JSON.

As it was trained, to the bit; compiled, the same labels and numbers that differ in their last bits at most.

The last bits of a product of matrices depend on how it is split among threads and on which rows are in it. So the
service has one thread as the estimators here have, and what is asked alone or as a batch is compared with the
estimator's answer to the same row alone or the same batch; nobody else asks meanwhile.
"""

import contextlib
import http.client
import json
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

pytestmark = pytest.mark.usefixtures("one_thread")


class Subject(NamedTuple):
    rows: Any
    model: Any


def subjects() -> dict[str, Subject]:
    """Each bundled data set with a model of a kind that suits it; labels are names where the data has names."""
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    forest = RandomForestClassifier(10, random_state=0)
    made = {"iris": linear, "breast_cancer": forest, "digits": linear, "wine": linear, "diabetes": Ridge()}
    found: dict[str, Subject] = {}
    for name, model in made.items():
        data = getattr(datasets, f"load_{name}")()
        target = data.target_names[data.target] if name in ("iris", "breast_cancer") else data.target
        found[name] = Subject(data.data, pickle.loads(pickle.dumps(model)).fit(data.data, target))
    return found


SUBJECTS = subjects()


@pytest.fixture(scope="module", params=["off", "auto"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("answers")
    for name, subject in SUBJECTS.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(subject.model))
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    files = [folder / f"{name}.pkl" for name in SUBJECTS]
    with serving(*files, "--compile", request.param, cwd=folder, env=one_thread) as running:
        yield running


def runs_compiled(service: Service, name: str) -> bool:
    (version,) = service.get(f"/models/{name}").body["versions"]
    return version["certificate"] is not None and version["certificate"]["verdict"] == "compiled"


def same(got: Any, expected: Any, compiled: bool) -> bool:
    """To the bit where the original serves; of numbers that were compiled the last bits may differ."""
    if not compiled or np.asarray(expected).dtype.kind in "iUO":
        return bool(np.array_equal(got, expected))
    return bool(np.allclose(got, expected, rtol=1e-9, atol=1e-12))


@pytest.fixture
def client(service: Service) -> Iterator[http.client.HTTPConnection]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        yield connection


def ask(client: http.client.HTTPConnection, path: str, body: Any) -> Any:
    """The answer, over a connection that is kept."""
    client.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    with client.getresponse() as answer:
        assert answer.status == 200
        return json.loads(answer.read())


@pytest.mark.parametrize("name", SUBJECTS)
def test_in_batches(service: Service, client: http.client.HTTPConnection, name: str) -> None:
    rows, model = SUBJECTS[name]
    compiled = runs_compiled(service, name)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        asked = "?probabilities=true" if hasattr(model, "predict_proba") else ""
        body = ask(client, f"/models/{name}/predict-batch{asked}", {"batch": part.tolist()})
        assert same(body["predictions"], model.predict(part), compiled)
        if hasattr(model, "predict_proba"):
            stated = model.predict_proba(part)
            assert same(body["probabilities"], stated, compiled)
            assert same(body["confidences"], stated.max(axis=1), compiled)
        else:
            assert body["confidences"] == [None] * len(part)


@pytest.mark.parametrize("name", SUBJECTS)
def test_row_by_row(service: Service, client: http.client.HTTPConnection, name: str) -> None:
    """Alone, as a list and by name in turn: what the model answers for this row alone."""
    rows, model = SUBJECTS[name]
    compiled = runs_compiled(service, name)
    names = [field["name"] for field in service.get(f"/models/{name}").body["versions"][0]["inputs"]]
    for number, row in enumerate(rows[::3]):
        features = row.tolist() if number % 2 else dict(zip(names, row.tolist(), strict=True))
        body = ask(client, f"/models/{name}/predict", {"features": features})
        prediction, confidence = alone(model, row)
        assert same(body["prediction"], prediction, compiled)
        assert body["confidence"] is None if confidence is None else same(body["confidence"], confidence, compiled)


def alone(model: Any, row: Any) -> tuple[Any, float | None]:
    """Prediction and confidence for one row; a classifier of the kinds here predicts what it holds most probable."""
    if not hasattr(model, "predict_proba"):
        return model.predict([row]).tolist()[0], None
    (chances,) = model.predict_proba([row])
    return model.classes_.tolist()[chances.argmax()], chances.max()
