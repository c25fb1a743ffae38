"""What a front and a host get of each other: from there on, batches pass through no other process."""

import os
import socket
from contextlib import ExitStack
from io import FileIO
from typing import NamedTuple

from penstock.model import stamp


class End(NamedTuple):
    """What is sent to one of the two, and closed here when it is on its way."""

    socket: socket.socket
    stamp: FileIO


def connection() -> tuple[End, End]:
    """Both ends. Raises OSError, and holds nothing, where there are too few descriptors."""
    with ExitStack() as undo:
        memory = undo.enter_context(stamp.memory())
        twin = undo.enter_context(FileIO(os.dup(memory.fileno()), "r+"))
        first, second = socket.socketpair()
        undo.pop_all()
    return End(first, memory), End(second, twin)
