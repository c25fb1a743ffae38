"""The control channel: messages and descriptors arrive together and in order, and nonsense is noticed."""

import os
import socket
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import Settings
from penstock.model import control
from penstock.model.control import (
    Attach,
    BadMessage,
    Channel,
    Configure,
    FromFront,
    FromHost,
    Listen,
    Progress,
    Refused,
    Report,
    Stop,
    ToFront,
    ToHost,
)
from penstock.model.frames import MAGIC, PREFIX

Pair = tuple[Channel, Channel]

MESSAGES = st.one_of(
    st.builds(Attach, st.integers(0, 2**31)),
    st.builds(Stop, st.floats(0, 1e9)),
    st.builds(Listen, st.integers(0, 2**31)),
    st.builds(Report, st.dictionaries(st.text(), st.integers(-(2**60), 2**60)), st.none() | st.integers(0, 2**31)),
)
ANY = Attach | Stop | Listen | Report


@pytest.fixture
def pair() -> Iterator[Pair]:
    yield from pair_of(ANY)


def pair_of(expects: Any) -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    channels = Channel(ours, expects), Channel(theirs, expects)
    yield channels
    for channel in channels:
        channel.close()


def received(channel: Channel) -> list[tuple[Any, list[int]]]:
    """All that has arrived."""
    found: list[tuple[Any, list[int]]] = []
    while arrived := channel.receive():
        found += arrived
    return found


@given(st.lists(MESSAGES, max_size=20))
def test_messages_arrive_in_order(messages: list[Any]) -> None:
    for ours, theirs in pair_of(ANY):
        for message in messages:
            ours.send(message)
        assert [message for message, _ in received(theirs)] == messages


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_each_message_comes_with_its_own_descriptors(sizes: list[int]) -> None:
    """They are told apart by what they refer to: a pipe for each."""
    pipes = [[os.pipe() for _ in range(size)] for size in sizes]
    for ours, theirs in pair_of(ANY):
        for number, batch in enumerate(pipes):
            ours.send(Attach(number), [reading for reading, _ in batch])
        arrived = received(theirs)
        assert [message.front for message, _ in arrived] == list(range(len(sizes)))
        for batch, (_, descriptors) in zip(pipes, arrived, strict=True):
            assert [os.fstat(mine).st_ino for mine in descriptors] == [os.fstat(theirs).st_ino for theirs, _ in batch]
            for descriptor in (*descriptors, *(end for pipe in batch for end in pipe)):
                os.close(descriptor)


@given(data=st.data(), messages=st.lists(MESSAGES, min_size=1, max_size=5))
def test_a_message_that_arrives_in_pieces_is_put_together(data: st.DataObject, messages: list[Any]) -> None:
    bodies = [msgspec.msgpack.encode(message) for message in messages]
    stream = b"".join(PREFIX.pack(MAGIC, 0, len(body), 0) + body for body in bodies)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)) | {0, len(stream)})
    for ours, theirs in pair_of(ANY):
        found = []
        for start, end in pairwise(cuts):
            ours.socket.send(stream[start:end])
            found += [message for message, _ in received(theirs)]
        assert found == messages


def test_a_message_larger_than_the_sockets_buffer_is_sent_as_it_drains(pair: Pair) -> None:
    ours, theirs = pair
    large = Report("x" * 2_000_000)
    ours.send(large)
    assert ours.pending
    found: list[Any] = []
    while not found:
        found += theirs.receive()
        ours.flush()
    assert [message for message, _ in found] == [large]


def test_descriptors_go_with_the_first_byte_of_a_message_that_goes_in_pieces(pair: Pair) -> None:
    ours, theirs = pair
    with open(os.devnull, "rb") as null:
        ours.send(Report("x" * 2_000_000), [null.fileno()])
        found: list[tuple[Any, list[int]]] = []
        while not found:
            found += theirs.receive()
            ours.flush()
        ((_, (descriptor,)),) = found
        assert os.fstat(descriptor).st_rdev == os.fstat(null.fileno()).st_rdev
        os.close(descriptor)


def test_the_end_of_the_other_side_is_noticed(pair: Pair) -> None:
    ours, theirs = pair
    ours.send(Attach(1))
    ours.socket.shutdown(socket.SHUT_WR)
    assert [message for message, _ in received(theirs)] == [Attach(1)]
    assert theirs.closed


def test_sending_to_a_dead_peer_closes_and_raises_nothing(pair: Pair) -> None:
    ours, theirs = pair
    theirs.close()
    ours.send(Attach(1))
    assert ours.closed
    assert not ours.pending


@pytest.mark.parametrize(
    "prefix", [PREFIX.pack(MAGIC + 1, 0, 0, 0), PREFIX.pack(MAGIC, 0, 2**32 - 1, 0)], ids=["magic", "size"]
)
def test_what_is_no_message_is_refused_at_once(prefix: bytes, pair: Pair) -> None:
    pair[0].socket.send(prefix)
    with pytest.raises(BadMessage):
        pair[1].receive()


def test_what_came_before_the_nonsense_is_not_lost(pair: Pair) -> None:
    ours, theirs = pair
    ours.send(Attach(1))
    ours.socket.send(b"nonsense" * 100)
    with pytest.raises(BadMessage) as refused:
        theirs.receive()
    assert refused.value.before == [(Attach(1), [])]


def test_a_message_without_the_descriptors_that_it_promises_is_none(pair: Pair) -> None:
    body = msgspec.msgpack.encode(Attach(1))
    pair[0].socket.send(PREFIX.pack(MAGIC, 1, len(body), 0) + body)
    with pytest.raises(BadMessage):
        pair[1].receive()


@given(st.binary(max_size=100))
def test_a_message_that_was_not_expected_is_refused(body: bytes) -> None:
    for ours, theirs in pair_of(FromHost):
        ours.socket.send(PREFIX.pack(MAGIC, 0, len(body), 0) + body)
        with pytest.raises(BadMessage):
            theirs.receive()


def test_a_front_cannot_say_what_only_a_host_may(pair: Pair) -> None:
    for ours, theirs in pair_of(FromFront):
        ours.send(Refused("code", "message"))
        with pytest.raises(BadMessage):
            theirs.receive()


def test_what_was_received_and_never_asked_for_is_closed_with_the_channel() -> None:
    """A descriptor that came with half a message."""
    reading, writing = os.pipe()
    ours, theirs = socket.socketpair()
    channel = Channel(ours, ANY)
    with theirs:
        socket.send_fds(theirs, [PREFIX.pack(MAGIC, 1, 100, 0)], [writing])
        os.close(writing)
        assert channel.receive() == []
        channel.close()
    assert os.read(reading, 1) == b""  # nobody holds the writing end any more
    os.close(reading)


@pytest.mark.parametrize("union", [ToHost, FromHost, ToFront, FromFront])
def test_every_message_of_a_direction_can_be_told_from_the_others(union: Any) -> None:
    msgspec.msgpack.Decoder(union)


def test_the_settings_of_the_service_cross_the_channel(pair: Pair) -> None:
    for ours, theirs in pair_of(ToFront):
        ours.send(Configure(0, Settings()))
        assert received(theirs) == [(Configure(0, Settings()), [])]


def test_progress_carries_the_digest_of_what_is_about_to_be_loaded() -> None:
    for ours, theirs in pair_of(control.FromHost):
        ours.send(Progress("loading", "ab" * 32))
        assert received(theirs) == [(Progress("loading", "ab" * 32), [])]
