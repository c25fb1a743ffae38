"""A model in a process of its own answers one batch after the other, or its loss is told."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.cli.hosted import Hosted, hosted
from penstock.cli.packing.wire import answered, encoded
from penstock.configuration import load
from penstock.errors import HostLost
from penstock.model.control import Refused
from penstock.model.repository import resolve
from tests.host.nets import linear


@contextmanager
def model(path: str, **flags: str) -> Iterator[Hosted]:
    said = {f"models.*.{name}": [text] for name, text in flags.items()}
    (source,) = resolve([path], load(flags=said)).sources
    with hosted(source, lambda stage: None) as found:
        assert isinstance(found, Hosted), found
        yield found


def asked(of: Hosted, *rows: list[float]) -> list[float]:
    signature = of.loaded.signature
    answer, payload = of.ask(len(rows), *encoded(signature, rows))
    return [each.prediction for each in answered(answer, payload, signature.output, rows)]


def test_each_batch_gets_its_own_answer_also_a_large_one() -> None:
    linear(Path("net.onnx"))
    many = [[float(number), 0.0, 0.0] for number in range(100_000)]
    with model("net.onnx") as net:
        assert asked(net, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]) == [1.0, 2.0]
        assert asked(net, [0.0, 0.0, 1.0]) == [3.0]
        assert asked(net, *many) == [float(number) for number in range(100_000)]
        assert asked(net, [0.0, 0.0, 2.0]) == [6.0]


def test_a_model_that_cannot_be_loaded_says_why() -> None:
    Path("net.onnx").write_bytes(b"no graph")
    (source,) = resolve(["net.onnx"], load()).sources
    with hosted(source, lambda stage: None) as found:
        assert isinstance(found, Refused)
        assert found.code == "unreadable_artifact"


@pytest.mark.parametrize(
    ("what", "within", "told"),
    [
        ("os._exit(3)", "30", "the model's process died"),
        ("time.sleep(60)", "0.5", "the model did not answer within 0.5 s"),
    ],
)
def test_a_model_that_dies_or_hangs_is_told_of(what: str, within: str, told: str) -> None:
    Path("own.py").write_text(f"""
import os, time
class Model:
  n_features_in_ = 1
  def predict(self, rows):
    if rows[0] == 13: {what}
    return [0.0] * len(rows)
""")
    program = "import own, pickle; pickle.dump(own.Model(), open('m.pkl', 'wb'))"
    subprocess.run([sys.executable, "-c", program], check=True)
    words = {"code_path": "own.py", "compile": "off", "predict_timeout_s": within}
    with model("m.pkl", **words) as fatal, pytest.raises(HostLost, match=told):
        asked(fatal, [13.0])
