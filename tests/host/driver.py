"""A real host as its supervisor and a front see it: a process, its control channel and data sockets."""

import contextlib
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray

from penstock.host.responder import unpack
from penstock.model.batch import ANSWER, BATCH, Answer, Batch, TensorHead, decode_answer
from penstock.model.control import CHANNEL_FD, Artifact, Attach, Channel, FromHost, Load, Loaded, Refused, Stop
from penstock.model.formats import format_of
from penstock.model.frames import FrameReader, FrameWriter, encode
from penstock.model.signature import Field
from penstock.model.stamp import Stamp, memory

NURSERY = Path(__file__).with_name("nursery.py")
TIMEOUT_S = 60.0
HEAVY = {"torchscript": "torch", "skops": "skops.io"}  # what takes seconds to import, by format

Columns = list[Any]


class Died(Exception):
    """The host ended without a word."""


def artifact(path: Path, **said: Any) -> Artifact:
    """The artifact at `path`, which somebody vouched for unless it is `said` otherwise."""
    usual: dict[str, Any] = {"format": format_of(path), "root": str(path.parent), "trusted": True}
    return Artifact(path=str(path), **usual | said)


def pickled(model: Any, folder: Path, **said: Any) -> Artifact:
    """`model` as a joblib file in `folder`."""
    joblib.dump(model, folder / "model.pkl")
    return artifact(folder / "model.pkl", **said)


def declared(*names: str, **said: Any) -> tuple[Field, ...]:
    """Fields of these names as a manifest declares them."""
    return tuple(Field(name=name, origin="declared", **said) for name in names)


class Front:
    """The other end of a data socket, and the stamp that goes with it."""

    def __init__(self, sock: socket.socket, stamp: Stamp) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.stamp = stamp
        self._reader = FrameReader(sock)
        self._writer = FrameWriter(sock)
        self._arrived: deque[tuple[Answer, Columns]] = deque()
        self._ids = count(1)

    def ask(self, *tensors: NDArray[Any] | list[Any], probabilities: bool = False) -> Columns:
        """The columns of the answer, which must not be an error."""
        answer, columns = self.answer(*tensors, probabilities=probabilities)
        assert answer.error is None, answer.error
        return columns

    def answer(self, *tensors: NDArray[Any] | list[Any], probabilities: bool = False) -> tuple[Answer, Columns]:
        number = self.send(*tensors, probabilities=probabilities)
        answer, columns = self.receive()
        assert answer.id == number
        return answer, columns

    def send(self, *tensors: NDArray[Any] | list[Any], probabilities: bool = False, expires: float = math.inf) -> int:
        """Sends a batch and returns its id."""
        heads, payload = [], []
        for tensor in tensors:
            if isinstance(tensor, list):
                heads.append(TensorHead("text", "string", (len(tensor),), tensor))
            else:
                dtype: Any = tensor.dtype.name
                heads.append(TensorHead("numbers", dtype, tensor.shape))
                payload.append(tensor.tobytes())
        number = next(self._ids)
        self._writer.send(encode(BATCH, Batch(number, len(tensors[0]), tuple(heads), probabilities, expires), payload))
        while self._writer.pending:
            select.select([], [self.socket], [], TIMEOUT_S)
            self._writer.flush()
        return number

    def receive(self) -> tuple[Answer, Columns]:
        """The next answer and its columns. Raises Died, TimeoutError."""
        while not self._arrived:
            if self._reader.closed:
                raise Died
            if not select.select([self.socket], [], [], TIMEOUT_S)[0]:
                raise TimeoutError
            for frame in self._reader.read():
                assert frame.kind == ANSWER
                answer = decode_answer(frame.header)
                self._arrived.append((answer, unpack(answer.tensors, frame.payload)))
        return self._arrived.popleft()

    def close(self) -> None:
        self.socket.close()
        self.stamp.close()


class HostProcess:
    """A host that was told to load an artifact: as the supervisor starts it, or else forked from the nursery."""

    def __init__(
        self, artifact: Artifact, *, forked: bool = True, environment: Mapping[str, str] | None = None
    ) -> None:
        mine, its = socket.socketpair()
        self.channel = Channel(mine, FromHost)
        self.stages: list[tuple[str, str | None]] = []
        self._fronts: list[Front] = []
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in __exit__
        self._ours = not forked
        if forked:
            self.pid = _fork(its, self._stderr.fileno(), HEAVY.get(artifact.format, ""), environment or {})
        else:
            self.pid = _spawn(its, self._stderr.fileno(), {**os.environ, **(environment or {})})
        its.close()
        self.channel.send(Load("model", "1", artifact))

    def verdict(self, timeout_s: float = TIMEOUT_S) -> Loaded | Refused:
        """What the host says in the end. Raises Died, TimeoutError."""
        while not self.channel.closed:
            if not select.select([self.channel.socket], [], [], timeout_s)[0]:
                raise TimeoutError
            for message, _ in self.channel.receive():
                if isinstance(message, Loaded | Refused):
                    return message
                self.stages.append((message.stage, message.sha256))
        raise Died

    def loaded(self) -> Loaded:
        verdict = self.verdict()
        assert isinstance(verdict, Loaded), f"{verdict}\n{self.words()}"
        return verdict

    def refused(self) -> Refused:
        """The refusal, which must be one sentence for people."""
        verdict = self.verdict()
        assert isinstance(verdict, Refused), verdict
        assert "Traceback" not in verdict.message
        assert "\n" not in verdict.message
        return verdict

    def front(self) -> Front:
        mine, its = socket.socketpair()
        with its, memory() as stamp:
            self.channel.send(Attach(len(self._fronts)), [its.fileno(), stamp.fileno()])
            self._fronts.append(Front(mine, Stamp(os.dup(stamp.fileno()))))
        return self._fronts[-1]

    def stop(self, finish_s: float = 0.0) -> None:
        self.channel.send(Stop(finish_s))

    def ended(self, timeout_s: float = 10.0) -> bool:
        """Whether the host lets go of its channel, as it does when it ends, within so many seconds."""
        ready = select.select([self.channel.socket], [], [], timeout_s)[0]
        return bool(ready) and not self.channel.receive() and self.channel.closed

    def status(self) -> int:
        """The exit status of a host that was not forked, once it has ended."""
        self._ours = False
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def words(self) -> str:
        """What it wrote to stderr so far."""
        self._stderr.seek(0)
        return self._stderr.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for front in self._fronts:
            front.close()
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if self._ours:
            os.waitpid(self.pid, 0)
        self._stderr.close()


def ask(artifact: Artifact, *tensors: NDArray[Any] | list[Any], probabilities: bool = False) -> Columns:
    """One answer of a host for `artifact`."""
    with HostProcess(artifact) as host:
        host.loaded()
        return host.front().ask(*tensors, probabilities=probabilities)


def refusal(artifact: Artifact) -> Refused:
    """Why a host will not serve `artifact`."""
    with HostProcess(artifact) as host:
        return host.refused()


def loaded(artifact: Artifact) -> Loaded:
    """What a host says of `artifact`."""
    with HostProcess(artifact) as host:
        return host.loaded()


def _spawn(channel: socket.socket, stderr: int, environment: Mapping[str, str]) -> int:
    copies = os.dup(channel.fileno()), os.dup(stderr)
    actions = [
        (os.POSIX_SPAWN_DUP2, copies[1], 2),
        (os.POSIX_SPAWN_DUP2, copies[0], CHANNEL_FD),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    ]
    command = [sys.executable, "-P", "-m", "penstock.host"]
    try:
        return os.posix_spawn(sys.executable, command, environment, file_actions=actions, setsid=True)
    finally:
        for copy in copies:
            os.close(copy)


def _fork(channel: socket.socket, stderr: int, library: str, environment: Mapping[str, str]) -> int:
    calls = _nursery(library)
    said = json.dumps(dict(environment)).encode()
    socket.send_fds(calls, [len(said).to_bytes(4, "little")], [channel.fileno(), stderr])
    calls.sendall(said)
    pid = int.from_bytes(calls.recv(4), "little")
    assert pid, "the nursery is gone"
    return pid


@cache
def _nursery(library: str) -> socket.socket:
    """The nursery that has imported `library` too, which ends with the last copy of its socket."""
    mine, its = socket.socketpair()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.Popen([sys.executable, "-P", str(NURSERY), library], stdin=its.fileno(), env=environment).returncode = 0
    its.close()
    return mine


def wide(rows: int, columns: int, dtype: str = "float64") -> NDArray[Any]:
    """A matrix of small numbers, each different."""
    return (np.arange(rows * columns).reshape(rows, columns) / 8).astype(dtype)
