"""A service that is measured is ready when it is handed out, is gone afterwards, and says why it did not start."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli.profiling.shortlived import get, service
from penstock.cli.profiling.traffic import load, requests
from penstock.errors import FailedStart
from tests.acceptance.driver import wait_until
from tests.host.nets import linear


def test_it_answers_until_it_is_let_go() -> None:
    linear(Path("net.onnx"))
    with service(["net.onnx"], 60) as port:
        asked = requests("/predict", [b'{"features": [1, 2, 3]}', b'{"features": [1, 2]}'])
        traffic = load(port, asked, 3, 0.2)
        assert len(traffic.trips) >= 3
        assert 0 < traffic.errors < len(traffic.trips), "every other request has too few features"
        assert traffic.seconds >= 0.2
    with pytest.raises(ConnectionRefusedError):
        get(port, "/ready")


def test_it_does_not_outlive_who_measures_it() -> None:
    linear(Path("net.onnx"))
    program = """
import os
from penstock.cli.profiling.shortlived import service
with service(["net.onnx"], 60) as port:
    print(port, flush=True)
    os.kill(os.getpid(), 9)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    port = int(told.stdout)
    wait_until(lambda: not listens(port), "gone")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_one_that_does_not_start_says_why() -> None:
    said = "the service to be measured did not start: gone.onnx: no such file or directory"
    with pytest.raises(FailedStart, match=said), service(["gone.onnx"], 60):
        pass
