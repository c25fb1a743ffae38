"""How a child begins: on a leash that ends it with its parent, and deaf to the signals meant for the parent."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
FOR_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Children are born with these blocked: a signal to all processes at once must not find one that is not deaf yet."""


def be_a_child() -> None:
    """Ends this process with its parent, however that ends, and leaves Ctrl-C, SIGTERM and SIGHUP to the parent."""
    die_with_parent()
    for number in FOR_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_THE_PARENT)


def die_with_parent() -> None:
    """Asks the kernel to kill this process when the thread that started it ends. Raises OSError if it will not.

    A parent that is gone already is noticed by whoever reads the pipe or socket that it left: it is at its end.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
