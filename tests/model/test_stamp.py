"""A stamp is one number in memory that two processes share, and no descriptor."""

import math
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from penstock.model.stamp import Stamp, memory

WRITES = "import sys; from penstock.model.stamp import Stamp; Stamp(int(sys.argv[1])).write(float(sys.argv[2]))"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def shared() -> Iterator[tuple[Stamp, Stamp]]:
    """Two of the same memory."""
    with memory() as file:
        stamps = Stamp(os.dup(file.fileno())), Stamp(os.dup(file.fileno()))
    yield stamps
    for stamp in stamps:
        stamp.close()


def test_what_another_process_writes_is_read_here() -> None:
    with memory() as file:
        stamp = Stamp(os.dup(file.fileno()))
        assert stamp.read() == 0.0
        for number in (1234.5678, math.pi):
            command = [sys.executable, "-c", WRITES, str(file.fileno()), repr(number)]
            subprocess.run(command, pass_fds=[file.fileno()], check=True)
            assert stamp.read() == number
        stamp.close()


def test_it_holds_no_descriptor() -> None:
    before = descriptors()
    with memory() as file:
        stamps = [Stamp(os.dup(file.fileno())) for _ in range(100)]
    assert descriptors() == before
    stamps[0].write(1.0)
    assert stamps[99].read() == 1.0
    for stamp in stamps:
        stamp.close()


def test_one_that_is_closed_is_its_own(shared: tuple[Stamp, Stamp]) -> None:
    mine, its = shared
    its.write(1.0)
    mine.close()
    mine.close()
    assert mine.read() == 1.0
    its.write(2.0)
    mine.write(3.0)
    assert (mine.read(), its.read()) == (3.0, 2.0)


def test_its_memory_cannot_be_taken_away() -> None:
    with memory() as file, pytest.raises(PermissionError):
        file.truncate(0)


def test_what_is_no_memory_is_refused_and_closed() -> None:
    before = descriptors()
    one, other = socket.socketpair()
    with other, pytest.raises(OSError, match="No such device"):
        Stamp(one.detach())
    assert descriptors() == before
