"""The host's main loop: the control channel and one data socket for each front."""

import select
import socket
import sys
from collections.abc import Iterable
from select import EPOLLIN, EPOLLOUT
from time import monotonic
from typing import Any

import msgspec

from penstock.host.profiler import Profiler
from penstock.host.responder import Responder
from penstock.model.control import Attach, Channel, Profile, Stop
from penstock.model.frames import BrokenFrame, FrameReader, FrameWriter
from penstock.model.stamp import Stamp


class Front:
    """One front at the other end of a data socket, and what goes to it and comes from it."""

    def __init__(self, data: int, stamp: int) -> None:
        self.stamp = Stamp(stamp)
        self.socket = socket.socket(fileno=data)
        self.socket.setblocking(False)
        self.reader = FrameReader(self.socket)
        self.writer = FrameWriter(self.socket)
        self.events = EPOLLIN

    def close(self) -> None:
        self.socket.close()
        self.stamp.close()


class Loop:
    """Answers batches, one at a time in order of arrival, until `Stop`, the end of the control channel or that of the
    memory."""

    def __init__(self, channel: Channel, responder: Responder) -> None:
        self._channel = channel
        self._responder = responder
        self._answer = responder.answer
        self._profiler: Profiler | None = None
        self._epoll = select.epoll()  # and not a selector, which takes as long as half a batch
        self._epoll.register(channel.socket, EPOLLIN)
        self._fronts: dict[int, Front] = {}
        self._finish_by: float | None = None

    def run(self, messages: Iterable[tuple[Any, list[int]]] = ()) -> None:
        """Runs to the end; `messages` are those that arrived on the channel before."""
        self._obey(messages)
        while not self._channel.closed and self._has_work():
            for descriptor, events in self._epoll.poll(self._patience(), 1):  # who came last then waits for all others
                front = self._fronts.get(descriptor)
                if front is None:
                    self._obey(self._channel.receive())
                else:
                    self._serve(front, events)
        for front in list(self._fronts.values()):
            self._detach(front)
        self._epoll.close()

    def _has_work(self) -> bool:
        """Told to stop, only answers that a front has not taken yet are worth waiting for, and not for long."""
        if self._finish_by is None:
            return not self._responder.exhausted
        return monotonic() < self._finish_by and any(front.writer.pending for front in self._fronts.values())

    def _patience(self) -> float | None:
        return None if self._finish_by is None else max(0.0, self._finish_by - monotonic())

    def _obey(self, messages: Iterable[tuple[Any, list[int]]]) -> None:
        for message, descriptors in messages:
            if isinstance(message, Attach):
                self._attach(*descriptors)
            elif isinstance(message, Profile):
                self._profile(message.stop)
            elif isinstance(message, Stop):
                self._finish_by = monotonic() + message.finish_s

    def _profile(self, stop: bool) -> None:
        if not stop:
            self._profiler = Profiler(self._responder.answer)
            self._answer = self._profiler.answer
        elif self._profiler is not None:
            self._answer = self._responder.answer
            self._channel.send(self._profiler.found())
            self._profiler = None

    def _attach(self, data: int, stamp: int) -> None:
        front = Front(data, stamp)
        self._fronts[front.socket.fileno()] = front
        self._epoll.register(front.socket, EPOLLIN)

    def _detach(self, front: Front) -> None:
        del self._fronts[front.socket.fileno()]
        self._epoll.unregister(front.socket)
        front.close()

    def _serve(self, front: Front, events: int) -> None:
        """Moves one front's frames. One that vanished, or talks nonsense, is dropped; the others never notice."""
        try:
            if events & ~EPOLLOUT:  # something to read, or the end
                for frame in front.reader.read():
                    front.stamp.write(monotonic())
                    front.writer.send(self._answer(frame))
            else:
                front.writer.flush()
        except (OSError, BrokenFrame, msgspec.MsgspecError) as error:
            if not isinstance(error, OSError):
                print(f"a front sent what is not a batch and was dropped: {error}", file=sys.stderr)
            self._detach(front)
            return
        if front.reader.closed:
            self._detach(front)
        else:
            self._watch(front)

    def _watch(self, front: Front) -> None:
        """A front that does not take its answers is not read from until it does: its batches stay its own."""
        events = EPOLLOUT if front.writer.pending else EPOLLIN
        if events != front.events:
            front.events = events
            self._epoll.modify(front.socket, events)
