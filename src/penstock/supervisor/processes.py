"""Where children are started: the one file to change when fronts and hosts shall run somewhere else.

A child is born in a session of its own with its control socket as descriptor 3, /dev/null as standard input and no
other descriptor of ours. `os.posix_spawn` rather than `subprocess`: it can place descriptors, and it never runs
Python between fork and exec.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from penstock.errors import PenstockError
from penstock.model.control import CHANNEL_FD, BadMessage, Channel, FromFront, FromHost
from penstock.model.leash import FOR_THE_PARENT

FRONT = ("-m", "penstock.front")
HOST = ("-m", "penstock.host")

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# A host runs somebody's model: it gets what libraries need to be found and to run, and none of the service's secrets.
# fmt: off
PASSED_ON = {
    "PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "XDG_CACHE_HOME",
    "PENSTOCK_CACHE", *THREADS,
}
# fmt: on
QUIET = {"ORT_DISABLE_TELEMETRY": "1"}
"""ONNX Runtime holds what it would tell its makers in a file under ~/.cache, unless it is told not to before it is
imported."""
PASSED_ON_PREFIXES = ("PYTHON", "LC_", "CUDA_", "NVIDIA_", "COVERAGE_")


class ChildFailed(PenstockError):
    """A process of the service failed."""


class Exit(NamedTuple):
    """How a process ended: its exit status, or the negated number of the signal that killed it."""

    code: int

    def __str__(self) -> str:
        if self.code >= 0:
            return f"the process exited with status {self.code}"
        try:
            name = signal.Signals(-self.code).name
        except ValueError:  # a real-time signal
            name = f"signal {-self.code}"
        return f"the process died with {name}"

    @property
    def kind(self) -> str:
        """One of few words, for the label of a metric."""
        return "signal" if self.code < 0 else "exit"


class Child:
    """A process that was started here, and the channel to it."""

    def __init__(self, pid: int, channel: Channel) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)  # the process is ours and not yet waited for: the number is still its own
        self.channel = channel

    def kill(self) -> None:
        """Ends it at once, if it lives."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reap(self) -> Exit:
        """How it ended, with all that it had started itself; waits until it has. To be called once."""
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # not waited for yet, so the number is still its group's
        _, status = os.waitpid(self.pid, 0)
        return Exit(os.waitstatus_to_exitcode(status))

    def has_said_more(self, within: float = 0.0) -> bool:
        """Whether there is something to `receive`, or the end of the channel, within so many seconds."""
        poll = select.poll()
        poll.register(self.channel.socket, select.POLLIN)
        return bool(poll.poll(max(0.0, within) * 1000))

    def close(self) -> None:
        """Closes this side's descriptors."""
        self.channel.close()
        os.close(self.pidfd)

    def messages(self, within: float) -> Iterator[Any]:
        """Its messages as they come, for whoever has no event loop. Ends when the process does.

        Raises ChildFailed when it lasts longer than `within` seconds, or when the process sends nonsense.
        """
        until = time.monotonic() + within
        while not self.channel.closed:
            self.channel.flush()
            if not self.has_said_more(until - time.monotonic()):
                raise ChildFailed(f"the process did not answer within {within:g} s")
            try:
                arrived = self.channel.receive()
            except BadMessage as bad:
                raise ChildFailed("the process sent something that is not a message") from bad
            for message, descriptors in arrived:
                for descriptor in descriptors:
                    os.close(descriptor)
                yield message


def start_front(program: tuple[str, ...] = FRONT) -> Child:
    """A front, with this process's standard output and error and its whole environment."""
    one_thread = dict.fromkeys(THREADS, "1")  # a front multiplies no matrices; each thread would cost a buffer
    return _start(program, {**os.environ, **one_thread}, FromFront, 1, 2)


def start_host(threads: int, stdout: int, stderr: int, program: tuple[str, ...] = HOST) -> Child:
    """A host that writes to the descriptors `stdout` and `stderr`, which stay open here."""
    return _start(program, host_environment(os.environ, threads), FromHost, stdout, stderr)


def host_environment(ours: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment of a host. Thread counts that the operator has set stay as they are."""
    passed_on = {k: v for k, v in ours.items() if k in PASSED_ON or k.startswith(PASSED_ON_PREFIXES)}
    return {**dict.fromkeys(THREADS, str(threads)), **passed_on, **QUIET}


@contextlib.contextmanager
def lone_host(threads: int, program: tuple[str, ...] = HOST) -> Iterator[Child]:
    """A host for a command that has no supervisor; what it prints goes to standard error. Killed in the end."""
    child = start_host(threads, 2, 2, program)
    try:
        yield child
    finally:
        child.kill()
        child.reap()
        child.close()


def _start(program: tuple[str, ...], environment: Mapping[str, str], expects: Any, stdout: int, stderr: int) -> Child:
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as undo, theirs:
        undo.callback(ours.close)
        pid = _spawn(program, environment, {1: stdout, 2: stderr, CHANNEL_FD: theirs.fileno()})
        undo.callback(os.waitpid, pid, 0)
        undo.callback(os.kill, pid, signal.SIGKILL)
        child = Child(pid, Channel(ours, expects))
        undo.pop_all()
    return child


def _spawn(program: tuple[str, ...], environment: Mapping[str, str], placed: Mapping[int, int]) -> int:
    """Starts Python on `program` with our descriptors `placed` as those of the child, and no other; returns its pid."""
    actions: list[Any] = [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()]
    actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
    with contextlib.ExitStack() as copies:
        for target, fd in placed.items():
            # A copy above all targets, so that placing one never overwrites another.
            copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, CHANNEL_FD + 1)
            copies.callback(os.close, copy)
            actions.append((os.POSIX_SPAWN_DUP2, copy, target))
        command = [sys.executable, "-P", *program]
        return os.posix_spawn(
            sys.executable, command, environment, file_actions=actions, setsid=True, setsigmask=FOR_THE_PARENT
        )


def _inheritable() -> list[int]:
    """Descriptors that our own parent left open for children; they are not for ours."""
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # the one that listed the directory
            if fd > CHANNEL_FD and os.get_inheritable(fd):
                found.append(fd)
    return found
