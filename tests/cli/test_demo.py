"""`penstock demo`: two models, three requests that work, and a service that ends when told to."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from penstock.cli import demo, main


def await_ready(out: Path, service: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and service.poll() is None:
        address = re.search(r"http://127\.0\.0\.1:\d+", out.read_text())
        with contextlib.suppress(urllib.error.URLError):
            if address:
                urllib.request.urlopen(f"{address[0]}/ready").close()
                return
        time.sleep(0.05)
    raise AssertionError("the demonstration did not become ready")


@pytest.mark.needs("curl")
def test_the_demonstration_serves_what_its_requests_ask(here: Path) -> None:
    with (here / "out").open("w") as out:
        command = [sys.executable, "-P", "-m", "penstock", "demo", "try", "--port", "0"]
        service = subprocess.Popen(command, stdout=out, stderr=out, text=True)
        try:
            await_ready(here / "out", service)
            printed = (here / "out").read_text()
            requests = [line for line in printed.splitlines() if line.startswith("curl ")]
            answers = [json.loads(subprocess.check_output(line, shell=True)) for line in requests]
            service.send_signal(signal.SIGINT)
            assert service.wait(timeout=30) == 0
        finally:
            service.kill()
            service.wait()
    assert "Wrote iris.pkl, cancer.pkl and cancer-rows.json to try." in printed
    assert answers[0]["prediction"] == "setosa"
    assert answers[1]["predictions"] == ["setosa", "virginica"]
    assert answers[2]["predictions"] == ["malignant", "benign", "benign"]
    assert [answer["model"] for answer in answers] == ["iris", "iris", "cancer"]


def test_a_port_that_is_none_is_told_before_anything_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--port", "x"]) == 2
    assert capsys.readouterr() == ("", "penstock: --port: expected an integer from 0 to 65535, got 'x'\n")
    assert not Path("penstock-demo").exists()


def test_a_port_that_is_taken_is_told_before_anything_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 2
    assert capsys.readouterr() == (
        "",
        f"penstock: port {port} is taken by another program; choose another with --port\n",
    )
    assert not Path("penstock-demo").exists()


def test_without_scikit_learn_the_remedy_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(demo.NEEDED, "no_such_module_at_all", "something")
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "penstock: the demo needs something: pip install scikit-learn joblib pandas\n"
    assert not Path("penstock-demo").exists()
