"""What cannot or must not be loaded: one clear line and exit 1, or the others are served without it."""

import importlib
import os
import pickle
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.acceptance.driver import penstock, serving, wait_until

WIDE = 1000
ROW = [5.1, 3.5, 1.4, 0.2]


BROKEN = {
    "empty.pkl": b"",
    "cut.onnx": b"\x08\x07\x12\x07skl2onnx",
    "a_list.pkl": pickle.dumps([1, 2, 3]),
    "pointer.onnx": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "weights.h5": b"\x89HDF\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_served_is_one_line_and_exit_1(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    done = penstock("serve", name, "--port", "0", "--log-file", "log", cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("penstock: ")]) == 1
    assert name in done.stderr


@pytest.mark.soak
def test_mutated_bytes_never_crash_or_hang_the_service(
    iris: Path, tmp_path: Path, scale: Callable[[int, int], int]
) -> None:
    """A mutated file is refused, or serves; pinned before it was mutated, it is always refused."""
    whole = iris.read_bytes()
    generator = random.Random(11)
    for number in range(scale(1, 100)):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 8)):
            data[generator.randrange(len(data))] ^= generator.randint(1, 255)
        folder = tmp_path / str(number) / "models" / "iris"
        folder.mkdir(parents=True)
        (folder / "model.pkl").write_bytes(whole)
        assert penstock("lock", "models", cwd=tmp_path / str(number)).returncode == 0
        (folder / "model.pkl").write_bytes(data)
        done = penstock("check", "models", cwd=tmp_path / str(number))
        assert done.returncode == 1
        assert "changed" in done.stderr
        bare = penstock("check", folder / "model.pkl", cwd=tmp_path)
        assert bare.returncode in (0, 1), bare.stderr
        assert "Traceback" not in bare.stderr


def test_one_broken_model_leaves_the_others_alone(iris_onnx: Path, tmp_path: Path) -> None:
    for name, data in (("good/model.onnx", iris_onnx.read_bytes()), ("bad/model.pkl", b"nonsense")):
        (tmp_path / "models" / name).parent.mkdir(parents=True)
        (tmp_path / "models" / name).write_bytes(data)
    assert penstock("lock", "models", cwd=tmp_path).returncode == 0
    with serving("models", cwd=tmp_path, ready=False) as service:
        service.wait_for("model_refused", lambda line: line["model"] == "bad")
        service.wait_for("model_ready", lambda line: line["model"] == "good")
        assert service.request("POST", "/models/good/predict", {"features": ROW}).body["prediction"] == "setosa"
        assert service.request("POST", "/models/bad/predict", {"features": ROW}).status == 503
        assert service.get("/models/bad").body["versions"][0]["state"] == "refused"
        assert service.get("/ready").status == 503, "a configured model has not passed its start-up"


def test_a_pinned_repository_with_golden_examples_is_served(iris: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "iris" / "3"
    folder.mkdir(parents=True)
    (folder / "model.pkl").write_bytes(iris.read_bytes())
    (folder / "examples.json").write_text('[{"features": [5.1, 3.5, 1.4, 0.2], "prediction": "setosa"}]')
    assert penstock("lock", "models", cwd=tmp_path).returncode == 0
    with serving("models", "--compile", "off", cwd=tmp_path) as service:
        reply = service.request("POST", "/predict", {"features": ROW})
        assert (reply.body["prediction"], reply.body["model_version"]) == ("setosa", "3")
    (folder / "examples.json").write_text('[{"features": [5.1, 3.5, 1.4, 0.2], "prediction": "virginica"}]')
    done = penstock("serve", "models", "--compile", "off", "--port", "0", cwd=tmp_path)
    assert (done.returncode, "virginica" in done.stderr) == (1, True)


def test_weights_beside_the_model_are_pinned_by_the_first_load(tmp_path: Path) -> None:
    """A restart that finds other weights is refused and reported: a version never changes behind its name."""
    weights = write_scaler(tmp_path / "scale.onnx", 10.0)
    with serving("scale.onnx", cwd=tmp_path) as service:
        assert service.predict(1.0).body["prediction"] == 10.0
        weights.write_bytes(np.full(WIDE, 70.0, np.float32).tobytes())
        os.kill(service.processes("host")[0], signal.SIGKILL)
        wait_until(
            lambda: service.get("/models/scale").body["versions"][0]["state"] == "refused", "refused", service.explain
        )
        assert "changed" in service.get("/models/scale").body["versions"][0]["reason"]
        assert service.predict(1.0).status == 503


def write_scaler(path: Path, factor: float) -> Path:
    """A graph that multiplies its input by weights that lie in a file beside it; gives that file."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["wide"]), helper.make_node("ReduceMax", ["wide", "axes"], ["y"])],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [
            numpy_helper.from_array(np.full(WIDE, factor, np.float32), "w"),
            numpy_helper.from_array(np.array([1]), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save_model(model, path, save_as_external_data=True, location="w.bin", size_threshold=1024)
    return path.with_name("w.bin")


def test_a_model_that_wants_more_memory_than_it_may_have_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "greedy.py").write_text(GREEDY)
    sys.path.insert(0, str(tmp_path))
    try:
        module = importlib.import_module("greedy")
        (tmp_path / "greedy.pkl").write_bytes(pickle.dumps(module.Greedy()))
    finally:
        sys.path.remove(str(tmp_path))
    arguments = ["greedy.pkl", "--code-path", "greedy.py", "--inputs", "1", "--compile", "off"]
    with serving(*arguments, "--memory", "1GiB", cwd=tmp_path) as service:
        (before,) = service.processes("host")
        assert service.predict(2e9).status == 500
        assert service.predict(10).status == 200
        assert service.processes("host") == [before]


@pytest.mark.parametrize("kind", ["iris", "iris_onnx"])
def test_a_limit_on_memory_in_which_nothing_loads_is_named(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Libraries that cannot be mapped into so little are not missing, nor is the file damaged."""
    done = penstock("serve", request.getfixturevalue(kind), "--memory", "32MiB", "--port", "0", cwd=tmp_path)
    assert done.returncode == 1
    (complaint,) = [line for line in done.stderr.splitlines() if line.startswith("penstock: cannot serve")]
    assert "ran out of memory: `memory` allows its process 32 MiB, which is probably too little: raise it" in complaint


GREEDY = """
class Greedy:
    def predict(self, rows):
        return [len(bytearray(int(row[0]))) for row in rows]
"""
