"""The command line as a whole: its help, its exit codes, and one line for whatever goes wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import penstock
from penstock.cli import COMMANDS, main

PENSTOCK = [sys.executable, "-P", "-m", "penstock"]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"penstock {penstock.__version__}\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command_and_shows_examples(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {command} " in out for command in COMMANDS)
    assert "penstock serve model.pkl" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert out.startswith(f"usage: penstock {command} ")
    assert f"examples:\n  penstock {command}" in out
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["sreve", "x"], "penstock: 'sreve' is no command; did you mean 'serve'?\n"),
        (["model.pkl"], "penstock: 'model.pkl' is no command; did you mean 'penstock serve model.pkl'?\n"),
        (["xyzzy"], "penstock: 'xyzzy' is no command; penstock --help lists them\n"),
        (["serve"], "penstock: nothing to serve: name an artifact, a directory of models, or a penstock.yaml\n"),
        (["check"], "penstock: nothing to check: name an artifact, a directory of models, or a penstock.yaml\n"),
        (["serve", "modle.pkl"], "penstock: modle.pkl: no such file or directory; did you mean 'model.pkl'?\n"),
        (
            ["serve", "model.pkl", "--prot", "80"],
            "penstock: unknown argument --prot; did you mean '--port'? (penstock serve --help)\n",
        ),
        (
            ["serve", "model.pkl", "--port", "eighty"],
            "penstock: --port: expected an integer from 0 to 65535, got 'eighty'\n",
        ),
        (
            ["serve", "model.pkl", "--port"],
            "penstock: argument --port: expected one argument (penstock serve --help)\n",
        ),
        (["serve", ""], "penstock: an empty name names no model\n"),
        (["serve", "a\n\x1b[1mb"], "penstock: a\\n\\x1b[1mb: no such file or directory\n"),
        (["serve", "none.yaml"], "penstock: none.yaml: no such file or directory\n"),
        (["serve", "a.yaml", "b.yaml"], "penstock: one configuration at a time: a.yaml or b.yaml\n"),
        (["serve", "--config", "a.yaml", "b.yml"], "penstock: one configuration at a time: b.yml or a.yaml\n"),
        (["serve", "m/model.yaml"], "penstock: m/model.yaml belongs to a model: name its directory, m\n"),
        (
            ["serve", "a.pkl", "b.pkl", "--name", "x"],
            "penstock: --name is for one path; with several, write NAME=PATH\n",
        ),
        (["config", "models/"], "penstock: models/ is no penstock.yaml (penstock config --help)\n"),
        (["lock"], "penstock: the following arguments are required: PATH (penstock lock --help)\n"),
    ],
)
def test_wrong_usage_is_told_in_one_line_and_exits_with_2(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("model.pkl").write_bytes(b"x")
    assert main(words) == 2
    assert capsys.readouterr() == ("", complaint)


def test_debug_shows_where_it_happened() -> None:
    done = subprocess.run([*PENSTOCK, "serve", "none.pkl", "--debug"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ConfigurationError" in done.stderr


def test_what_nobody_foresaw_is_one_line_too() -> None:
    program = "import penstock.cli as c; c.COMMANDS['serve'] = 'penstock.errors'; c.main(['serve'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("penstock: this is a fault of Penstock's own: AttributeError: ")
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -P -m penstock config --reference | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("# Configuration\n", "")


def test_ctrl_c_is_quiet() -> None:
    """While a model is loading, whose process ends with the command."""
    Path("slow.py").write_text("import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(60)\n")
    Path("slow.pkl").write_bytes(b"cslow\nThing\n.")
    attentive = ["env", "--default-signal=INT"]  # a background job of a shell is born deaf to it
    checking = subprocess.Popen(
        [*attentive, *PENSTOCK, "check", "slow.pkl", "--code-path", "slow.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not Path("started").exists():
        assert checking.poll() is None
        time.sleep(0.02)
    checking.send_signal(signal.SIGINT)
    out, errors = checking.communicate(timeout=20)
    assert (checking.returncode, out, errors) == (130, b"", b"")


def test_the_working_directory_is_never_searched(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "penstock.yaml").write_text("models: {a: {path: a.pkl}}")
    (here / "model.pkl").write_bytes(b"x")
    assert main(["serve"]) == 2
    assert "nothing to serve" in capsys.readouterr().err


def test_nothing_heavy_is_imported_on_the_way_to_serving(iris: bytes) -> None:
    """The supervisor stays small, and its start short: see also test_layers."""
    Path("iris.pkl").write_bytes(iris)
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import penstock.cli, penstock.supervisor.service as service\n"
        "service.serve = lambda *_, **__: print(*set(sys.modules) - before) or 0\n"
        "penstock.cli.main(['serve', 'iris.pkl'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "penstock.supervisor.service" in loaded
    assert not loaded & {
        "yaml",
        "hashlib",
        "asyncio",
        "tempfile",
        "difflib",
        "json",
        "subprocess",
        "numpy",
        "sklearn",
        "ssl",
    }


def test_the_environment_counts_for_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.yaml").write_text("server: {port: 1, host: '::1'}")
    monkeypatch.setitem(os.environ, "PENSTOCK_CONFIG", "a.yaml")
    monkeypatch.setitem(os.environ, "PENSTOCK_PORT", "2")
    assert main(["config", "--workers", "3"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["server.host", "::1", "a.yaml"] in lines
    assert ["server.port", "2", "PENSTOCK_PORT"] in lines
    assert ["server.workers", "3", "--workers"] in lines
