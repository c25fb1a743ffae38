"""`penstock check`: a model is loaded in a real process of its own, shown, and measured."""

import json
import os
import pickle
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penstock.cli import main
from penstock.cli.probe import made_up
from penstock.model.signature import Field, Output, OutputField, Signature
from tests.host.nets import linear

OUTPUT = Output(fields=(OutputField(name="prediction"),))


def checked(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    code = main(["check", *words, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


def test_a_model_is_shown_to_a_person(iris: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    Path("iris.pkl").write_bytes(iris)
    assert main(["check", "iris.pkl"]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if len(line.split()) > 1)
    assert told["format"] == "pickle"
    assert told["trust"] == "named on the command line: loading it runs its code"
    assert len(told["sha256"]) == 64
    assert "onnxruntime" in told["libraries"]
    assert "scikit-learn" in told["trained"]
    assert told["compiled"].startswith("yes, as ONNX in float64: ")
    assert told["f0"].split() == ["float64", "inferred"]
    assert told["prediction"] == "0, 1, 2"
    assert told["1"].startswith("row ")
    assert told["100"].startswith("rows ")


def test_the_row_that_differs_is_shown_to_who_has_the_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    iris = load_iris()
    Path("near.pkl").write_bytes(pickle.dumps(KNeighborsClassifier().fit(iris.data, iris.target_names[iris.target])))
    assert main(["check", "near.pkl"]) == 0
    told = capsys.readouterr().out
    (why,) = [line for line in told.splitlines() if line.startswith("  compiled ")]
    assert re.search(r"differs on a .*: '\w+' by the original, '\w+' compiled$", why)
    assert re.search(r"^  differs on    \[[\d.-]+, ", told, re.MULTILINE)


@pytest.mark.parametrize("compiling", ["auto", "off"])
def test_columns_that_the_model_drops_are_named(compiling: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"age": [1.0, 2.0, 3.0, 4.0], "cabin class": list("abab"), "fare": [4.0, 3.0, 2.0, 9.0]})
    columns = ColumnTransformer([("numbers", StandardScaler(), ["age", "fare"])])
    model = make_pipeline(columns, LogisticRegression()).fit(table, [0, 1, 0, 1])
    Path("m.pkl").write_bytes(pickle.dumps(model))
    assert main(["check", "m.pkl", "--compile", compiling]) == 0
    assert "\n    not used, and not taken: cabin class\n" in capsys.readouterr().out


def test_a_model_that_nobody_asked_to_compile_is_said_not_to_be(
    here: Path, iris: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    linear(here / "net.onnx")
    Path("iris.pkl").write_bytes(iris)
    assert main(["check", "iris.pkl", "net.onnx", "--compile", "off"]) == 0
    first, _, second = capsys.readouterr().out.partition("net 1  ")
    assert "  compiled      no, off by setting\n" in first
    assert "compiled" not in second


def test_a_program_gets_all_of_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    linear(here / "iris.onnx")
    code, document, err = checked("flowers=iris.onnx", capsys=capsys)
    assert (code, err) == (0, "")
    assert (document["model"], document["version"], document["servable"]) == ("flowers", "1", True)
    assert document["loaded"]["bytes"] == Path("iris.onnx").stat().st_size
    assert [each["rows"] for each in document["latency"]] == [1, 100]
    for each in document["latency"]:
        assert 0 < each["model_ms"] < each["total_ms"]
        assert each["batches"] > 0


FIRST = """
class Model:
  n_features_in_ = 4
  def predict(self, rows):
    return rows[:, 0]
"""


def test_golden_examples_are_replayed_and_counted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m").mkdir()
    train(FIRST)
    for name in ("own.py", "m.pkl"):
        Path(name).rename(here / "m" / name)
    Path("m/model.yaml").write_text("code: [own.py]\n")
    Path("m/examples.json").write_text(json.dumps([{"features": [5.1, 3.5, 1.4, 0.2], "prediction": 5.1}]))
    main(["lock", "m"])
    capsys.readouterr()
    code, document, _ = checked("m", "--compile", "off", capsys=capsys)
    assert (code, document["trust"], document["loaded"]["examples"]) == (0, "pinned in the lock", 1)
    Path("m/examples.json").write_text(json.dumps([{"features": [5.1, 3.5, 1.4, 0.2], "prediction": 2}]))
    code, document, err = checked("m", "--compile", "off", capsys=capsys)
    assert (code, document["servable"], document["refused"]["code"]) == (1, False, "failed_example")
    assert err.startswith("penstock: cannot serve m: ")


def test_a_model_that_is_refused_says_why_and_exits_with_1(iris: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m").mkdir()
    Path("m/iris.pkl").write_bytes(iris)
    Path("broken.pkl").write_bytes(iris[:20])
    assert main(["check", "m"]) == 1
    assert capsys.readouterr().err.endswith("if you trust it, run: penstock lock m\n")
    code, document, err = checked("broken.pkl", capsys=capsys)
    assert (code, document["loaded"], document["latency"]) == (1, None, [])
    assert err.count("\n") == 1
    assert err.startswith("penstock: cannot serve broken: ")


def test_every_model_of_a_repository_is_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (here / "models" / name).mkdir(parents=True)
        linear(here / "models" / name / "m.onnx")
    assert main(["check", "models", "--json"]) == 0
    assert [json.loads(line)["model"] for line in capsys.readouterr().out.splitlines()] == ["a", "b"]


def test_a_model_that_dies_while_it_is_measured_is_not_called_servable(capsys: pytest.CaptureFixture[str]) -> None:
    train("""
class Model:
  calls = 0
  def predict(self, rows):
    self.calls += 1
    return [0] * len(rows) if self.calls < 30 else os._exit(3)
""")
    words = ("m.pkl", "--inputs", "3", "--code-path", "own.py", "--compile", "off")
    code, document, _ = checked(*words, capsys=capsys)
    assert (code, document["refused"]["code"]) == (1, "host_lost")


def test_a_model_that_does_not_get_ready_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    train("""
class Model:
  def predict(self, rows):
    time.sleep(60)
""")
    words = ("m.pkl", "--inputs", "3", "--code-path", "own.py", "--start-timeout-s", "1.5", "--compile", "off")
    code, document, _ = checked(*words, capsys=capsys)
    assert (code, document["refused"]["code"]) == (1, "failed_start")
    assert "did not answer within 1.5 s; --start-timeout-s allows it more" in document["refused"]["message"]


def train(source: str) -> None:
    """Writes own.py, and m.pkl with a Model of it."""
    Path("own.py").write_text(f"import os, time{source}")
    program = "import own, pickle; pickle.dump(own.Model(), open('m.pkl', 'wb'))"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_progress_is_shown_where_a_person_waits(here: Path) -> None:
    linear(here / "iris.onnx")
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "penstock", "check", "iris.onnx"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(terminal, 2**16).decode()
    os.close(terminal)
    assert [stage for stage in ("loading", "warming", "measuring") if f"{stage} …" in shown] == [
        "loading",
        "warming",
        "measuring",
    ]
    assert shown.endswith("\r\x1b[K")


FIELDS = st.lists(
    st.builds(
        Field,
        name=st.just("x"),
        dtype=st.sampled_from(["float64", "float32", "float16", "int64", "int8", "uint8", "bool", "string"]),
        shape=st.lists(st.integers(1, 3) | st.none(), max_size=2).map(tuple),
        nullable=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@given(fields=FIELDS, rows=st.integers(1, 5))
def test_made_up_rows_have_the_bytes_that_their_heads_announce(fields: list[Field], rows: int) -> None:
    sizes = {"float64": 8, "float32": 4, "float16": 2, "int64": 8, "int8": 1, "uint8": 1, "bool": 1}
    heads, payload = made_up(Signature(inputs=tuple(fields), output=OUTPUT), rows)
    announced = 0
    for head in heads:
        elements = 1
        for length in head.shape:
            elements *= length
        assert head.shape[0] == rows
        assert (head.dtype == "string") == (head.text is not None)
        assert head.text is None or len(head.text) == elements
        announced += sizes.get(head.dtype, 0) * elements
    assert sum(map(len, payload)) == announced


def test_made_up_values_are_ones_that_the_model_knows() -> None:
    colour = Field(name="colour", dtype="string", categories=("red", "green"))
    age = Field(name="age", dtype="int64", range=(18, 21))
    (colours, ages), (ages_data,) = made_up(Signature(inputs=(colour, age), output=OUTPUT), 50)
    assert set(colours.text or ()) == {"red", "green"}
    assert ages.shape == (50,)
    assert set(memoryview(ages_data).cast("q")) <= {18, 19, 20, 21}
