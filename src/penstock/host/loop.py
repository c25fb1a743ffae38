"""The host's main loop: the control channel and one data socket for each front."""

import selectors
import socket
import sys
from collections.abc import Iterable
from selectors import EVENT_READ, EVENT_WRITE
from time import monotonic
from typing import Any

import msgspec

from penstock.host.responder import Responder
from penstock.model.control import Attach, Channel, Stop
from penstock.model.frames import BrokenFrame, FrameReader, FrameWriter


class Front:
    """One front at the other end of a data socket, and what goes to it and comes from it."""

    def __init__(self, descriptor: int) -> None:
        self.socket = socket.socket(fileno=descriptor)
        self.socket.setblocking(False)
        self.reader = FrameReader(self.socket)
        self.writer = FrameWriter(self.socket)
        self.events = EVENT_READ


class Loop:
    """Answers batches, one at a time in order of arrival, until `Stop` or the end of the control channel."""

    def __init__(self, channel: Channel, responder: Responder) -> None:
        self._channel = channel
        self._answer = responder.answer
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel.socket, EVENT_READ)
        self._fronts: set[Front] = set()
        self._finish_by: float | None = None

    def run(self, messages: Iterable[tuple[Any, list[int]]] = ()) -> None:
        """Runs to the end; `messages` are those that arrived on the channel before."""
        self._obey(messages)
        while not self._channel.closed and self._has_work():
            for key, events in self._selector.select(self._patience()):
                if key.data is None:
                    self._obey(self._channel.receive())
                else:
                    self._serve(key.data, events & key.events)
        for front in list(self._fronts):
            self._detach(front)
        self._selector.close()

    def _has_work(self) -> bool:
        """Told to stop, only answers that a front has not taken yet are worth waiting for, and not for long."""
        if self._finish_by is None:
            return True
        return monotonic() < self._finish_by and any(front.writer.pending for front in self._fronts)

    def _patience(self) -> float | None:
        return None if self._finish_by is None else max(0.0, self._finish_by - monotonic())

    def _obey(self, messages: Iterable[tuple[Any, list[int]]]) -> None:
        for message, descriptors in messages:
            if isinstance(message, Attach):
                self._attach(descriptors[0])
            elif isinstance(message, Stop):
                self._finish_by = monotonic() + message.finish_s

    def _attach(self, descriptor: int) -> None:
        front = Front(descriptor)
        self._fronts.add(front)
        self._selector.register(front.socket, EVENT_READ, front)

    def _detach(self, front: Front) -> None:
        self._fronts.discard(front)
        self._selector.unregister(front.socket)
        front.socket.close()

    def _serve(self, front: Front, events: int) -> None:
        """Moves one front's frames. One that vanished, or talks nonsense, is dropped; the others never notice."""
        try:
            if events & EVENT_READ:
                for frame in front.reader.read():
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
        events = EVENT_WRITE if front.writer.pending else EVENT_READ
        if events != front.events:
            front.events = events
            self._selector.modify(front.socket, events, front)
