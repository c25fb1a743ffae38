"""A model in a process of its own, loaded as `penstock serve` would load it, for a command that asks it itself."""

import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import msgspec

from penstock.errors import FailedStart, HostLost
from penstock.model.batch import BATCH, Answer, Batch, TensorHead, decode_answer
from penstock.model.control import Attach, Load, Loaded, Profile, Profiled, Progress, Refused
from penstock.model.frames import Buffer, Frame, FrameReader, FrameWriter, encode
from penstock.model.source import ModelSource
from penstock.model.stamp import memory
from penstock.supervisor.cpus import usable_cpus
from penstock.supervisor.processes import Child, ChildFailed, lone_host


class Hosted:
    """A model that is `loaded` and answers one batch at a time, each within so many seconds."""

    def __init__(self, host: Child, loaded: Loaded, ours: socket.socket, within: float) -> None:
        ours.setblocking(False)
        self._host = host
        self.loaded = loaded
        self._socket = ours
        self._within = within
        self._reader, self._writer = FrameReader(ours), FrameWriter(ours)
        self._ids = count()

    def ask(
        self, rows: int, heads: tuple[TensorHead, ...], payload: Sequence[Buffer], *, probabilities: bool = False
    ) -> tuple[Answer, memoryview]:
        """The answer and its payload, which is valid until the next one. Raises HostLost where none comes."""
        self._writer.send(encode(BATCH, Batch(next(self._ids), rows, heads, probabilities), payload))
        frame = self._awaited()
        return decode_answer(frame.header), frame.payload

    def profiled(self, work: Callable[[], object]) -> Profiled:
        """Where the time goes in the model's process while `work` asks it. Raises HostLost, ChildFailed."""
        self._host.channel.send(Profile())
        work()
        self._host.channel.send(Profile(stop=True))
        for message in self._host.messages(self._within):
            if isinstance(message, Profiled):
                return message
        raise HostLost("the model's process died")

    def _awaited(self) -> Frame:
        poll = select.poll()
        until = time.monotonic() + self._within
        while (left := until - time.monotonic()) > 0 and not self._reader.closed:
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._writer.pending else 0))
            poll.poll(left * 1000)
            self._writer.flush()
            if answers := list(self._reader.read()):
                return answers[0]  # to the only batch
        died = self._reader.closed
        raise HostLost("the model's process died" if died else f"the model did not answer within {self._within:g} s")


@contextmanager
def hosted(source: ModelSource, progress: Callable[[str], object]) -> Iterator[Hosted | Refused]:
    """Loads `source`, or says why not, and lets go of it in the end. `progress` is told each stage."""
    if source.refusal:
        yield source.refusal
        return
    threads = usable_cpus()
    artifact = msgspec.structs.replace(source.artifact, threads=threads)
    with lone_host(threads) as host:
        host.channel.send(Load(source.name, source.version, artifact))
        compiling_s = 0.0 if artifact.compile == "off" else artifact.compile_timeout_s
        verdict = _verdict(host, source.settings.start_timeout_s + compiling_s, progress)
        if isinstance(verdict, Refused):
            yield verdict
            return
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, memory() as stamp:
                host.channel.send(Attach(0), [theirs.fileno(), stamp.fileno()])
            yield Hosted(host, verdict, ours, source.settings.predict_timeout_s)


def _verdict(host: Child, within: float, progress: Callable[[str], object]) -> Loaded | Refused:
    try:
        for message in host.messages(within):
            if isinstance(message, Progress):
                progress(message.stage)
            elif isinstance(message, Loaded | Refused):
                return message
    except ChildFailed as error:
        return Refused(FailedStart.code, f"{error}; --start-timeout-s allows it more")
    return Refused(FailedStart.code, "the model's process died while it was loading")
