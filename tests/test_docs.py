"""Runs what README.md, docs/ and examples/ say.

A page is one session: its blocks run in order, in one shell, in an empty directory, against the installed package.
A page in examples/ begins with a copy of the files beside it.

- ```` ```console ```` holds commands, each after `$ `, and below a command what it prints. Printed JSON must be the
  same document, but for times and ids and the last digits of numbers; other text the same, where `…` stands for
  anything. A command that ends in `&` is a server: the session goes on when it is ready. `make` and `pip install` are
  not run, but what they name must exist.
- a second word after the language is a file: ```` ```python train.py ```` is written to `train.py`.
- ```` ```python ```` alone is run, ```` ```yaml ```` and ```` ```json ```` are parsed, ```` ```text ```` is a drawing.
- `<!-- needs: jq, keras -->` names programs and Python packages without which the page cannot be run.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

import pytest
import yaml

from tests.interpreter import warm

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("examples/*/README.md"))]
BLOCK = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"<!-- needs: (.*) -->")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
CHANGING = {"latency_ms", "timestamp", "request_id"}
PAGE_S = 180
AWAIT = """
until curl -skf -o /dev/null {scheme}://127.0.0.1:{port}/ready
do kill -0 $! 2>/dev/null || {{ cat server.log; exit 1; }}; sleep 0.05
done"""


class Block(NamedTuple):
    language: str
    file: str | None
    text: str


class Command(NamedTuple):
    line: str
    printed: str


def blocks(page: Path) -> list[Block]:
    return [Block(language, file or None, text) for language, file, text in BLOCK.findall(page.read_text())]


def commands(text: str) -> Iterator[Command]:
    """Each command with what is printed below it; lines that end in a backslash go on."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        end = next(number for number, line in enumerate(lines, 1) if not line.endswith("\\\n"))
        yield Command("".join(lines[:end]).strip(), "".join(lines[end:]).strip())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Session:
    """One shell with the package's programs on its PATH behind those in `programs`, on a port of its own, not 8000."""

    def __init__(self, folder: Path, programs: Path, environment: dict[str, str]) -> None:
        self.port = str(free_port())
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=os.environ | environment | {"PATH": path, "PENSTOCK_PORT": self.port},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._limit = Timer(PAGE_S, self._kill)
        self._limit.start()

    def run(self, line: str) -> str:
        """What the command prints. It must succeed."""
        line = line.replace("8000", self.port)
        if line.endswith("&"):
            ready = AWAIT.format(scheme="https" if "--tls-cert" in line else "http", port=self.port)
            line = f"{line[:-1]} >> server.log 2>&1 &{ready}"
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{line}\nprintf '\\036%d\\n' $?\n")
        self._shell.stdin.flush()
        printed: list[str] = []
        while "\036" not in (text := self._shell.stdout.readline()):
            assert text, f"{line}\n{''.join(printed)}\nand that was the end of the shell"
            printed.append(text)
        before, _, status = text.partition("\036")
        printed.append(before)
        assert status.strip() == "0", f"{line}\n{''.join(printed)}"
        return "".join(printed).replace(self.port, "8000").strip()

    def close(self) -> None:
        """Stops the servers that the page started, and ends the shell."""
        self._limit.cancel()
        assert self._shell.stdin is not None
        with suppress(BrokenPipeError):
            self._shell.stdin.write("kill -INT $(jobs -p) 2>/dev/null; wait; exit\n")
            self._shell.stdin.flush()
        try:
            self._shell.wait(20)
        except subprocess.TimeoutExpired:
            self._kill()
        self._shell.communicate()

    def _kill(self) -> None:
        os.killpg(self._shell.pid, signal.SIGKILL)


def same(printed: Any, shown: Any) -> bool:
    """Whether two JSON documents agree, but for what changes from run to run."""
    if isinstance(shown, dict) and isinstance(printed, dict):
        return shown.keys() == printed.keys() and all(
            key in CHANGING or same(printed[key], value) for key, value in shown.items()
        )
    if isinstance(shown, list) and isinstance(printed, list):
        return len(shown) == len(printed) and all(map(same, printed, shown))
    if isinstance(shown, float):
        return bool(printed == pytest.approx(shown, abs=1e-3))
    return bool(printed == shown)


def agrees(printed: str, shown: str) -> bool:
    """Whether what a command printed is what the page shows."""
    with suppress(ValueError):
        return same(json.loads(printed), json.loads(shown))
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


def named_things_exist(line: str) -> None:
    """The targets of a `make` and the extras of a `pip install`, which is of a clone: the name on PyPI is not ours."""
    if line.startswith("make "):
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert line.split()[1] in targets, line
    else:
        assert "penstock" not in line, line
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for extras in re.findall(r"\[([\w,]+)\]", line):
            assert set(extras.split(",")) <= known.keys(), line


def follow(session: Session, block: Block, folder: Path) -> None:
    """Does with one block what its language says."""
    if block.file:
        (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / block.file).write_text(block.text.replace("8000", session.port))
    elif block.language == "console":
        for command in commands(block.text):
            if command.line.startswith(("make ", "pip install ")):
                named_things_exist(command.line)
                continue
            printed = session.run(command.line)
            if command.printed:
                assert agrees(printed, command.printed), f"{command.line}\n{printed}\n\nshown:\n{command.printed}"
    elif block.language == "python":
        (folder / "block.py").write_text(block.text)
        session.run("python block.py")
    elif block.language == "yaml":
        yaml.safe_load(block.text)
    elif block.language == "json":
        json.loads(block.text)
    else:
        assert block.language == "text", f"a block of {block.language or 'no language'} is neither run nor checked"


def shows_compiling(page: Path) -> bool:
    """Whether anything that is run or printed is about it; other pages are spared the seconds that it takes."""
    return any("compil" in block.text for block in blocks(page) if block.language != "text")


def runnable(page: Path) -> Any:
    """The page as a parameter, with what it says that it needs."""
    wanted = [name.strip() for names in NEEDS.findall(page.read_text()) for name in names.split(",")]
    return pytest.param(page, marks=pytest.mark.needs("curl", *wanted), id=str(page.relative_to(ROOT)))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a `python` that is quick to start."""
    folder = tmp_path_factory.mktemp("programs")
    with warm(folder):
        yield folder


@pytest.mark.parametrize("page", [runnable(page) for page in PAGES])
def test_what_a_page_says_is_so(page: Path, programs: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="penstock-docs-") as name:
        if page.is_relative_to(ROOT / "examples"):
            shutil.copytree(page.parent, name, dirs_exist_ok=True)
        session = Session(Path(name), programs, {} if shows_compiling(page) else {"PENSTOCK_COMPILE": "off"})
        try:
            for block in blocks(page):
                follow(session, block, Path(name))
        finally:
            session.close()
            for log in Path(name).glob("server.log"):
                print(log.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


def test_every_page_can_be_reached_from_the_first() -> None:
    seen, queue = set(), [PAGES[0]]
    while queue:
        page = queue.pop().resolve()
        if page not in seen:
            seen.add(page)
            queue += [page.parent / link for link in LINK.findall(page.read_text()) if link.endswith(".md")]
    assert {page.resolve() for page in PAGES} <= seen


@pytest.mark.parametrize(
    ("printed", "shown", "verdict"),
    [
        ('{"a": 1.00001, "latency_ms": 3}', '{"a": 1.0, "latency_ms": 0.2}', True),
        ('{"a": 2.0}', '{"a": 1.0}', False),
        ('{"a": 1, "b": 2}', '{"a": 1}', False),
        ("iris  sklearn  ready in 0.31 s", "iris  sklearn  ready in … s", True),
        ("iris  onnx  ready in 0.31 s", "iris  sklearn  ready in … s", False),
    ],
)
def test_what_is_printed_is_compared_loosely_but_not_too_loosely(printed: str, shown: str, verdict: bool) -> None:
    assert agrees(printed, shown) is verdict
