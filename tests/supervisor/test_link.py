"""A link passes on every message, closes what it has sent, and tells of the end last."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.model.control import Artifact, Attach, Load, Loaded, Progress, Stop
from penstock.supervisor.link import Link
from penstock.supervisor.loop import Loop
from penstock.supervisor.processes import Child, Exit, start_host
from tests.supervisor import children
from tests.supervisor.driver import alive


class LateEars(Loop):
    """Hears that a process has ended, but never what it says before: as if both came at once."""

    def watch(
        self, descriptor: int, readable: Callable[[], object], writable: Callable[[], object] | None = None
    ) -> None:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            super().watch(descriptor, readable, writable)


@pytest.fixture
def heard() -> list[Any]:
    return []


def host() -> Child:
    return start_host(1, 1, 2, children.HOST)


def load(path: Path, words: str) -> Load:
    path.write_text(words)
    return Load("m", "1", Artifact(path=str(path), format="pickle", root=str(path.parent)))


def test_last_words_are_heard_although_the_process_has_ended(tmp_path: Path, heard: list[Any]) -> None:
    with LateEars() as loop:
        link = Link(loop, host(), heard.append, heard.append)
        link.send(load(tmp_path / "model", "exit 3"))
        while Exit(3) not in heard:
            loop.turn(10)
    assert [type(message) for message in heard] == [Progress, Exit]


def test_more_than_the_kernel_holds_is_sent_when_there_is_room(tmp_path: Path, heard: list[Any]) -> None:
    ours, theirs = socket.socketpair()
    os.mkfifo(gate := tmp_path / "gate")
    with Loop() as loop, ours:
        link = Link(loop, host(), heard.append, heard.append)
        link.send(load(tmp_path / "model", f"wait {gate}"))
        for front in range(20_000):
            link.send(Attach(front))
        link.send(Attach(0), [theirs])
        assert theirs.fileno() >= 0
        gate.write_bytes(b"")
        link.send(Stop())
        while Exit(0) not in heard:
            loop.turn(10)
    assert theirs.fileno() == -1
    assert [type(message) for message in heard] == [Progress, Loaded, Exit]


def test_a_child_that_closes_its_channel_is_killed(tmp_path: Path, heard: list[Any]) -> None:
    with Loop() as loop:
        link = Link(loop, host(), heard.append, heard.append)
        link.send(load(tmp_path / "model", "hangup\nsleep 60"))
        while Exit(-9) not in heard:
            loop.turn(10)
    assert not alive(link.pid)
