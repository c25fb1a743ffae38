"""Frames: whatever is sent arrives, however the stream is cut, and what is no frame is noticed."""

import socket
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model.frames import (
    MAGIC,
    MOST_BUFFERS,
    PREFIX,
    WINDOW,
    BrokenFrame,
    Buffer,
    FrameReader,
    FrameWriter,
    encode,
)

Message = tuple[int, Any, bytes]

# Payloads on both sides of the window, which decides how a frame is received.
SIZES = st.sampled_from([0, 1, 100, WINDOW - 200, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW])
PAYLOADS = st.builds(lambda size, byte: bytes([byte]) * size, SIZES, st.integers(0, 255)) | st.binary(max_size=64)
HEADERS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.lists(st.tuples(st.integers(0, 2**16 - 1), HEADERS, PAYLOADS), max_size=6)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def stream_of(messages: list[Message]) -> bytes:
    return b"".join(bytes(buffer) for message in messages for buffer in encode(message[0], message[1], [message[2]]))


def taken(reader: FrameReader) -> list[Message]:
    """The frames that are there now, copied: their views do not last."""
    frames = reader.read()
    return [(kind, msgspec.msgpack.decode(header), bytes(payload)) for kind, header, payload in frames]


def drained(reader: FrameReader, sock: socket.socket) -> list[Message]:
    """All frames until the socket has nothing more for now."""
    found: list[Message] = []
    while not reader.closed:
        found += taken(reader)
        try:
            sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            break
    return found


@given(messages=MESSAGES, data=st.data())
def test_frames_arrive_whole_however_the_stream_is_cut(messages: list[Message], data: st.DataObject) -> None:
    stream = stream_of(messages)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)) | {0, len(stream)})
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        reader, found = FrameReader(ours), []
        for start, end in pairwise(cuts):
            piece = memoryview(stream)[start:end]
            while piece:
                piece = piece[theirs.send(piece) :]
                found += drained(reader, ours)
        theirs.close()
        found += drained(reader, ours)
    assert found == messages
    assert reader.closed


@given(messages=MESSAGES)
def test_a_writer_keeps_what_the_kernel_does_not_take_and_sends_it_later(messages: list[Message]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        writer, reader = FrameWriter(theirs), FrameReader(ours)
        for kind, header, payload in messages:
            third = len(payload) // 3
            writer.send(encode(kind, header, [payload[:third], bytearray(payload[third:])]))
        found: list[Message] = []
        while writer.pending:
            writer.flush()
            found += drained(reader, ours)
        found += drained(reader, ours)
    assert found == messages


def test_more_buffers_than_one_call_takes_are_sent_all_the_same(pair: tuple[socket.socket, socket.socket]) -> None:
    buffers: list[Buffer] = [b"%04d" % i for i in range(3 * MOST_BUFFERS)]
    writer, reader = FrameWriter(pair[1]), FrameReader(pair[0])
    writer.send(encode(7, None, buffers))
    found: list[Message] = []
    while not found:
        writer.flush()
        found = drained(reader, pair[0])
    assert found == [(7, None, b"".join(bytes(buffer) for buffer in buffers))]


def test_the_memory_of_a_large_frame_is_its_own(pair: tuple[socket.socket, socket.socket]) -> None:
    writer, reader = FrameWriter(pair[1]), FrameReader(pair[0])
    frames = []
    for byte in (b"a", b"b"):
        writer.send(encode(1, None, [byte * 2 * WINDOW]))
        while not (arrived := list(reader.read())):
            writer.flush()
        frames += arrived
    assert [bytes(frame.payload[:2]) for frame in frames] == [b"aa", b"bb"]


@pytest.mark.parametrize(
    "prefix",
    [
        PREFIX.pack(MAGIC + 1, 1, 0, 0),
        PREFIX.pack(MAGIC, 1, 2**32 - 1, 0),
        PREFIX.pack(MAGIC, 1, 0, 2**64 - 1),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["magic", "header", "payload", "http"],
)
def test_what_is_no_frame_is_noticed_at_once(prefix: bytes, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].send(stream_of([(1, "good", b"")]) + prefix)
    frames = FrameReader(pair[0]).read()
    assert next(frames).kind == 1
    with pytest.raises(BrokenFrame):
        next(frames)


@given(st.binary(min_size=PREFIX.size, max_size=200).filter(lambda data: data[:2] != MAGIC.to_bytes(2, "little")))
def test_garbage_is_never_taken_for_a_frame(garbage: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(garbage)
        with pytest.raises(BrokenFrame):
            list(FrameReader(ours).read())


def test_a_frame_beyond_the_limit_is_refused_before_memory_is_spent(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].send(stream_of([(1, None, b"x" * 1000)]))
    with pytest.raises(BrokenFrame):
        list(FrameReader(pair[0], largest=999).read())


def test_an_empty_socket_has_no_frames_and_is_not_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    reader = FrameReader(pair[0])
    assert taken(reader) == []
    assert not reader.closed


@pytest.mark.parametrize("sent", [1, PREFIX.size, PREFIX.size + 5])
def test_a_stream_that_ends_within_a_frame_ends(sent: int, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].send(stream_of([(1, "header", b"payload")])[:sent])
    pair[1].close()
    reader = FrameReader(pair[0])
    assert drained(reader, pair[0]) == []
    assert reader.closed


def test_a_reader_tells_whether_its_peer_took_all_that_it_was_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    reader = FrameReader(ours)
    ours.send(b"unread")
    theirs.close()
    assert list(reader.read()) == []
    assert reader.closed
    assert reader.reset


def test_a_writer_says_when_the_other_side_is_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].close()
    with pytest.raises(OSError, match="Broken pipe"):
        FrameWriter(pair[1]).send(encode(1, None))
