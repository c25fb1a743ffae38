"""The service manager is told by real datagrams when the start is over and when the end begins, and by nobody else."""

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.config import Logs
from penstock.observability.logs import open_log
from penstock.supervisor.manager import VARIABLE, Manager
from tests.supervisor.driver import SOON_S, Running, source


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """What systemd holds at its end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0"))
        receiver.settimeout(SOON_S)
        yield receiver


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory whose path is short enough for a socket's address."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("abstract", [False, True], ids=["a path", "an abstract name"])
def test_both_kinds_of_address_are_understood_and_the_start_is_over_once(abstract: bool, place: Path) -> None:
    address = f"@penstock-{os.getpid()}" if abstract else str(place / "notify")
    with listening(address) as receiver:
        manager = Manager({VARIABLE: address}, open_log(Logs(), "supervisor"))
        manager.ready("Serving")
        manager.ready("Serving again")
        manager.stopping("Draining")
        assert [receiver.recv(999) for _ in range(2)] == [b"READY=1\nSTATUS=Serving", b"STOPPING=1\nSTATUS=Draining"]


@pytest.mark.parametrize("said", [{}, {VARIABLE: ""}], ids=["unset", "empty"])
def test_nothing_is_sent_where_nobody_asked(said: dict[str, str], tmp_path: Path) -> None:
    log = open_log(Logs(file=str(tmp_path / "log")), "supervisor")
    Manager(said, log).ready("Serving")
    log.close()
    assert (tmp_path / "log").read_text() == ""


def test_a_manager_that_is_not_there_costs_a_line_in_the_log_and_nothing_else(tmp_path: Path) -> None:
    log = open_log(Logs(file=str(tmp_path / "log")), "supervisor")
    Manager({VARIABLE: str(tmp_path / "gone")}, log).ready("Serving")
    log.close()
    line = json.loads((tmp_path / "log").read_text())
    assert (line["event"], line["state"]) == ("manager_not_told", "READY=1")


def test_the_start_is_over_when_each_model_is_ready_or_refused(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(place / "notify"))
    sources = [source(tmp_path / "slow", "sleep 1"), source(tmp_path / "broken", "exit 1")]
    with listening(str(place / "notify")) as receiver, Running(tmp_path, *sources) as service:
        told = receiver.recv(999).decode()
        assert told == f"READY=1\nSTATUS=Serving on {service.event('listening')['url']}, without broken"
        assert [service.state(i)["state"] for i in (0, 1)] == ["ready", "refused"]
        environments = [Path(f"/proc/{child}/environ").read_bytes() for child in service.children()]
        assert len(environments) == 2
        assert not any(VARIABLE.encode() in environment for environment in environments), "no child speaks for us"
        assert service.stop() == 0
        assert receiver.recv(999) == b"STOPPING=1\nSTATUS=Draining"


def test_a_service_that_fails_never_says_that_it_is_ready(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(place / "notify"))
    broken = source(tmp_path / "broken", "exit 1")
    with listening(str(place / "notify")) as receiver, Running(tmp_path, broken, strict=True) as service:
        assert "cannot serve broken" in service.complaint()
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recv(999)
