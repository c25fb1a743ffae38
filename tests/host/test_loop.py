"""The host's loop: fronts come and go, batches wait their turn, and the end comes when it is called for."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from penstock.model.frames import PREFIX
from tests.host.driver import Died, Front, HostProcess, pickled, wide

LARGE = 40_000  # rows: an answer that no socket buffer holds


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostProcess]:
    """A host that answers the sum of four numbers."""
    model = LinearRegression().fit(np.eye(4), np.ones(4))
    with HostProcess(pickled(model, tmp_path)) as running:
        running.loaded()
        yield running


def works(front: Front) -> bool:
    return len(front.ask(wide(3, 4))[0]) == 3


def test_fronts_are_answered_each_its_own(host: HostProcess) -> None:
    fronts = [host.front() for _ in range(4)]
    for rows in range(1, 6):
        for front in fronts:
            front.send(wide(rows, 4))
    for rows in range(1, 6):
        for front in fronts:
            answer, (values,) = front.receive()
            assert (answer.id, len(values)) == (rows, rows)


def test_a_front_that_vanishes_leaves_the_others_alone(host: HostProcess) -> None:
    gone, stays = host.front(), host.front()
    gone.send(wide(2, 4))
    gone.close()
    assert works(stays)
    assert host.words() == ""


def test_a_front_that_vanishes_with_an_answer_half_taken_leaves_the_others_alone(host: HostProcess) -> None:
    gone, stays = host.front(), host.front()
    gone.send(wide(LARGE, 4))
    assert works(stays)
    gone.close()
    assert works(stays)


def test_a_front_that_does_not_read_holds_nobody_up_and_loses_nothing(host: HostProcess) -> None:
    slow, other = host.front(), host.front()
    slow.send(wide(LARGE, 4))
    slow.send(wide(5, 4))
    assert all(works(other) for _ in range(20))
    assert [len(slow.receive()[1][0]) for _ in range(2)] == [LARGE, 5]


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.1\r\n\r\n", PREFIX.pack(0x5053, 1, 3, 0) + b"\x01\x02\x03"])
def test_a_front_that_talks_nonsense_is_dropped_alone(nonsense: bytes, host: HostProcess) -> None:
    mad, stays = host.front(), host.front()
    mad.socket.sendall(nonsense)
    with pytest.raises(Died):
        mad.receive()
    assert works(stays)
    assert "not a batch" in host.words()


def test_large_batches_come_back_whole(host: HostProcess) -> None:
    rows = wide(LARGE, 4)
    (values,) = host.front().ask(rows)
    assert np.allclose(values, LinearRegression().fit(np.eye(4), np.ones(4)).predict(rows))


def test_signals_meant_for_the_supervisor_are_ignored(host: HostProcess) -> None:
    import os

    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(host.pid, number)
    assert works(host.front())


def test_it_ends_when_told_to(host: HostProcess) -> None:
    host.stop()
    assert host.ended()


def test_it_ends_with_its_supervisor(host: HostProcess) -> None:
    front = host.front()
    assert works(front)
    host.channel.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(Died):
        front.receive()


def test_told_to_stop_it_still_hands_out_what_is_half_taken(host: HostProcess) -> None:
    front = host.front()
    front.send(wide(LARGE, 4))
    assert works(host.front())
    host.stop(finish_s=10.0)
    assert len(front.receive()[1][0]) == LARGE
    assert host.ended()


def test_told_to_stop_it_does_not_wait_for_ever(host: HostProcess) -> None:
    host.front().send(wide(LARGE, 4))
    assert works(host.front())
    host.stop(finish_s=0.2)
    assert host.ended(timeout_s=5.0)
