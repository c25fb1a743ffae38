"""Damaged files: refused, or a process that works; never a hang, and never a traceback for an answer."""

import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penstock.model.control import Loaded, Refused
from tests.host.driver import Died, HostProcess, artifact

X, Y = load_iris(return_X_y=True)
MODEL = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
LONGEST_LOAD_S = 30.0


def mutations(good: bytes, count: int) -> Iterator[bytes]:
    """Copies of `good` with bytes changed, cut out, doubled or put in; the same ones every time."""
    chance = random.Random(20261123)
    for _ in range(count):
        bad = bytearray(good)
        for _ in range(chance.choice([1, 1, 4, 16])):
            at, length = chance.randrange(len(bad)), chance.randrange(1, 40)
            change = chance.choice(["flip", "noise", "cut", "double", "end"])
            if change == "flip":
                bad[at] ^= 1 << chance.randrange(8)
            elif change == "noise":
                bad[at : at + length] = chance.randbytes(length)
            elif change == "cut":
                del bad[at : at + length]
            elif change == "double":
                bad[at:at] = bad[at : at + length]
            elif len(bad) > 100:
                del bad[-length:]
        yield bytes(bad)


def fate(path: Path, rows: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> str:
    """What becomes of a host that loads `path`: refused, died, or serves, which it must then really do."""
    with HostProcess(artifact(path)) as host:
        try:
            verdict: Loaded | Refused = host.verdict(LONGEST_LOAD_S)
        except Died:
            return "died"
        if isinstance(verdict, Refused):
            assert "Traceback" not in verdict.message
            assert len(verdict.message) < 1000
            return "refused"
        tensor = verdict.signature.tensors()[0]
        host.front().answer(rows[:, : len(tensor.fields)].astype(tensor.dtype))
        return "serves"


@pytest.mark.soak
@pytest.mark.parametrize(("name", "short"), [("model.pkl", 50), ("model.onnx", 6)])
def test_a_damaged_file_is_refused_or_served_and_hangs_nothing(
    name: str, short: int, tmp_path: Path, scale: Callable[[int, int], int]
) -> None:
    good = pickle.dumps(MODEL) if name == "model.pkl" else to_onnx(MODEL, X[:1].astype(np.float32)).SerializeToString()
    path = tmp_path / name
    path.write_bytes(good)
    assert fate(path, X) == "serves"
    fates = []
    for bad in mutations(good, scale(short, 1000 if name == "model.pkl" else 100)):
        path.write_bytes(bad)
        fates.append(fate(path, X))
    assert fates.count("refused") > len(fates) / 2
