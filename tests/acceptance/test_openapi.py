"""The description of the service is true: schemathesis tries to catch it lying, with all its checks.

One of them has to be told something: a deadline that the client sets to next to nothing passes, and 504 is then right.
"""

import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from tests.acceptance.driver import penstock, serving

CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 504]
"""


SHAPED = """
all_zero: refuse
inputs:
  - {name: a, unit: cm}
  - {name: b, range: [0, 8]}
  - {name: c, categories: [1, 2], unknown: refuse}
  - {name: d}
output: {name: flower, labels: [S, E, V], top_k: 2}
"""
STORED = """
inputs: "a:float64,b:float64,c:float64,d:float64"
context:
  - {key: user, file: users.csv, features: {b: {default: 1.5}, d: {default: 0}}}
"""


@pytest.mark.soak
@pytest.mark.needs("schemathesis")
@pytest.mark.parametrize("manifest", ["", SHAPED, STORED], ids=["plain", "shaped", "stored"])
def test_schemathesis_finds_nothing(tmp_path: Path, scale: Callable[[int, int], int], manifest: str) -> None:
    """The model answers for every finite number: of one that raises on 1e308, a 500 would be the truth."""
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or "schemathesis"
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    data = load_iris()
    model = make_pipeline(QuantileTransformer(n_quantiles=50), LogisticRegression(max_iter=500))
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris" / "model.pkl").write_bytes(pickle.dumps(model.fit(data.data, data.target_names[data.target])))
    (tmp_path / "iris" / "model.yaml").write_text(manifest)
    (tmp_path / "iris" / "users.csv").write_text("user,b,d\nuser-1,2,3\n")
    assert penstock("lock", "iris", cwd=tmp_path).returncode == 0
    with serving("iris", "--compile", "off", cwd=tmp_path) as service:
        done = subprocess.run(
            [
                command, "run", f"http://127.0.0.1:{service.port}/openapi.json", "--checks", "all",
                "--max-examples", str(scale(3 if manifest else 8, 300)), "--seed", "7", "--no-color",
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=scale(300, 3600), check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-6000:]
        assert service.get("/ready").status == 200
