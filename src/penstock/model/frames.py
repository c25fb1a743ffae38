"""Frames: how processes pass headers and raw tensors over a stream socket.

A frame is a fixed prefix, a msgpack header and a payload of raw bytes. The receiver allocates a large frame once and
fills it with `recv_into`; the sender hands the kernel a list of buffers and never joins them. Both sides work on
non-blocking sockets: whoever owns the event loop says when to read and when to flush.
"""

import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from penstock.errors import PenstockError

Buffer = bytes | bytearray | memoryview

PREFIX = struct.Struct("<HHIQ")  # magic, kind, bytes of header, bytes of payload
MAGIC = 0x5053
LARGEST_FRAME = 256 * 2**20
WINDOW = 256 * 2**10  # small frames are parsed in place in a window of this size
MOST_BUFFERS = 512  # of one sendmsg; Linux takes 1024 (IOV_MAX)

_encode = msgspec.msgpack.Encoder().encode


class BrokenFrame(PenstockError):
    """The other process sent something that is not a frame."""


class Frame(NamedTuple):
    kind: int
    header: memoryview | bytes
    payload: memoryview


def encode(kind: int, header: object, payload: Sequence[Buffer] = ()) -> list[Buffer]:
    """One frame as a list of buffers for `FrameWriter.send`. `header` is anything that msgspec encodes."""
    head = _encode(header)
    size = sum(map(len, payload))
    return [PREFIX.pack(MAGIC, kind, len(head), size) + head, *payload]


class FrameWriter:
    """Sends frames over a non-blocking stream socket and keeps what the kernel would not take yet."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._left: deque[memoryview] = deque()

    @property
    def pending(self) -> bool:
        """Whether `flush` has something left to send when the socket is writable again."""
        return bool(self._left)

    def send(self, buffers: Sequence[Buffer]) -> None:
        """Sends `buffers` now as far as the kernel takes them. Raises OSError when the other side is gone."""
        if not self._left and len(buffers) <= MOST_BUFFERS:
            try:
                sent = self._sock.sendmsg(buffers)
            except BlockingIOError:
                sent = 0
            if sent == sum(map(len, buffers)):
                return
            self._keep(buffers, sent)
        else:
            self._keep(buffers, 0)
            self.flush()

    def flush(self) -> None:
        """Sends what is left, as far as the kernel takes it."""
        while self._left:
            some = [self._left[i] for i in range(min(len(self._left), MOST_BUFFERS))]
            try:
                sent = self._sock.sendmsg(some)
            except BlockingIOError:
                return
            while self._left and sent >= len(self._left[0]):
                sent -= len(self._left.popleft())
            if sent:
                self._left[0] = self._left[0][sent:]

    def _keep(self, buffers: Sequence[Buffer], sent: int) -> None:
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            if sent >= len(view):
                sent -= len(view)
            else:
                self._left.append(view[sent:])
                sent = 0


class FrameReader:
    """Reads frames from a non-blocking stream socket.

    The views in a frame that `read` yields are valid until the next frame is asked for, except that a frame larger
    than the window owns its memory.
    """

    def __init__(self, sock: socket.socket, largest: int = LARGEST_FRAME) -> None:
        self._sock = sock
        self._largest = largest
        self._window = memoryview(bytearray(WINDOW))
        self._have = 0
        self._large: memoryview | None = None
        self._large_have = 0
        self.closed = False
        self.reset = False

    def read(self) -> Iterator[Frame]:
        """Takes what has arrived and yields the frames that are complete; sets `closed` at the end of the stream.

        It also sets `reset` where the peer ended before it had read all that it was sent, which Linux tells as
        ECONNRESET.

        Raises BrokenFrame for anything that is not a frame. Reads at most once, so that one busy peer cannot starve
        the others: call again when the socket is readable again.
        """
        if self._large is not None:
            if self._receive(self._large[self._large_have :]):
                yield from self._finish_large()
            return
        if not self._receive(self._window[self._have :]):
            return
        start = 0
        while (left := self._have - start) >= PREFIX.size:
            magic, kind, header, payload = PREFIX.unpack_from(self._window, start)
            size = PREFIX.size + header + payload
            if magic != MAGIC or size > self._largest:
                raise BrokenFrame
            if size > WINDOW:
                self._begin_large(size, self._window[start : self._have])
                return
            if left < size:
                break
            head = start + PREFIX.size
            body = head + header
            start += size
            yield Frame(kind, self._window[head:body], self._window[body : body + payload])
        if start and left:
            self._window[:left] = bytes(self._window[start : self._have])
        self._have = left

    def _receive(self, into: memoryview) -> int:
        try:
            got = self._sock.recv_into(into)
        except BlockingIOError:
            return 0
        except ConnectionResetError:
            self.reset = True
            got = 0
        self.closed = not got
        if self._large is None:
            self._have += got
        else:
            self._large_have += got
        return got

    def _begin_large(self, size: int, arrived: memoryview) -> None:
        self._large = memoryview(bytearray(size))
        self._large_have = len(arrived)
        self._large[: len(arrived)] = arrived
        self._have = 0

    def _finish_large(self) -> Iterator[Frame]:
        whole = self._large
        if whole is None or self._large_have < len(whole):
            return
        self._large = None
        _, kind, header, _ = PREFIX.unpack_from(whole)
        body = PREFIX.size + header
        yield Frame(kind, whole[PREFIX.size : body], whole[body:])
