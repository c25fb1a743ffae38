"""Doubles that leak, a little with each request: a model, and a front. What does not find these finds nothing."""

import importlib.util
import pickle
import sys
from pathlib import Path

LEAK = 512  # bytes

MODEL = f'''
import numpy as np

class Leaking:
    """Answers which of the first three features is the largest, and never forgets that it was asked."""

    n_features_in_ = 4

    def __init__(self):
        self.asked = []

    def predict(self, rows):
        self.asked += [bytes({LEAK}) for _ in rows]
        return np.asarray(rows)[:, :3].argmax(axis=1)
'''

SITE = f"""
import sys

if "penstock.front" in sys.orig_argv:
    from penstock.interface.accounts import Accounts

    kept, begun = [], Accounts.begun

    def begun_and_kept(accounts):
        kept.append(bytes({LEAK}))
        begun(accounts)

    Accounts.begun = begun_and_kept
"""


def leaking_model(folder: Path) -> list[str | Path]:
    """The arguments that serve a model, named "largest", that keeps something of each batch."""
    code, artifact = folder / "leaking_model.py", folder / "largest.pkl"
    code.write_text(MODEL)
    spec = importlib.util.spec_from_file_location(code.stem, code)
    assert spec
    assert spec.loader
    module = sys.modules[code.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    artifact.write_bytes(pickle.dumps(module.Leaking()))
    del sys.modules[code.stem]
    return [artifact, "--code-path", code]


def leaking_fronts(folder: Path) -> dict[str, str]:
    """The environment in which every front keeps something of each request."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    return {"PYTHONPATH": f"{site}:{Path(__file__).parents[2] / 'src'}"}
