"""The locustfile: a real Locust asks a real service for single rows and batches, and all of them are answered."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.driver import Service, serving
from tests.deploy.driver import EXAMPLES


@pytest.fixture(scope="module")
def service(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(site / "penstock.yaml", "--limits-rows", "100", cwd=tmp_path_factory.mktemp("locust")) as started:
        yield started


def locust(service: Service, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Its exit status, and its figures for each path."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "locust",
        "--locustfile",
        EXAMPLES / "locustfile.py",
        "--headless",
        "--json",
    ]
    command += ["--host", f"http://127.0.0.1:{service.port}", "--users", "20", "--spawn-rate", "20"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    return done.returncode, {each["name"]: each for each in json.loads(done.stdout)}


def test_every_path_of_the_service_is_asked_and_answers(service: Service) -> None:
    status, figures = locust(service, "--run-time", "2s")
    assert (status, sum(each["num_failures"] for each in figures.values())) == (0, 0)
    assert set(figures) == {"/predict", "/models/iris/predict", "/predict-batch", "/models/iris/predict-batch"}
    batches = [line for line in service.lines("prediction") if line["rows"] == 32]
    assert len(batches) == sum(each["num_requests"] for path, each in figures.items() if path.endswith("batch"))


def test_what_fails_is_told(service: Service) -> None:
    status, figures = locust(service, "--run-time", "1s", "--batch-rows", "101")
    assert status == 1
    assert figures["/predict-batch"]["num_failures"] == figures["/predict-batch"]["num_requests"] > 0
    assert figures["/predict"]["num_failures"] == 0
