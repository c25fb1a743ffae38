"""`penstock profile`: a real service is started, asked and stopped, and the model's own functions are told."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli import main
from penstock.cli.profiling.stages import REST, STAGES

QUICK = ("--seconds", "0.3")


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_a_program_gets_every_stage_for_one_connection_and_for_many(
    iris: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("iris.pkl").write_bytes(iris)
    before = children()
    assert main(["profile", "iris.pkl", "--json", *QUICK]) == 0
    found = json.loads(capsys.readouterr().out)
    assert children() == before, "the service is gone"
    assert (found["model"], found["runtime"]) == ("iris", "onnxruntime")
    assert [load["connections"] for load in found["loads"]] == [1, 64]
    for load in found["loads"]:
        assert (load["errors"], load["requests"] >= load["connections"]) == (0, True)
        assert set(load["stages_ms"]) == {*STAGES, REST}
        assert sum(load["stages_ms"].values()) == pytest.approx(load["mean_ms"], abs=0.01)
        assert load["stages_ms"]["inference"] > 0
    assert found["loads"][0]["rows"] == 1
    assert found["profile"]["answers"] > 0
    assert any("Session.run" in spot["function"] for spot in found["profile"]["spots"])
    assert found["advice"]


def test_a_person_is_shown_the_functions_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    """The settings that were said count for the service as well: without its code it would not start."""
    Path("own.py").write_text("""
class Model:
  n_features_in_ = 2
  def predict(self, rows):
    return [self.brood(row) for row in rows.tolist()]
  def brood(self, row):
    return float(sum(range(20_000)) + row[0])
""")
    program = "import own, pickle; pickle.dump(own.Model(), open('m.pkl', 'wb'))"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert main(["profile", "m.pkl", "--code-path", "own.py", "--compile", "off", *QUICK]) == 0
    told = capsys.readouterr().out
    assert told.startswith("m 1  ")
    rows = {line.split()[0]: line for line in told.splitlines() if line.strip()}
    assert all(stage in rows for stage in (*STAGES, REST, "round", "requests/s"))
    assert "Model.brood  own.py:6" in told
    assert "what would help\n    - " in told


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["broken.pkl"], 1, "penstock: cannot profile broken: "),
        (["models"], 2, "penstock: one model at a time: name one of "),
        (["iris.pkl", "--seconds", "soon"], 2, "penstock: --seconds: expected a number up to 3600, got 'soon'"),
        (["gone.pkl"], 2, "penstock: gone.pkl: no such file or directory"),
    ],
)
def test_what_cannot_be_profiled_is_told_in_a_line(
    words: list[str], code: int, complaint: str, iris: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("iris.pkl", "models/a/m.pkl", "models/b/m.pkl"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(iris)
    Path("broken.pkl").write_bytes(iris[:500])
    assert main(["profile", *words, *(() if "--seconds" in words else QUICK)]) == code
    assert capsys.readouterr().err.splitlines()[-1].startswith(complaint)
