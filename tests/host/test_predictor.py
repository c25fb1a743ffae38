"""Own code in a predictor.py: what it is given, what it may answer, and what is said of each mistake."""

import hashlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from penstock.model.control import Artifact, Transform
from penstock.model.shaping import Shaping
from penstock.model.signature import Field
from tests.host.driver import HostProcess, artifact, declared, loaded, refusal

MATRIX = """
import json
import numpy as np

class Weighted:
    signature = "3"

    def load(self, path):
        self.weights = np.array(json.loads((path / "weights.json").read_text()))

    def predict(self, batch):
        return batch @ self.weights
"""
ROWS = np.arange(6.0).reshape(2, 3)


def own(folder: Path, source: str, name: str = "predictor.py", **said: Any) -> Artifact:
    (folder / name).write_text(source)
    return artifact(folder / name, **said)


def predicting(body: str, signature: str = '"3"') -> str:
    """A predictor whose `predict` is `body`."""
    return (
        f"class P:\n    signature = {signature}\n    def load(self, path): pass\n    def predict(self, batch): {body}\n"
    )


def test_it_loads_from_its_directory_and_answers_arrays(tmp_path: Path) -> None:
    (tmp_path / "weights.json").write_text("[1, 10, 100]")
    with HostProcess(own(tmp_path, MATRIX)) as host:
        verdict = host.loaded()
        assert host.front().ask(ROWS)[0].tolist() == [210.0, 543.0]
    assert (verdict.runtime, verdict.device, verdict.signature.named) == ("python", "auto", False)
    assert [(field.name, field.dtype) for field in verdict.signature.inputs] == [(f"f{i}", "float64") for i in range(3)]


def test_fields_of_several_dtypes_are_a_dictionary_of_columns(tmp_path: Path) -> None:
    said = '[{"name": "age", "dtype": "int64"}, {"name": "city", "dtype": "string", "nullable": True}]'
    body = 'return [f"{a + 1} {c} {batch[\'age\'].dtype}" for a, c in zip(batch["age"], batch["city"])]'
    with HostProcess(own(tmp_path, predicting(body, said))) as host:
        signature = host.loaded().signature
        assert host.front().ask(np.array([41, 5]), ["Chur", None])[0] == ["42 Chur int64", "6 None int64"]
    assert (signature.named, signature.inputs[1].nullable, signature.output.fields[0].dtype) == (True, True, "string")


@pytest.mark.parametrize(
    ("said", "column", "body"),
    [
        ('"2x2"', np.ones((2, 2, 2)), "return batch.sum(axis=(1, 2))"),
        ('"text:string"', ["four", "size"], "return [len(text) for text in batch]"),
    ],
)
def test_one_tensor_is_given_as_it_is(said: str, column: Any, body: str, tmp_path: Path) -> None:
    with HostProcess(own(tmp_path, predicting(body, said))) as host:
        host.loaded()
        assert host.front().ask(column)[0].tolist() == [4, 4]


@pytest.mark.parametrize(
    ("body", "kind", "values"),
    [
        ("return batch.sum(axis=1)", "float64", [3.0, 12.0]),
        ("return batch.astype('float32').sum(axis=1, keepdims=True)", "float32", [3.0, 12.0]),
        ("return batch.sum(axis=1).astype(int).tolist()", "int64", [3, 12]),
        ("return [bool(row[0]) for row in batch]", "bool", [False, True]),
        ("return batch[:, :2]", "float64", [[0.0, 1.0], [3.0, 4.0]]),
    ],
)
def test_arrays_and_lists_of_numbers_are_answers(body: str, kind: str, values: Any, tmp_path: Path) -> None:
    with HostProcess(own(tmp_path, predicting(body))) as host:
        assert host.loaded().signature.output.fields[0].dtype == kind
        assert host.front().ask(ROWS)[0].tolist() == values


@pytest.mark.parametrize(
    ("at_first", "later", "said"),
    [
        ("['a'] * n", "[float('nan')] * n", "as float64 where text was expected"),
        ("['a'] * n", "[3.0] * n", "as float64 where text was expected"),
        ("['a'] * n", "[True] * n", "as bool where text was expected"),
        ("['a'] * n", "['a'] * (n - 1) + [3.0]", "values of different kinds at once"),
        ("['a'] * n", "np.array(['a'] * (n - 1) + [2], object)", "predict answered str"),
        ("['a'] * n", "[None] * n", "predict answered NoneType"),
        ("[1.5] * n", "[True] * n", "as bool where float64 was expected"),
        ("[1.5] * n", "[1.5] * (n - 1) + [True]", "values of different kinds at once"),
        ("[1.5] * n", "['3'] * n", "as text where float64 was expected"),
        ("[1] * n", "[1.5] * n", "as float64 where int64 was expected"),
        ("[True] * n", "[1] * n", "as int64 where bool was expected"),
        ("np.ones(n, 'int8')", "np.full(n, 300)", "beyond what int8 holds"),
    ],
)
def test_an_answer_of_another_kind_is_none(at_first: str, later: str, said: str, tmp_path: Path) -> None:
    """Not text made of numbers, nor numbers of booleans: where it warmed up with one kind, it is that for ever."""
    body = f"n = len(batch); return {later} if batch[0, 0] == 7 else {at_first}"
    with HostProcess(own(tmp_path, "import numpy as np\n" + predicting(body))) as host:
        host.loaded()
        front = host.front()
        answer, _ = front.answer(np.full((2, 3), 7.0))
        assert said in (answer.error or ""), answer
        front.ask(ROWS)


def test_an_answer_is_of_its_kind_before_it_is_shaped(tmp_path: Path) -> None:
    body = "return ['3'] * len(batch) if batch[0, 0] == 7 else [1.25] * len(batch)"
    with HostProcess(own(tmp_path, predicting(body), output=Shaping(round=1))) as host:
        host.loaded()
        answer, _ = host.front().answer(np.full((2, 3), 7.0))
    assert "as text where float64 was expected" in (answer.error or "")


def test_whole_numbers_are_answers_where_fractions_are(tmp_path: Path) -> None:
    body = "n = len(batch); return np.array([2] * n, object) if batch[0, 0] == 7 else [1.5] * n"
    with HostProcess(own(tmp_path, "import numpy as np\n" + predicting(body))) as host:
        host.loaded()
        assert host.front().ask(np.full((2, 3), 7.0))[0].tolist() == [2.0, 2.0]


def test_a_dictionary_is_several_outputs(tmp_path: Path) -> None:
    body = 'return {"low": batch.min(axis=1), "words": ["x"] * len(batch)}'
    with HostProcess(own(tmp_path, predicting(body))) as host:
        assert [field.name for field in host.loaded().signature.output.fields] == ["low", "words"]
        low, words = host.front().ask(ROWS)
    assert (low.tolist(), words) == ([0.0, 3.0], ["x", "x"])


def test_its_answers_are_shaped(tmp_path: Path) -> None:
    body = "return [[0.25, 0.75]] * len(batch)"
    with HostProcess(own(tmp_path, predicting(body), output=Shaping(labels=("no", "yes"), top_k=1))) as host:
        assert host.loaded().signature.output.probabilities
        indices, confidence, stated, ranks = host.front().ask(ROWS, probabilities=True)
    assert (indices.tolist(), confidence.tolist()) == ([1, 1], [0.75, 0.75])
    assert (stated.tolist(), ranks.tolist()) == ([[0.75], [0.75]], [[1], [1]])


def test_the_manifest_completes_what_the_class_says(tmp_path: Path) -> None:
    said = '[{"name": "a"}, {"name": "b", "range": [0, 1]}]'
    of = own(tmp_path, predicting("return batch[:, 0]", said), inputs=declared("a", range=(2.0, 3.0), unit="m"))
    inputs = loaded(of).signature.inputs
    assert [(field.name, field.range, field.unit) for field in inputs] == [("a", (2, 3), "m"), ("b", (0, 1), None)]
    bare = own(tmp_path, predicting("return batch[:, 0]", "None"), inputs=declared("a", "b", dtype="float32"))
    assert [field.dtype for field in loaded(bare).signature.inputs] == ["float32", "float32"]


def test_the_signature_may_depend_on_what_was_loaded(tmp_path: Path) -> None:
    source = predicting("return batch[:, 0]", "None").replace(
        "pass", "self.width = 7\n    def signature(self): return self.width"
    )
    assert len(loaded(own(tmp_path, source.replace("    signature = None\n", ""))).signature.inputs) == 7


def test_predictor_is_the_class_where_there_are_several(tmp_path: Path) -> None:
    source = predicting("return batch[:, 0]") + predicting("return batch[:, 1]").replace("class P:", "class Predictor:")
    with HostProcess(own(tmp_path, source)) as host:
        host.loaded()
        assert host.front().ask(ROWS)[0].tolist() == [1.0, 4.0]


def test_code_that_is_vouched_for_may_be_imported(tmp_path: Path) -> None:
    (tmp_path / "weights.py").write_text("FACTOR = 3")
    source = "from weights import FACTOR\n" + predicting("return batch[:, 0] * FACTOR")
    said = refusal(own(tmp_path, source)).message
    assert "needs the Python module weights" in said
    assert "code: [weights.py]" in said
    with HostProcess(own(tmp_path, source, code=(str(tmp_path / "weights.py"),))) as host:
        host.loaded()
        assert host.front().ask(ROWS)[0].tolist() == [0.0, 9.0]


def test_it_stands_behind_transforms_and_gets_what_they_make(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(ROWS)
    joblib.dump(scaler, tmp_path / "scaler.pkl")
    pin = hashlib.sha256((tmp_path / "scaler.pkl").read_bytes()).hexdigest()
    transforms = (Transform(str(tmp_path / "scaler.pkl"), "pickle"),)
    of = own(
        tmp_path, predicting("return batch[:, 2]", "None"), transforms=transforms, beside={transforms[0].path: pin}
    )
    with HostProcess(of) as host:
        host.loaded()
        assert host.front().ask(ROWS)[0].tolist() == scaler.transform(ROWS)[:, 2].tolist()


# ------------------------------------------------------------------ mistakes
@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("def predict(batch): return batch", "unsupported_artifact", "defines no class with `predict`: write `class"),
        ("from collections import OrderedDict", "unsupported_artifact", "defines no class with `predict`"),
        ("class P:\n  def predict(self, batch): 1", "unsupported_artifact", "P has no `load(self, path)`: add it"),
        (predicting("1") + predicting("1").replace("P", "Q"), "unsupported_artifact", "(P, Q): call one Predictor"),
        ("class P\n  pass", "unreadable_artifact", "is not valid Python: expected ':', line 1"),
        ("1 / 0", "failed_start", "importing it raised ZeroDivisionError: division by zero: correct it"),
        ("import xgboost_of_tomorrow", "missing_dependency", "needs the Python module xgboost_of_tomorrow"),
        ("import gensim", "missing_dependency", "pip install gensim"),
        (predicting("1").replace("pass", "open(path / 'w.pt')"), "failed_start", "P.load raised FileNotFoundError: "),
        (predicting("1").replace("(self, path)", "(self)"), "failed_start", "P.load raised TypeError: "),
        ("class P:\n def __init__(self, x): 1\n def load(self, p): 1\n def predict(self, b): 1",
         "failed_start", "P(), which is called without arguments, raised TypeError"),
        (predicting("return batch[:, 0]", "None"), "unsupported_artifact", "give the class a `signature`"),
        (predicting("1", '"3:floaty"'), "unsupported_artifact", "signature: '3:floaty': expected a dtype"),
        (predicting("1", '[{"dtype": "int8"}]'), "unsupported_artifact", "signature: [0]: say its name"),
        (predicting("1", "object()"), "unsupported_artifact", "signature: expected a list of fields"),
        (predicting("return None"), "failed_start", "predict answered NoneType: return numbers or text"),
        (predicting("return 3.5"), "failed_start", "predict answered one float for 3 rows: return one entry a row"),
        (predicting("return batch[:1, 0]"), "failed_start", "predict answered 1 rows for 3: return one entry a row"),
        (predicting("return {'a': batch[:, 0], 'b': [1]}"), "failed_start", "1 rows as b for 3"),
        (predicting("return {}"), "failed_start", "an empty dictionary"),
        (predicting("return [{'a': 1}] * len(batch)"), "failed_start", "predict answered dict: return numbers or text"),
        (predicting("return [[1], [1, 2]]"), "failed_start", "inhomogeneous"),
        (predicting("return batch[:, 0] * 1j"), "failed_start", "predict answered complex128"),
        (predicting("raise KeyError('w')"), "failed_start", "KeyError: 'w'"),
        (predicting("1").replace("pass", "raise SystemExit"), "failed_start", "tried to end the process"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_what_to_do(source: str, code: str, said: str, tmp_path: Path) -> None:
    refused = refusal(own(tmp_path, source))
    assert (refused.code, said in refused.message) == (code, True), refused


def test_the_traceback_of_a_mistake_is_in_the_log(tmp_path: Path) -> None:
    with HostProcess(own(tmp_path, predicting("1").replace("pass", "self.nothing.here()"))) as host:
        host.refused()
        assert f'File "{tmp_path}/predictor.py", line 3, in load' in host.words()
        assert "penstock/host" not in host.words(), "its author has nothing to mend there"


def test_a_file_with_the_name_of_another_module_is_not_imported(tmp_path: Path) -> None:
    for name in ("json.py", "numpy.py", "my-model.py"):
        assert "call it predictor.py" in refusal(own(tmp_path, predicting("1"), name)).message


def test_answers_that_change_their_names_fail_and_the_next_are_served(tmp_path: Path) -> None:
    body = "return {'a' if batch[0, 0] < 3 else 'b': batch[:, 0]}"
    with HostProcess(own(tmp_path, predicting(body))) as host:
        host.loaded()
        front = host.front()
        answer, _ = front.answer(ROWS + 3)
        assert "predict answered b where a was expected" in str(answer.error)
        assert front.ask(ROWS)[0].tolist() == [0.0, 3.0]


def test_code_that_nobody_vouched_for_does_not_run(tmp_path: Path) -> None:
    source = f"open({str(tmp_path / 'mark')!r}, 'w')\n" + predicting("1")
    refused = refusal(own(tmp_path, source, trusted=False))
    assert (refused.code, (tmp_path / "mark").exists()) == ("untrusted_artifact", False)
    changed = refusal(own(tmp_path, source, pinned="0" * 64))
    assert (changed.code, (tmp_path / "mark").exists()) == ("changed_artifact", False)


def test_what_was_hashed_is_what_runs(tmp_path: Path) -> None:
    """A cached .pyc of another content has no say."""
    of = own(tmp_path, predicting("return batch[:, 0] * 7"))
    import py_compile

    path = Path(of.path)
    path.write_text(predicting("return batch[:, 0] * 2"))
    py_compile.compile(of.path, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    path.write_text(predicting("return batch[:, 0] * 7"))
    with HostProcess(of) as host:
        host.loaded()
        assert host.front().ask(ROWS)[0].tolist() == [0.0, 21.0]


@pytest.mark.needs("torch")
def test_a_network_of_pytorch_is_served_from_its_weights(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    net = torch.nn.Linear(3, 2)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    source = """
import torch

class Predictor:
    signature = "3:float32"

    def load(self, path):
        self.net = torch.nn.Linear(3, 2)
        self.net.load_state_dict(torch.load(path / "net.pt", weights_only=True))

    @torch.inference_mode()
    def predict(self, batch):
        return torch.softmax(self.net(torch.from_numpy(batch)), dim=1)
"""
    rows = ROWS.astype(np.float32)
    with HostProcess(own(tmp_path, source, output=Shaping(labels=("no", "yes")))) as host:
        verdict = host.loaded()
        assert "torch" in verdict.libraries
        assert verdict.signature.inputs[0] == Field(name="f0", dtype="float32", origin="declared")
        _, _, stated = host.front().ask(rows, probabilities=True)
    with torch.inference_mode():
        wanted = torch.softmax(net(torch.from_numpy(rows)), dim=1).numpy()
    assert np.allclose(stated, wanted, atol=1e-6)


def test_two_batches_in_a_row_without_memory_end_the_process_and_one_does_not(tmp_path: Path) -> None:
    """What a leak has taken, only a new process gives back; and one batch may only have been too large."""
    body = "return batch[:, 0] if batch[0, 0] != 99 else bytearray(1 << 60)"
    with HostProcess(own(tmp_path, predicting(body))) as host:
        host.loaded()
        front = host.front()
        for _ in range(2):
            assert "MemoryError" in (front.answer(np.full((1, 3), 99.0))[0].error or "")
            assert front.ask(ROWS)[0].tolist() == [0.0, 3.0]
        for _ in range(2):
            assert front.answer(np.full((1, 3), 99.0))[0].error
        assert host.ended()
        assert "found no memory" in host.words()
