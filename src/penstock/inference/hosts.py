"""The front's ends of the sockets to the hosts."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Protocol

import msgspec

from penstock.inference.outputs import Outputs, unpack
from penstock.inference.rows import join
from penstock.inference.ticket import Ticket
from penstock.model.batch import ANSWER, BATCH, Answer, Batch, decode_answer
from penstock.model.frames import BrokenFrame, FrameReader, FrameWriter, encode
from penstock.model.signature import Tensor


class Flight:
    """A batch that a host holds: its requests, in the order of their rows, and when it was sent."""

    __slots__ = ("rows", "sent_at", "tickets")

    def __init__(self, tickets: Sequence[Ticket], sent_at: float) -> None:
        self.tickets = tickets
        self.rows = sum([ticket.rows.count for ticket in tickets])
        self.sent_at = sent_at


class Owner(Protocol):
    """Who sends the batches: told of every answer, and once of the end of a host."""

    def answered(self, flight: Flight, answer: Answer, outputs: Outputs | None) -> None: ...

    def lost(self, host: "Host") -> None: ...


class Host(Protocol):
    """Something that computes batches, at most `depth` at a time; `flights` are those it holds, oldest first."""

    id: int
    depth: int
    flights: "list[Flight]"

    def send(self, flight: Flight) -> None: ...

    def close(self) -> None: ...


class HostLink:
    """A host at the other end of a socket."""

    def __init__(self, host: int, sock: socket.socket, depth: int, tensors: Sequence[Tensor], owner: Owner) -> None:
        sock.setblocking(False)
        self.id = host
        self.depth = depth
        self.flights: list[Flight] = []
        self._tensors = tensors
        self._owner = owner
        self._socket = sock
        self._reader = FrameReader(sock)
        self._writer = FrameWriter(sock)
        self._sent = 0
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._readable)

    def send(self, flight: Flight) -> None:
        """Hands a batch to the host. The answer comes to the owner, in order, or `lost`."""
        count, heads, payload = join(self._tensors, [ticket.rows for ticket in flight.tickets])
        probabilities = any(ticket.probabilities for ticket in flight.tickets)
        self._sent += 1
        self.flights.append(flight)
        try:
            self._writer.send(encode(BATCH, Batch(self._sent, count, heads, probabilities), payload))
        except OSError:
            self._loop.call_soon(self._end)
            return
        if self._writer.pending:
            self._loop.add_writer(self._socket, self._writable)

    def close(self) -> None:
        """Lets go of the socket; the owner hears nothing."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def _readable(self) -> None:
        try:
            for frame in self._reader.read():
                if frame.kind != ANSWER or not self.flights:
                    raise BrokenFrame
                self._land(decode_answer(frame.header), frame.payload)
        except (BrokenFrame, msgspec.DecodeError, ValueError, KeyError):
            self._end()  # a host that talks nonsense is as good as dead
            return
        if self._reader.closed:
            self._end()

    def _land(self, answer: Answer, payload: memoryview) -> None:
        if answer.id != self._sent - len(self.flights) + 1:
            raise BrokenFrame
        outputs = None if answer.error is not None else unpack(answer, payload)
        self._owner.answered(self.flights.pop(0), answer, outputs)

    def _writable(self) -> None:
        try:
            self._writer.flush()
        except OSError:
            self._end()
            return
        if not self._writer.pending:
            self._loop.remove_writer(self._socket)

    def _end(self) -> None:
        if not self._closed:
            self.close()
            self._owner.lost(self)
