"""A child is born with its channel, nothing else of ours, and ends without a trace."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from penstock.model.control import Artifact, Load, Loaded, Progress
from penstock.supervisor.processes import THREADS, ChildFailed, Exit, host_environment, lone_host, start_front
from tests.supervisor import children
from tests.supervisor.driver import alive, eventually


def load(path: Path, words: str) -> Load:
    path.write_text(words)
    return Load("m", "1", Artifact(path=str(path), format="pickle", root=str(path.parent)))


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (-11, "the process died with SIGSEGV", "signal"),
        (-64, "the process died with SIGRTMAX", "signal"),
        (-40, "the process died with signal 40", "signal"),
        (3, "the process exited with status 3", "exit"),
    ],
)
def test_an_end_is_told_in_words(code: int, words: str, kind: str) -> None:
    assert (str(Exit(code)), Exit(code).kind) == (words, kind)


def test_a_host_inherits_what_libraries_need_and_nothing_else() -> None:
    ours = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s", "CUDA_VISIBLE_DEVICES": "1", "MKL_NUM_THREADS": "7"}
    theirs = host_environment(ours, threads=2)
    assert theirs == {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1"} | dict.fromkeys(THREADS, "2") | {
        "MKL_NUM_THREADS": "7",
        "ORT_DISABLE_TELEMETRY": "1",
    }


def test_a_lone_host_can_be_talked_to_without_a_loop(tmp_path: Path) -> None:
    with lone_host(1, children.HOST) as host:
        host.channel.send(load(tmp_path / "model", f"environment {tmp_path / 'environment'}"))
        heard = []
        for message in host.messages(within=10):
            heard.append(message)
            if isinstance(message, Loaded):
                break
        assert [type(message) for message in heard] == [Progress, Loaded]
        assert json.loads((tmp_path / "environment").read_text())["OMP_NUM_THREADS"] == "1"
    assert not alive(host.pid)


def test_messages_end_with_the_process(tmp_path: Path) -> None:
    with lone_host(1, children.HOST) as host:
        host.channel.send(load(tmp_path / "model", "exit 3"))
        assert [type(message) for message in host.messages(within=10)] == [Progress]


@pytest.mark.parametrize(
    ("words", "within", "told"), [("sleep 60", 0.3, r"did not answer within 0\.3 s"), ("babble", 10, "not a message")]
)
def test_a_host_that_is_silent_or_talks_nonsense_is_given_up(
    tmp_path: Path, words: str, within: float, told: str
) -> None:
    with lone_host(1, children.HOST) as host:
        host.channel.send(load(tmp_path / "model", words))
        with pytest.raises(ChildFailed, match=told):
            list(host.messages(within))


def test_what_a_host_has_started_itself_ends_with_it(tmp_path: Path) -> None:
    with lone_host(1, children.HOST) as host:
        host.channel.send(load(tmp_path / "model", f"fork {tmp_path / 'pid'}"))
        eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    eventually(lambda: not alive(int((tmp_path / "pid").read_text())))


def test_a_child_has_four_descriptors_a_session_of_its_own_and_no_other(tmp_path: Path) -> None:
    """Also of those that whoever started us has left open for children."""
    leak = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leak, True)
    child = start_front(("-c", "import time; time.sleep(60)"))
    try:
        ours = Path(f"/proc/{child.pid}/fd")
        eventually(lambda: sorted(int(fd.name) for fd in ours.iterdir()) == [0, 1, 2, 3])  # Python has read its files
        assert os.readlink(f"/proc/{child.pid}/fd/0") == "/dev/null"
        assert os.getsid(child.pid) == child.pid
    finally:
        os.close(leak)
        child.kill()
        assert child.reap() == Exit(-signal.SIGKILL)
        child.close()


def test_a_process_that_cannot_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        start_front()
    assert os.listdir("/proc/self/fd") == before
