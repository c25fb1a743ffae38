"""The locustfile: a real Locust asks a real service for single rows and batches, and all of them are answered."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.driver import Service, serving, wait_until
from tests.deploy.driver import EXAMPLES

SINGLE = {"/predict", "/models/{name}/predict"}
BATCH = {"/predict-batch", "/models/{name}/predict-batch"}
USERS = 20
COUNTED = re.compile(r'penstock_requests_total\{.*?route="(.*?)".*?status="(\d+)".*? (\S+)')


@pytest.fixture(scope="module")
def service(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("locust")
    with serving(site / "penstock.yaml", "--limits-rows", "100", cwd=folder) as started:
        yield started


def locust(service: Service, *arguments: str, until: set[tuple[str, str]]) -> tuple[int, dict[str, dict[str, Any]]]:
    """Its exit status and its figures for each path, when the service has often given each route the status in
    `until`."""
    command: list[str | Path] = [sys.executable, "-m", "locust", "--locustfile", EXAMPLES / "locustfile.py"]
    command += ["--host", f"http://127.0.0.1:{service.port}", "--users", str(USERS), "--spawn-rate", "20"]
    command += ["--headless", "--json", "--stop-timeout", "10", *arguments]
    before = counted(service)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            wait_until(lambda: asked_often(counted(service) - before, until), f"{until}", service.explain)
            running.terminate()
            printed, errors = running.communicate(timeout=30)
        finally:
            running.kill()
    assert printed, errors
    return running.returncode, {each["name"]: each for each in json.loads(printed)}


def asked_often(counts: Counter[tuple[str, str]], until: set[tuple[str, str]]) -> bool:
    """Whether there were more answers of each kind than users: so somebody has asked again, having read the first."""
    return all(counts[each] > USERS for each in until)


def counted(service: Service) -> Counter[tuple[str, str]]:
    """How often each route was asked with each status for an answer."""
    counts: Counter[tuple[str, str]] = Counter()
    for route, status, count in COUNTED.findall(service.get("/metrics").body.decode()):
        counts[route, status] += int(float(count))
    return counts


def test_every_path_of_the_service_is_asked_and_answers(service: Service) -> None:
    status, figures = locust(service, until={(route, "200") for route in SINGLE | BATCH})
    assert (status, sum(each["num_failures"] for each in figures.values())) == (0, 0)
    assert set(figures) == {"/predict", "/models/iris/predict", "/predict-batch", "/models/iris/predict-batch"}
    batches = sum(each["num_requests"] for path, each in figures.items() if path.endswith("batch"))
    wait_until(lambda: sum(line["rows"] == 32 for line in service.lines("prediction")) == batches, f"{batches} batches")


def test_what_fails_is_told(service: Service) -> None:
    refused = {(route, "422") for route in BATCH}
    status, figures = locust(service, "--batch-rows", "101", until=refused | {("/predict", "200")})
    assert status == 1
    assert figures["/predict-batch"]["num_failures"] == figures["/predict-batch"]["num_requests"] > 0
    assert figures["/predict"]["num_failures"] == 0
