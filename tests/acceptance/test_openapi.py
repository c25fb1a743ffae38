"""The description of the service is true: schemathesis tries to catch it lying, with all its checks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.driver import serving


@pytest.mark.needs("schemathesis")
def test_schemathesis_finds_nothing(iris: Path, tmp_path: Path) -> None:
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or "schemathesis"
    with serving(iris, cwd=tmp_path) as service:
        done = subprocess.run(
            [
                command, "run", f"http://127.0.0.1:{service.port}/openapi.json", "--checks", "all",
                "--max-examples", "40", "--seed", "7", "--no-color",
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-6000:]
        assert service.get("/ready").status == 200
