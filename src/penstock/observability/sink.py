"""Where log lines go: a descriptor that may be a terminal, a pipe with a slow reader, or a file on a full disk."""

import errno
import os
import select
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from threading import Event

from penstock.errors import ConfigurationError

PIPE_CHUNK = select.PIPE_BUF  # a write of at most so many bytes is never mixed with another process's (pipe(7))
FILE_CHUNK = 256 * 2**10
STANDING_S = 0.1  # how often a sink that stands still is looked at again
MOVED_S = 1.0  # how often a file is checked for having been rotated away
PASSING = frozenset((errno.EAGAIN, errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class Sink:
    """Writes chunks of whole lines to descriptor `fd`, and waits where it stands still until `abandoned` is set.

    With a `path`, the file there is opened for appending, and opened anew once another file (or none) has its name,
    so that rotation needs no signal. Raises ConfigurationError where it cannot be opened.
    """

    def __init__(self, fd: int = 1, path: str | None = None) -> None:
        self.abandoned = Event()
        self._path = path
        self._fd = fd if path is None else _open(path)
        self._checked = time.monotonic()
        self._shared_stream = not _is_file(self._fd)
        self.terminal = os.isatty(self._fd)
        self.chunk = PIPE_CHUNK if self._shared_stream else FILE_CHUNK

    def write(self, chunk: bytes) -> bool:
        """Whether `chunk` was written. Returns once it was, or it never will be; raises nothing."""
        left = memoryview(chunk)
        self._follow_rotation()
        while left and not self.abandoned.is_set():
            try:
                if self._writable() and not self.abandoned.is_set():
                    left = left[os.write(self._fd, left) :]
            except OSError as error:
                if error.errno not in PASSING:
                    break
                self.abandoned.wait(STANDING_S)
                self._follow_rotation()
        return not left

    def close(self) -> None:
        if self._path is not None:
            os.close(self._fd)

    def _writable(self) -> bool:
        if not self._shared_stream:
            return True
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(STANDING_S * 1000))

    def _follow_rotation(self) -> None:
        now = time.monotonic()
        if self._path is None or now < self._checked + MOVED_S:
            return
        self._checked = now
        if not _is_at(self._fd, self._path):
            with suppress(ConfigurationError):
                fresh = _open(self._path)
                os.close(self._fd)
                self._fd = fresh


def whole_lines(lines: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Joins lines into chunks of at most `limit` bytes; a line that is longer by itself is a chunk of its own."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if size + len(line) >= limit and chunk:
            yield b"\n".join(chunk) + b"\n"
            chunk, size = [], 0
        chunk.append(line)
        size += len(line) + 1
    if chunk:
        yield b"\n".join(chunk) + b"\n"


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigurationError(f"cannot write the log file {path}: {error.strerror}") from error


def _is_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False
