"""The benchmark runs, and every server in it gives the model's own answers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "benchmarks" / "bench.py"


@pytest.mark.needs("wrk", "skl2onnx", "structlog")
def test_each_server_is_checked_and_measured() -> None:
    options = ["--cells", "iris:1x1", "--rounds", "1", "--seconds", "1", "--warmup", "0"]
    done = subprocess.run([sys.executable, BENCH, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^\| iris:1x1 \| (\w+) \|", done.stdout, re.MULTILINE) == [
        "naive",
        "lane",
        "batched",
        "penstock",
        "bare",
    ]
