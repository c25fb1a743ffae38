"""How far a command has got, for a person who waits for it: one line that vanishes in the end."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress() -> Iterator[Callable[[str], object]]:
    """What is to be told each stage; it tells it to a terminal, and to nothing else."""
    if not sys.stderr.isatty():
        yield lambda stage: None
        return
    try:
        yield lambda stage: print(f"\r\x1b[K{stage} …", end="", file=sys.stderr, flush=True)
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
