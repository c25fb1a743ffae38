"""The front's ends of the sockets to the hosts."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Protocol

import msgspec

from penstock.inference.outputs import Outputs, unpack
from penstock.inference.rows import join, join_plain
from penstock.inference.ticket import Ticket
from penstock.model.batch import ANSWER, BATCH, Answer, Batch, decode_answer, heads_of_answer, heads_of_inputs
from penstock.model.frames import BrokenFrame, Buffer, Frame, FrameReader, FrameWriter, encode
from penstock.model.signature import Signature
from penstock.model.stamp import Stamp


class Flight:
    """A batch that a host holds: its requests, in the order of their rows, when it was sent, and when it was begun, as
    far as is known."""

    __slots__ = ("begun_at", "rows", "sent_at", "tickets")

    def __init__(self, tickets: Sequence[Ticket], sent_at: float) -> None:
        self.tickets = tickets
        self.rows = sum([ticket.rows.count for ticket in tickets])
        self.sent_at = self.begun_at = sent_at

    @property
    def expires(self) -> float:
        """When it comes too late for one of them: the others then go again without it."""
        return min([ticket.deadline for ticket in self.tickets])


class Owner(Protocol):
    """Who sends the batches: told of every answer, and once of the end of a host.

    `broken`: the host lives, but what it sends makes no sense, so that it has to be replaced.
    `unread`: it ended before it took the last batch that it was sent.
    """

    def answered(self, host: "Host", flight: Flight, answer: Answer, outputs: Outputs | None) -> None: ...

    def lost(self, host: "Host", *, broken: bool = False, unread: bool = False) -> None: ...


class Host(Protocol):
    """Something that computes batches, one at a time; `flight` is the one that it holds."""

    id: int
    flight: "Flight | None"

    def send(self, flight: Flight) -> None: ...

    def look(self) -> None:
        """Takes the answers that are there, before the event loop comes round to them."""

    def begun_at(self) -> float | None:
        """When it began with `flight`; None while it has not, as far as is known."""

    def close(self) -> None: ...


def held(host: Host) -> Sequence[Ticket]:
    """The requests that a host is computing."""
    return host.flight.tickets if host.flight is not None else ()


class HostLink:
    """A host at the other end of a socket, which stamps when it begins."""

    def __init__(self, host: int, sock: socket.socket, stamp: Stamp, signature: Signature, owner: Owner) -> None:
        sock.setblocking(False)
        self.id = host
        self.flight: Flight | None = None
        self._tensors = signature.tensors()
        self._outputs = len(signature.output.fields)
        self._heads = heads_of_answer(signature.output)
        self._plain = heads_of_inputs(self._tensors) is not None and self._heads is not None
        self._owner = owner
        self._socket = sock
        self._stamp = stamp
        self._reader = FrameReader(sock)
        self._writer = FrameWriter(sock)
        self._sent = 0
        self._unread = False
        self._reading = False
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._readable)

    def send(self, flight: Flight) -> None:
        """Hands a batch to the host. The answer comes to the owner, in order, or `lost`."""
        self._sent += 1
        self.flight = flight
        try:
            self._writer.send(self._frame(flight))
        except OSError:
            self._unread = True
            self._loop.call_soon(self._end)
            return
        if self._writer.pending:
            self._loop.add_writer(self._socket, self._writable)

    def _frame(self, flight: Flight) -> list[Buffer]:
        rows = [ticket.rows for ticket in flight.tickets]
        probabilities = any(ticket.probabilities for ticket in flight.tickets)
        if self._plain and not probabilities:
            return encode(
                BATCH, Batch(self._sent, flight.rows, expires=flight.expires), join_plain(self._tensors, rows)
            )
        heads, payload = join(self._tensors, rows)
        return encode(BATCH, Batch(self._sent, flight.rows, heads, probabilities, flight.expires), payload)

    def look(self) -> None:
        """Takes the answers that are there, unless one of them is just being taken."""
        if not self._closed and not self._reading:
            self._readable()

    def begun_at(self) -> float | None:
        """By the host's stamp, which may still be that of the batch before."""
        stamped = self._stamp.read()
        return stamped if self.flight is not None and stamped >= self.flight.sent_at else None

    def close(self) -> None:
        """Lets go of the socket and the stamp; the owner hears nothing."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._stamp.close()

    def _readable(self) -> None:
        self._reading = True
        try:
            for frame in self._reader.read():
                if (flight := self.flight) is None:
                    raise BrokenFrame  # nobody had asked
                answer, outputs = self._understood(frame, flight)
                flight.begun_at = max(flight.sent_at, self._stamp.read())
                self.flight = None
                self._owner.answered(self, flight, answer, outputs)
        except BrokenFrame:
            self._end(broken=True)
            return
        finally:
            self._reading = False
        if self._reader.closed:
            self._unread |= self._reader.reset
            self._end()

    def _understood(self, frame: Frame, flight: Flight) -> tuple[Answer, Outputs | None]:
        """What a frame says. Raises BrokenFrame for anything but the answer to this batch."""
        try:
            answer = decode_answer(frame.header)
            if frame.kind != ANSWER or answer.id != self._sent:
                raise BrokenFrame
            if answer.error is not None or answer.expired:
                return answer, None
            heads = answer.tensors or (self._heads(flight.rows) if self._heads else ())
            return answer, unpack(heads, frame.payload, self._outputs)
        except (msgspec.DecodeError, ValueError, TypeError, KeyError) as error:
            raise BrokenFrame from error

    def _writable(self) -> None:
        try:
            self._writer.flush()
        except OSError:
            self._unread = True
            self._end()
            return
        if not self._writer.pending:
            self._loop.remove_writer(self._socket)

    def _end(self, *, broken: bool = False) -> None:
        if not self._closed:
            self.close()
            self._owner.lost(self, broken=broken, unread=self._unread)
