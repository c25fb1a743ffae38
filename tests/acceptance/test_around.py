"""Before and after the model, over the real service: transforms, output, checks of rows, and code of one's own."""

import json
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from tests.acceptance.driver import penstock, serving, wait_until

IRIS = load_iris()
ROW = [5.1, 3.5, 1.4, 0.2]


def model(folder: Path, manifest: str, graph: Path | None = None, **pickles: Any) -> Path:
    """The directory of a model with these pickles in it, or a copy of the graph, pinned in a lock beside it."""
    place = folder / "models" / "m"
    place.mkdir(parents=True, exist_ok=True)
    for name, held in pickles.items():
        (place / f"{name}.pkl").write_bytes(pickle.dumps(held))
    if graph is not None:
        (place / "model.onnx").write_bytes(graph.read_bytes())
    (place / "model.yaml").write_text(manifest)
    if pickles:
        assert penstock("lock", "models", cwd=folder).returncode == 0
    return place


def test_clients_send_raw_features_where_the_scaler_is_a_file_of_its_own(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(IRIS.data)
    classifier = LogisticRegression().fit(scaler.transform(IRIS.data), IRIS.target)
    place = model(tmp_path, "transform: [scaler.pkl]", scaler=scaler, classifier=classifier)
    wanted = classifier.predict(scaler.transform(IRIS.data)).tolist()
    with serving("models", cwd=tmp_path) as service:
        reply = service.request("POST", "/predict-batch", {"batch": IRIS.data.tolist()})
        assert reply.body["predictions"] == wanted
        assert service.get("/models/m").body["versions"][0]["transforms"] == ["scaler.pkl"]
        assert service.predict(*ROW[:3]).status == 400
        place.joinpath("scaler.pkl").write_bytes(pickle.dumps(StandardScaler().fit(IRIS.data * 9)))
        os.kill(service.processes("host")[0], signal.SIGKILL)
        wait_until(lambda: service.get("/models/m").body["versions"][0]["state"] == "refused", "it", service.explain)
        assert "scaler.pkl has changed" in service.get("/models/m").body["versions"][0]["reason"]


def test_an_unpinned_transform_is_refused_with_the_command(tmp_path: Path, iris_onnx: Path) -> None:
    model(tmp_path, "transform: [scaler.pkl]", iris_onnx, scaler=StandardScaler().fit(IRIS.data))
    (tmp_path / "penstock.lock").unlink(missing_ok=True)
    done = penstock("serve", "models", "--port", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert "scaler.pkl is a pickle, and loading it runs whatever is in it" in done.stderr
    assert "penstock lock models" in done.stderr


def test_a_decision_and_its_names_are_the_manifests(tmp_path: Path) -> None:
    rows, labels = load_breast_cancer(return_X_y=True)
    classifier = LogisticRegression(solver="newton-cholesky").fit(rows, labels)
    stated = classifier.predict_proba(rows)[:, 1]
    model(tmp_path, "output: {labels: [malignant, benign], threshold: 0.9, top_k: 1}", classifier=classifier)
    with serving("models", cwd=tmp_path) as service:
        body = service.request("POST", "/predict-batch?probabilities=true", {"batch": rows.tolist()}).body
        names = np.where(stated >= 0.9, "benign", "malignant").tolist()
        assert body["predictions"] == names
        likeliest = np.where(stated > 0.5, "benign", "malignant").tolist()
        assert [chance["class"] for (chance,) in body["probabilities"]] == likeliest
        assert body["confidences"] == pytest.approx(np.where(stated >= 0.9, stated, 1 - stated).tolist(), abs=1e-9)
        document = service.get("/openapi.json").body["components"]["schemas"]["m.Answer"]["properties"]
        assert document["prediction"]["description"] == (
            "benign where the probability of benign is at least 0.9, else malignant."
        )
        version = service.get("/models/m").body["versions"][0]
        assert (version["classes"], version["threshold"], version["top_k"]) == (["malignant", "benign"], 0.9, 1)
        counted = service.request("GET", "/metrics").body
        assert 'class="benign"' in str(counted)


def test_a_number_is_rounded_clipped_and_described(tmp_path: Path) -> None:
    rows, target = load_diabetes(return_X_y=True)
    ridge = Ridge().fit(rows, target)
    model(tmp_path, "output: {name: progression, unit: points, round: 1, clip: [100, 200]}", ridge=ridge)
    with serving("models", cwd=tmp_path) as service:
        body = service.request("POST", "/predict-batch", {"batch": rows.tolist()}).body
        assert body["predictions"] == np.clip(np.round(ridge.predict(rows), 1), 100, 200).tolist()
        told = service.get("/openapi.json").body["components"]["schemas"]["m.Answer"]["properties"]["prediction"]
        assert (told["title"], told["x-unit"], told["minimum"], told["maximum"]) == ("progression", "points", 100, 200)
    shown = penstock("check", "models", cwd=tmp_path).stdout
    assert "rounded to 1 digit, clipped to 100…200, points" in shown


def test_what_contradicts_the_model_is_one_line_and_exit_1(tmp_path: Path) -> None:
    classifier = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
    model(tmp_path, "output: {threshold: 0.5}", classifier=classifier)
    done = penstock("serve", "models", "--port", "0", "--log-file", "log", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("penstock: ")]
    assert "output.threshold in model.yaml: it decides between two classes, and the model has 3: remove it" in line


CHECKED = """
all_zero: refuse
inputs:
  - {name: a, range: [0, 8]}
  - {name: b, categories: [1, 2, 3.5]}
  - {name: c, nullable: true, range: [0, 8]}
  - {name: d, categories: [0.2, 0.4], unknown: refuse}
"""


def test_odd_rows_are_served_counted_and_told_and_forbidden_ones_refused(tmp_path: Path, iris_onnx: Path) -> None:
    model(tmp_path, CHECKED, iris_onnx)
    with serving("models", cwd=tmp_path) as service:
        usual, odd = [1, 3.5, 1, 0.2], [9, 4, -1, 0.2]
        answer = service.request("POST", "/predict-batch", {"batch": [usual, odd]})
        assert answer.status == 200
        warning = service.wait_for("unusual_input")
        assert (warning["out_of_range"], warning["unknown_category"]) == ({"a": 1, "c": 1}, {"b": 1})
        refused = service.request("POST", "/predict-batch", {"batch": [usual, [1, 1, 1, 0.3]]})
        assert (refused.status, refused.body["errors"][0]["loc"]) == (422, ["batch", 1, 3])
        zero = service.request("POST", "/predict", {"features": {"a": 0, "b": 0, "c": 0, "d": 0.2}})
        assert zero.status == 200
        metrics = str(service.get("/metrics").body)
        for name, feature, count in (("out_of_range", "a", 1), ("out_of_range", "c", 1), ("unknown_category", "b", 2)):
            labels = f'{{feature="{feature}",model="m",version="1"}}'
            assert f"penstock_feature_{name}_total{labels} {count}" in metrics


def test_a_row_of_zeros_is_refused_by_its_place(tmp_path: Path, iris_onnx: Path) -> None:
    model(tmp_path, "all_zero: refuse", iris_onnx)
    with serving("models", cwd=tmp_path) as service:
        refused = service.request("POST", "/predict-batch", {"batch": [ROW, [0, 0, 0, 0]]})
        assert (refused.status, refused.body["errors"][0]["loc"]) == (422, ["batch", 1])
        assert "every number is zero" in refused.body["detail"]
        assert service.request("POST", "/predict", {"features": [0, 0, 0, -0.0]}).status == 422
        assert service.predict(0, 0, 0, 1e-30).status == 200


WIDE = """
class Wide:
    signature = [{"name": f"f{i}", "range": [0, 1]} for i in range(30)]

    def load(self, path):
        pass

    def predict(self, batch):
        return batch[:, 0]
"""


def test_a_warning_names_twenty_features_and_the_figures_all(tmp_path: Path) -> None:
    (tmp_path / "predictor.py").write_text(WIDE)
    with serving("predictor.py", cwd=tmp_path) as service:
        assert service.predict(*[2] * 30).status == 200
        assert len(service.wait_for("unusual_input")["out_of_range"]) == 20
        assert str(service.get("/metrics").body).count("penstock_feature_out_of_range_total{") == 30


OWN = """
import json

class Nearest:
    signature = [{"name": "length", "unit": "cm"}, {"name": "colour", "dtype": "string"}]

    def load(self, path):
        self.known = json.loads((path / "known.json").read_text())

    def predict(self, batch):
        near = [min(self.known, key=lambda each: abs(self.known[each] - length)) for length in batch["length"]]
        return [f"{colour} {name}" for colour, name in zip(batch["colour"], near)]
"""


def test_code_of_ones_own_is_a_model(tmp_path: Path) -> None:
    place = tmp_path / "models" / "m"
    place.mkdir(parents=True)
    (place / "predictor.py").write_text(OWN)
    (place / "known.json").write_text(json.dumps({"rose": 5, "oak": 500}))
    done = penstock("serve", "models", "--port", "0", cwd=tmp_path)
    assert (done.returncode, "penstock lock models" in done.stderr) == (1, True)
    for arguments in (("models",), (place / "predictor.py", "--name", "m")):
        assert penstock("lock", "models", cwd=tmp_path).returncode == 0
        with serving(*arguments, cwd=tmp_path) as service:
            reply = service.request("POST", "/models/m/predict", {"features": {"length": 300.0, "colour": "green"}})
            assert reply.body["prediction"] == "green oak"
            assert service.request("POST", "/predict", {"features": {"length": "x", "colour": "red"}}).status == 422
