"""A real host as its supervisor and a front see it: a process, its control channel and data sockets."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import count
from typing import Any, Self

from penstock.host.responder import unpack
from penstock.model.batch import ANSWER, BATCH, Answer, Batch, TensorHead, decode_answer
from penstock.model.control import CHANNEL_FD, Artifact, Attach, Channel, FromHost, Load, Loaded, Refused, Stop
from penstock.model.frames import FrameReader, FrameWriter, encode

TIMEOUT_S = 60.0


class Died(Exception):
    """The host ended without a word."""


class Front:
    """The other end of a data socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self._reader = FrameReader(sock)
        self._writer = FrameWriter(sock)
        self._ids = count(1)

    def ask(
        self, tensors: Sequence[tuple[str, Any]], rows: int, probabilities: bool = False
    ) -> tuple[Answer, list[Any]]:
        """Sends a batch of named arrays or lists of text, and returns the answer with its columns."""
        self.send(tensors, rows, probabilities)
        return self.receive()

    def send(self, tensors: Sequence[tuple[str, Any]], rows: int, probabilities: bool = False) -> int:
        heads, payload = [], []
        for name, value in tensors:
            if isinstance(value, list):
                heads.append(TensorHead(name, "string", (len(value),), value))
            else:
                heads.append(TensorHead(name, value.dtype.name, value.shape))
                payload.append(value.tobytes())
        number = next(self._ids)
        self._writer.send(encode(BATCH, Batch(number, rows, tuple(heads), probabilities), payload))
        while self._writer.pending:
            select.select([], [self.socket], [], TIMEOUT_S)
            self._writer.flush()
        return number

    def receive(self) -> tuple[Answer, list[Any]]:
        while True:
            ready, _, _ = select.select([self.socket], [], [], TIMEOUT_S)
            if not ready:
                raise TimeoutError
            for frame in self._reader.read():
                assert frame.kind == ANSWER
                answer = decode_answer(frame.header)
                return answer, unpack(answer.tensors, frame.payload)
            if self._reader.closed:
                raise Died

    def close(self) -> None:
        self.socket.close()


class HostProcess:
    """A host that was told to load `artifact`. With `fork` it shares this process's libraries, which saves a second."""

    def __init__(self, artifact: Artifact, fork: bool = False, environment: dict[str, str] | None = None) -> None:
        mine, its = socket.socketpair()
        self.channel = Channel(mine, FromHost)
        self._fronts: list[Front] = []
        self.stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in __exit__
        if fork:
            self.pid = self._forked(its)
        else:
            self.pid = self._spawned(its, environment)
        its.close()
        self.stages: list[tuple[str, str | None]] = []
        self.channel.send(Load("model", "1", artifact))

    def verdict(self, timeout_s: float = TIMEOUT_S) -> Loaded | Refused:
        """What the host says in the end. Raises Died, TimeoutError."""
        while True:
            ready, _, _ = select.select([self.channel.socket], [], [], timeout_s)
            if not ready:
                raise TimeoutError
            for message, _ in self.channel.receive():
                if isinstance(message, Loaded | Refused):
                    return message
                self.stages.append((message.stage, message.sha256))
            if self.channel.closed:
                raise Died

    def loaded(self) -> Loaded:
        verdict = self.verdict()
        assert isinstance(verdict, Loaded), verdict
        return verdict

    def refused(self) -> Refused:
        verdict = self.verdict()
        assert isinstance(verdict, Refused), verdict
        assert "Traceback" not in verdict.message
        assert "\n" not in verdict.message
        return verdict

    def front(self) -> Front:
        mine, its = socket.socketpair()
        self.channel.send(Attach(len(self._fronts)), [its.fileno()])
        its.close()
        front = Front(mine)
        self._fronts.append(front)
        return front

    def stop(self, finish_s: float = 0.0) -> int:
        self.channel.send(Stop(finish_s))
        return self.wait()

    def wait(self) -> int:
        """The exit status, once the host has ended."""
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def words(self) -> str:
        """What it wrote to stderr so far."""
        self.stderr.seek(0)
        return self.stderr.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for front in self._fronts:
            front.close()
        self.channel.close()
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self.stderr.close()

    def _spawned(self, end: socket.socket, environment: dict[str, str] | None) -> int:
        program = [sys.executable, "-P", "-m", "penstock.host"]
        spare = os.dup(end.fileno())
        child = subprocess.Popen(
            ["sh", "-c", f'exec {CHANNEL_FD}<&{spare} && exec "$@"', "sh", *program],
            stdin=subprocess.DEVNULL,
            stderr=self.stderr,
            pass_fds=[spare],
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        os.close(spare)
        child.returncode = 0  # waited for by this class
        return child.pid

    def _forked(self, end: socket.socket) -> int:
        pid = os.fork()
        if pid == 0:
            _be_a_host(end, self.stderr.fileno())
        return pid


def _be_a_host(end: socket.socket, stderr: int) -> None:
    """What `python -m penstock.host` does, in a process that has its libraries already."""
    try:
        os.dup2(stderr, 2)
        os.dup2(end.fileno(), CHANNEL_FD)
        os.closerange(CHANNEL_FD + 1, 1024)
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115  # the process's own
        from penstock.host.__main__ import main

        main()
    finally:
        os._exit(70)
