"""`penstock pack`: a directory that says all there is to say of a model, serves as the artifact would, and lasts."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from penstock.cli import main
from penstock.cli.packing.contents import MEASURED
from tests.host.nets import linear, with_external_data

IRIS = load_iris()
COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


@pytest.fixture
def flowers(iris: bytes) -> None:
    """iris.pkl, which knows no names, and iris.csv, which does."""
    Path("iris.pkl").write_bytes(iris)
    pd.DataFrame(IRIS.data, columns=COLUMNS).assign(species=IRIS.target_names[IRIS.target]).to_csv(
        "iris.csv", index=False
    )


FLOWERS = ("pack", "iris.pkl", "--data", "iris.csv", "--target", "species")
AS_IT_IS = ("--compile", "off")  # which takes less time


def document(path: str) -> Any:
    text = Path(path).read_text()
    return yaml.safe_load(text) if path.endswith(".yaml") else json.loads(text)


def visible() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*"))


@pytest.mark.usefixtures("flowers")
def test_a_directory_says_all_that_the_model_and_the_data_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FLOWERS, "-o", "models/iris/1"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(
        "packed iris 1 into models/iris/1: 4 inputs, 10 examples, 150 rows of training data\n"
        "target: species (setosa, versicolor, virginica) holds none of the model's answers\ncompiled: yes"
    )
    assert out.endswith("next: penstock lock models/ && penstock serve models/\n")
    assert err == ""

    manifest = document("models/iris/1/model.yaml")
    assert (manifest["artifact"], manifest["examples"]) == ("iris.pkl", "examples.json")
    assert [field["name"] for field in manifest["inputs"]] == COLUMNS
    assert manifest["inputs"][0] == {
        "name": "sepal_length", "dtype": "float64", "nullable": False, "range": [4.3, 7.9], "unit": None,
    }  # fmt: skip
    examples = document("models/iris/1/examples.json")
    model = pickle.loads(Path("iris.pkl").read_bytes())
    assert {example["prediction"] for example in examples} == {0, 1, 2}
    for example in examples:
        row = [list(example["features"].values())]
        assert row[0] in IRIS.data.tolist()
        assert example["prediction"] == model.predict(row)[0]
        assert example["confidence"] == pytest.approx(model.predict_proba(row).max(), abs=1e-12)
    reference = document("models/iris/1/reference.json")
    assert (reference["rows"], sorted(reference["sample"])) == (150, sorted(IRIS.data.tolist()))
    assert reference["fields"][0]["quantiles"][10] == np.median(IRIS.data[:, 0])
    done = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd="models/iris/1", check=False)
    assert done.returncode == 0
    card = Path("models/iris/1/README.md").read_text()
    assert "| petal_width | float64 | 0.1 to 2.5 |" in card
    assert "$ penstock lock iris\n$ penstock check iris\n$ penstock serve iris\n" in card
    assert "| 1 row | " in card.partition(MEASURED)[2]


@pytest.mark.usefixtures("flowers")
def test_what_was_packed_is_what_check_finds_under_its_lock(capsys: pytest.CaptureFixture[str]) -> None:
    main([*FLOWERS, "-o", "models/iris/7"])
    main(["lock", "models"])
    capsys.readouterr()
    assert main(["check", "models", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["version"], found["loaded"]["examples"]) == ("iris", "7", 10)
    assert [Path(path).name for path in found["loaded"]["beside"]] == ["examples.json", "reference.json"]
    assert [field["name"] for field in found["loaded"]["signature"]["inputs"]] == COLUMNS


def test_the_same_is_the_same_again_and_anything_else_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    linear(Path("net.onnx"))
    Path("net.csv").write_text("x0,x1,x2,y\n" + "".join(f"{n},{n + 1},{-n},{2}\n" for n in range(40)))
    words = ("pack", "net.onnx", "--data", "net.csv", "--target", "y", "-o", "models/net/1")
    assert main([*words]) == 0
    before = {path: os.stat(path).st_mtime_ns for path in visible()}
    capsys.readouterr()
    assert main([*words]) == 0
    assert capsys.readouterr().out == "models/net/1 holds just that: nothing to do\n"
    assert main([*words, "--sample", "0"]) == 2
    assert "models/net/1 is there and differs (README.md, SHA256SUMS, reference.json): " in capsys.readouterr().err
    assert {path: os.stat(path).st_mtime_ns for path in visible()} == before


def test_the_model_is_loaded_by_no_process_of_the_command_line() -> None:
    Path("own.py").write_text("""
import os
class Model:
  n_features_in_ = 2
  def __setstate__(self, state):
    with open("loaded", "a") as file: file.write(f"{os.getpid()} ")
  def predict(self, rows):
    return [float(sum(row)) for row in rows.tolist()]
""")
    program = "import own, pickle; m = own.Model(); m.x = 1; pickle.dump(m, open('m.pkl', 'wb'))"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert main(["pack", "m.pkl", "-o", "models/sums", "--code-path", "own.py", *AS_IT_IS]) == 0
    loaded = Path("loaded").read_text().split()
    assert len(loaded) >= 2
    assert str(os.getpid()) not in loaded
    assert document("models/sums/model.yaml")["code"] == ["own.py"]
    assert main(["lock", "models/sums"]) == 0
    assert main(["check", "models/sums"]) == 0


def test_transforms_are_packed_with_the_model_and_one_that_was_left_out_shows_in_how_it_answers_the_target(
    capsys: pytest.CaptureFixture[str],
) -> None:
    species = IRIS.target_names[IRIS.target]
    scaler = StandardScaler().fit(IRIS.data)
    model = LogisticRegression().fit(scaler.transform(IRIS.data), species)
    Path("model.pkl").write_bytes(pickle.dumps(model))
    Path("scaler.pkl").write_bytes(pickle.dumps(scaler))
    pd.DataFrame(IRIS.data, columns=COLUMNS).assign(species=species).to_csv("iris.csv", index=False)
    words = ["pack", "model.pkl", "--data", "iris.csv", "--target", "species", *AS_IT_IS]
    assert main([*words, "-o", "models/bare/1"]) == 0
    assert "on 50 of 150 rows (33.3%), and 'setosa' alone would on 50: a transform " in capsys.readouterr().err
    assert main([*words, "-o", "models/iris/1", "--transform", "scaler.pkl"]) == 0
    out, err = capsys.readouterr()
    summary = "the model answers species on 146 of 150 rows (97.3%)"
    assert f"target: {summary}\n" in out
    assert err == ""
    assert f"| target | {summary} |" in Path("models/iris/1/README.md").read_text()
    assert document("models/iris/1/model.yaml")["transform"] == ["scaler.pkl"]
    for example in document("models/iris/1/examples.json"):
        row = scaler.transform([list(example["features"].values())])
        assert example["prediction"] == model.predict(row)[0]


def test_columns_are_found_by_name_and_gaps_and_strangers_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"age": [23.0, 35.0, 48.0, 61.0] * 3, "colour": ["red", "green", "red", "green"] * 3})
    chain = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age"]), (OneHotEncoder(), ["colour"])
    )
    model = make_pipeline(chain, LogisticRegression()).fit(table, ["no", "no", "yes", "yes"] * 3)
    Path("buyers.pkl").write_bytes(pickle.dumps(model))
    table.loc[0, "age"] = None
    table.loc[[1, 2], "colour"] = None
    table.assign(bought="yes", id=7)[["id", "colour", "bought", "age"]].to_csv("buyers.csv", index=False)
    words = ["pack", "buyers.pkl", "--data", "buyers.csv", "--target", "bought", "-o", "models/buyers/1"]
    assert main([*words, *AS_IT_IS]) == 0
    assert capsys.readouterr().err == (
        "penstock: left out, as the model has no such fields: id\n"
        "penstock: colour is missing in 2 of 12 rows, and the model takes no missing value there: "
        "they are in no example\n"
    )
    age, colour = document("models/buyers/1/model.yaml")["inputs"]
    assert (age["nullable"], age["range"]) == (True, [23.0, 61.0])
    assert (colour["nullable"], colour["categories"], colour["unknown"]) == (False, ["green", "red"], "refuse")
    reference = document("models/buyers/1/reference.json")
    assert [field["missing"] for field in reference["fields"]] == [1, 2]
    assert reference["fields"][1]["categories"] == [["green", 5], ["red", 5]]
    assert len(reference["sample"]) == 10
    assert all("colour" in example["features"] for example in document("models/buyers/1/examples.json"))


def test_the_only_text_of_a_model_keeps_the_name_that_requests_know_it_by(capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["good film", "bad film", "very good", "very bad"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    Path("films.pkl").write_bytes(pickle.dumps(model))
    Path("films.csv").write_text("".join(f"{text}\n" for text in ("review", *texts)))
    assert main(["pack", "films.pkl", "--data", "films.csv", "-o", "models/films", *AS_IT_IS]) == 0
    assert ": 1 input, 4 examples, 4 rows of training data\n" in capsys.readouterr().out
    (field,) = document("models/films/model.yaml")["inputs"]
    assert (field["name"], field["dtype"]) == ("text", "string")
    assert "categories" not in field
    assert {each["features"]["text"]: each["prediction"] for each in document("models/films/examples.json")} == {
        text: model.predict([text])[0] for text in texts
    }


def test_a_graph_is_packed_with_its_weights_and_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    Path("net").mkdir()
    Path("net/weights.dat").write_bytes(np.arange(1, 4, dtype=np.float32).tobytes())
    with_external_data(Path("net/net.onnx"), "weights.dat")
    assert main(["pack", "net/net.onnx", "-o", "my models/net"]) == 0
    assert capsys.readouterr().out.endswith("rows of training data\nnext: penstock serve 'my models/'\n")
    assert Path("my models/net/weights.dat").read_bytes() == Path("net/weights.dat").read_bytes()
    assert not Path("my models/net/reference.json").exists()
    for example in document("my models/net/examples.json"):
        expected = np.float32(example["features"]) @ np.arange(1, 4, dtype=np.float32)
        assert example["prediction"] == pytest.approx(expected, rel=1e-4)
    assert main(["check", "my models/net"]) == 0


def test_rows_on_which_the_model_fails_are_in_no_example(capsys: pytest.CaptureFixture[str]) -> None:
    class_source = """
class Model:
  n_features_in_ = 1
  def predict(self, rows):
    if (rows == 13).any(): raise ValueError("thirteen")
    return [float(row[0]) for row in rows]
"""
    Path("own.py").write_text(class_source)
    program = "import own, pickle; pickle.dump(own.Model(), open('m.pkl', 'wb'))"
    subprocess.run([sys.executable, "-c", program], check=True)
    Path("m.csv").write_text("x\n" + "".join(f"{number}\n" for number in range(20)))
    assert main(["pack", "m.pkl", "--data", "m.csv", "-o", "models/m", "--code-path", "own.py", *AS_IT_IS]) == 0
    assert capsys.readouterr().err.endswith("penstock: the model fails on 1 of 20 rows (ValueError: thirteen)\n")
    assert len(document("models/m/examples.json")) == 10


def test_a_model_that_answers_otherwise_the_next_time_is_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.py").write_text("""
import random
class Model:
  n_features_in_ = 1
  def predict(self, rows):
    return [random.random() for row in rows]
""")
    program = "import own, pickle; pickle.dump(own.Model(), open('m.pkl', 'wb'))"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert main(["pack", "m.pkl", "-o", "models/m", "--code-path", "own.py", *AS_IT_IS]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("penstock: the packed model could not be served, and is not kept: example 1 of ")
    assert complaint.count("\n") == 1
    assert list(Path("models").iterdir()) == []


@pytest.mark.usefixtures("flowers")
@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["pack", "iris.pkl"], 2, "the following arguments are required: -o/--output (penstock pack --help)"),
        (["pack", "gone.pkl", "-o", "m"], 2, "gone.pkl: no such file or directory"),
        (["pack", ".", "-o", "m"], 2, ". is a directory: name the artifact itself, model.pkl say"),
        (["pack", "iris.pkl", "--data", "gone.csv", "-o", "m"], 1, "gone.csv: no such file or directory"),
        (
            ["pack", "iris.pkl", "--target", "species", "-o", "m"],
            2,
            "--target names a column of --data: say which file",
        ),
        ([*FLOWERS, "-o", "m", "--sample", "501"], 2, "--sample: expected an integer from 0 to 500, got '501'"),
        (
            [*FLOWERS, "-o", "m", "--transform", "net.onnx"],
            1,
            "--transform: net.onnx is onnx: a fitted transform is a ",
        ),
        ([*FLOWERS[:4], "--target", "specie", "-o", "m"], 2, "has no column 'specie'; did you mean 'species'?"),
        (["pack", "broken.pkl", "-o", "m"], 1, "cannot pack m: "),
        (["pack", "predictor.py", "-o", "m"], 1, "predictor.py loads what it needs by itself: put it and its files "),
    ],
)
def test_what_cannot_be_packed_is_refused_in_a_line_and_leaves_nothing(
    words: list[str], code: int, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.pkl").write_bytes(Path("iris.pkl").read_bytes()[:500])
    Path("predictor.py").write_text("class Predictor: ...\n")
    linear(Path("net.onnx"))
    before = visible()
    assert main(words) == code
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("penstock: ")
    assert complaint in told
    assert visible() == before


def test_numbers_have_examples_too_from_all_over_the_data() -> None:
    Path("own.py").write_text("""
class Model:
  n_features_in_ = 1
  def predict(self, rows):
    return [2 * float(row[0]) for row in rows]
""")
    program = "import own, pickle; pickle.dump(own.Model(), open('line.pkl', 'wb'))"
    subprocess.run([sys.executable, "-c", program], check=True)
    Path("line.csv").write_text("x,y\n" + "".join(f"{number},{2 * number}\n" for number in range(40)))
    words = ["pack", "line.pkl", "--data", "line.csv", "--target", "y", "-o", "models/line", "--code-path", "own.py"]
    assert main([*words, *AS_IT_IS]) == 0
    found = [(each["features"]["x"], each["prediction"]) for each in document("models/line/examples.json")]
    assert len(found) == 10
    assert [y for _, y in found] == pytest.approx([2 * x for x, _ in found])
