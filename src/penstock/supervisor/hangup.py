"""What SIGHUP means: to a service it is a word of its operator, to a program in a window that the window was closed."""

import errno
import os
import signal


class Terminal:
    """The terminal that this process was started from, if it was and is to end with it: `nohup` says that it is not."""

    def __init__(self) -> None:
        self._ends_us = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _is_there()

    def is_gone(self) -> bool:
        """Whether it was there and is no more."""
        return self._ends_us and not _is_there()


def _is_there() -> bool:
    """Whether this process has a controlling terminal (tty(4)): one that was closed, or never was, has no device."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as problem:
        return problem.errno not in (errno.ENXIO, errno.EIO, errno.ENOENT)
    return True
