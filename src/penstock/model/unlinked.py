"""Opening a file that was looked at before, and that a link may have taken the place of since."""

import os
from pathlib import Path


def open_unlinked(path: Path) -> int:
    """A descriptor of the file at `path`, which is absolute and has no link on the way. Raises OSError.

    It is opened step by step: O_NOFOLLOW alone looks at the last one only. A link is ELOOP, as a directory ENOTDIR.
    A pipe is not waited for.
    """
    step = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in path.parts[1:-1]:
            above, step = step, os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=step)
            os.close(above)
        return os.open(path.name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=step)
    finally:
        os.close(step)
