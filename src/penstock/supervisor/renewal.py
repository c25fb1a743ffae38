"""The files of the certificate, looked at again and again: whoever renews it need not tell the service.

The supervisor reads them for all fronts, so that they show the same one, and a front that is started while the files
are no pair, half exchanged say, has the last that was.
"""

import os
from collections.abc import Callable

from penstock.config import Server
from penstock.errors import ConfigurationError
from penstock.model.tls import Pair, fingerprint, read_pair
from penstock.supervisor.equipment import Equipment

LOOK_S = 2.0

Stamp = tuple[int, int, int]
"""The inode of a file, its size, and when it was last written, in nanoseconds."""


class Renewal:
    """Hands each new pair to `take`. What is no pair leaves the last one in force, which is said once."""

    def __init__(self, equipment: Equipment, server: Server, pair: Pair, take: Callable[[Pair], object]) -> None:
        self._loop = equipment.loop
        self._log = equipment.log
        self._files = (server.tls_cert, server.tls_key)
        self._take = take
        self._seen: list[Stamp | None] | None = None  # the first look reads: something may have changed since the start
        self._taken = pair
        self._doubted = False

    def start(self) -> None:
        self._loop.later(LOOK_S, self._look)

    def _look(self) -> None:
        self._loop.later(LOOK_S, self._look)
        stamps = [_stamp(file) for file in self._files if file is not None]
        if stamps != self._seen:
            self._seen, self._doubted = stamps, True
            self._read()
        elif self._doubted:  # it was no pair, and nobody is writing any more
            self._doubted = False
            self._read(in_earnest=True)

    def _read(self, *, in_earnest: bool = False) -> None:
        try:
            pair = read_pair(*self._files)
        except ConfigurationError as problem:
            if in_earnest:
                self._log.error("certificate_refused", reason=str(problem), detail="the last one stays in force")
            return
        self._doubted = False
        if pair is not None and pair != self._taken:
            self._taken = pair
            self._take(pair)
            self._log.info("certificate_taken", sha256=fingerprint(pair))


def _stamp(file: str) -> Stamp | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
