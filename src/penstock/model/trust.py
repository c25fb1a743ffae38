"""Trust: which files may run code when they are loaded, and the lock that pins them by their sha256.

`penstock.lock` has the format of sha256sum, so that `sha256sum -c penstock.lock` checks it too. It lies outside the
directories of the models: whoever can exchange a model must not be able to vouch for it.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from penstock.errors import ConfigurationError

LOCK_NAME = "penstock.lock"
HEADER = """\
# The sha256 of every file that may run code when it is loaded; no other such file is loaded from these directories.
# Written by `penstock lock`. Paths start at the directory of this file, as for `sha256sum -c`.
"""

_LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escape: char for char, escape in _ESCAPES.items()}


class Lock(NamedTuple):
    """The pins in the lock at `path`: sha256 by path relative to its directory."""

    path: Path
    pins: dict[str, str]

    def pin_of(self, file: Path) -> str | None:
        """The sha256 that `file`, an absolute path, must have; None where nobody vouched for it."""
        return self.pins.get(self._relative(file))

    def updated(self, trees: Iterable[Path], found: Mapping[Path, str]) -> "Lock":
        """The lock with `found` as all that is pinned under `trees`; other pins stay while their files are there."""
        named = [self._relative(tree) for tree in trees]
        others = {name: pin for name, pin in self.pins.items() if not any(_within(name, tree) for tree in named)}
        here = self.path.parent.resolve()
        kept = {name: pin for name, pin in others.items() if os.path.exists(here / name)}
        pins = kept | {self._relative(file): digest for file, digest in found.items()}
        return Lock(self.path, dict(sorted(pins.items())))

    def text(self) -> str:
        return HEADER + "".join(f"{sum_line(name, pin)}\n" for name, pin in sorted(self.pins.items()))

    def write(self) -> None:
        """Writes the lock so that a reader finds the old one or the new one, and nothing between."""
        import tempfile

        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with open(handle, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                os.fchmod(handle, 0o644)
                file.write(self.text())
                file.flush()
                os.fsync(handle)
            os.replace(name, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise

    def _relative(self, file: Path) -> str:
        return os.path.relpath(file, self.path.parent.resolve())


def read_lock(path: Path) -> Lock:
    """The lock at `path`, empty where there is none. Raises ConfigurationError where it is not a lock."""
    try:
        text = path.read_text("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return Lock(path, {})
    except OSError as error:
        raise ConfigurationError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    pins: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            name, pin = _parsed(line, f"{path}: line {number}")
            pins[name] = pin
    return Lock(path, pins)


def digest_of(file: Path) -> str:
    """The sha256 of a file, in hex. Raises OSError."""
    import hashlib  # OpenSSL: 4 MB that a service does without

    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):  # a pipe would be waited for, for ever
            raise OSError(errno.EINVAL, "not a regular file", str(file))
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sum_line(name: str, pin: str) -> str:
    """A file and its sha256 as sha256sum writes them."""
    escaped = "".join(_ESCAPES.get(char, char) for char in name)
    return f"{pin}  {escaped}" if escaped == name else f"\\{pin}  {escaped}"


def _parsed(line: str, where: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line.rstrip("\r"))
    if match is None:
        raise ConfigurationError(f"{where}: expected a sha256, two blanks and a path; `penstock lock` writes them")
    escaped, pin, name = match.groups()
    return (re.sub(r"\\[\\nr]", lambda found: _UNESCAPES[found[0]], name) if escaped else name), pin


def _within(name: str, tree: str) -> bool:
    return tree == "." or name == tree or name.startswith(f"{tree}/")
