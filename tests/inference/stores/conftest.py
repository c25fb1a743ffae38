"""A log that tests can read, as stores write it."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from penstock.config import Logs
from penstock.observability.logs import Log, open_log

Told = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def log(tmp_path: Path, ending: ExitStack) -> Log:
    opened = open_log(Logs(format="json", file=str(tmp_path / "log")), "front-0")
    ending.callback(opened.close)
    return opened


@pytest.fixture
def told(tmp_path: Path, log: Log, ending: ExitStack) -> Told:
    """Closes the log, and gives its lines."""

    def read() -> list[dict[str, Any]]:
        ending.close()
        return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]

    return read
