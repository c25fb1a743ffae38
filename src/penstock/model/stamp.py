"""When a host began the last batch of a front: one number in memory that the two of them share.

A host serves its fronts in turn, and while the model is at work it says nothing on any socket. So it writes the time
before each batch, and a front looks there when an answer is late: that one front's batch waits for another's is no
reason to kill the host.
"""

import ctypes
import os
from fcntl import F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, fcntl
from io import FileIO
from mmap import MAP_SHARED, PROT_READ, PROT_WRITE

SIZE = ctypes.sizeof(ctypes.c_double)
FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def memory() -> FileIO:
    """Memory for a stamp, as a file that can be sent to another process. Raises OSError where none is to be had."""
    file = FileIO(os.memfd_create("stamp", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "r+")
    file.truncate(SIZE)
    fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL)  # to look where nothing is any more would kill the front
    return file


class Stamp:
    """A time in the memory behind `descriptor`, in seconds of the machine's monotonic clock; at first 0.

    The descriptor is closed at once. Raises OSError where its memory cannot be had.
    """

    def __init__(self, descriptor: int) -> None:
        try:
            self._at: int | None = _mapped(descriptor)
        finally:
            os.close(descriptor)
        self._seconds = ctypes.c_double.from_address(self._at)

    def write(self, now: float) -> None:
        """Sets the time, all of it at once: eight bytes that are aligned."""
        self._seconds.value = now

    def read(self) -> float:
        return self._seconds.value

    def close(self) -> None:
        """Lets go of the memory; what is written and read from here on is nobody else's."""
        if self._at is not None:
            self._seconds = ctypes.c_double(self._seconds.value)
            _libc.munmap(self._at, SIZE)
            self._at = None


def _mapped(descriptor: int) -> int:
    """The address; not by way of `mmap.mmap`, which keeps a descriptor for each, and hosts and fronts have many."""
    at: int | None = _libc.mmap(None, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    if at is None or at == FAILED:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return at
