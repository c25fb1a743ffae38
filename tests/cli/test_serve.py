"""`penstock serve`: from words to a service, or to one line and exit code 1."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli import main
from tests.host.nets import linear

SERVE = [sys.executable, "-P", "-m", "penstock", "serve"]


def test_one_artifact_that_cannot_be_loaded_is_one_line_and_exit_code_1() -> None:
    Path("iris.pkl").write_bytes(b"no pickle")
    done = subprocess.run([*SERVE, "iris.pkl", "--port", "0"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("penstock: cannot serve iris: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("net.keras", "penstock: cannot serve net: {here}/net.keras: .keras files are not served as they are: export"),
        ("net.txt", "penstock: cannot serve net: {here}/net.txt: the extension says what an artifact is"),
    ],
)
def test_what_is_refused_beforehand_starts_no_process(
    file: str, complaint: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(file).write_bytes(b"x")
    assert main(["serve", file]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(complaint.format(here=here))


def test_a_pickle_in_a_directory_is_refused_with_the_command_that_allows_it(
    iris: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("models/iris").mkdir(parents=True)
    Path("models/iris/model.pkl").write_bytes(iris)
    assert main(["serve", "models/"]) == 1
    assert capsys.readouterr().err.endswith("if you trust it, run: penstock lock models/\n")


def test_a_served_model_may_be_given_a_name(here: Path) -> None:
    """Told by the log, to which the service writes until it is stopped."""
    linear(here / "model.onnx")
    service = subprocess.Popen([*SERVE, "model.onnx", "--name", "flowers", "--port", "0"], stdout=subprocess.PIPE)
    assert service.stdout is not None
    try:
        line = next(line for line in service.stdout if b'"model_ready"' in line)
        assert b'"model":"flowers"' in line
        os.kill(service.pid, signal.SIGINT)
        service.stdout.read()
        assert service.wait(timeout=30) == 0
    finally:
        service.kill()
        service.wait()
        service.stdout.close()


def test_what_is_passed_over_is_told(iris: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    for version in ("1", "2"):
        Path("models/iris", version).mkdir(parents=True)
        Path("models/iris", version, "m.pkl").write_bytes(iris)
    assert main(["serve", "models"]) == 1
    assert capsys.readouterr().err.startswith("penstock: iris: loading version 2, and not 1 (load is latest:1)\n")


STORE = "PYTHONPATH says in which directory it is"


@pytest.mark.parametrize(
    ("words", "path"), [(SERVE, ""), ([sys.executable, "-m", "penstock", "serve"], ""), (SERVE, ".")]
)
def test_the_module_of_a_store_has_to_be_where_the_fronts_find_it(words: list[str], path: str, here: Path) -> None:
    """Also where the command itself would find it, in its own directory. It is not run to see that."""
    Path("my_stores.py").write_text("open('run', 'w')\nclass Users: ...\n")
    Path("penstock.yaml").write_text("stores: {users: {python: 'my_stores.users:Users'}}")
    theirs = os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [*words, "penstock.yaml"],
        env={**os.environ, "PYTHONPATH": theirs},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    complaint = f"stores.users.python: there is no module 'my_stores': {STORE}"
    assert (done.returncode, complaint in done.stderr, Path("run").exists()) == (2, not path, False)
