"""The bytes of an artifact, read once: what is hashed is what is loaded."""

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from penstock.errors import ArtifactError, ChangedArtifact, UnreadableArtifact, UntrustedArtifact
from penstock.model.unlinked import open_unlinked

LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class Source(NamedTuple):
    """A file's path, its content and the sha256 of that content, in hexadecimal."""

    path: Path
    data: bytes
    sha256: str


def read(path: str | Path, pinned: str | None = None) -> Source:
    """Reads a regular file whole. `path` is absolute and resolved: somebody has looked at where it leads.

    Raises UnreadableArtifact if there is nothing to load in it, ChangedArtifact if its digest is not `pinned`, and
    UntrustedArtifact if there is a link on the way, which came after that look.
    """
    path = Path(path)
    data = _content(path)
    if not data:
        raise UnreadableArtifact(f"{path} is empty: write the model again, or copy the whole file")
    if data.startswith(LFS_POINTER):
        raise UnreadableArtifact(f"{path} is a Git LFS pointer and not the model: run `git lfs pull` to fetch the file")
    digest = hashlib.sha256(data).hexdigest()
    check_pin(path, digest, pinned)
    return Source(path, data, digest)


def check_pin(path: Path, digest: str, pinned: str | None) -> None:
    """Raises ChangedArtifact where a digest is pinned and `digest` is another."""
    if pinned is not None and digest != pinned:
        raise ChangedArtifact(
            f"{path} has changed: its sha256 is {digest[:12]}… and not the pinned {pinned[:12]}…; "
            "restore the file, or run `penstock lock` if the change is meant"
        )


def _content(path: Path) -> bytes:
    try:
        descriptor = open_unlinked(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        # Reading a pipe or a device could wait for ever or have effects: look at what was opened.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnreadableArtifact(f"{path} is not a regular file: name the model's file itself")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def _unreadable(path: Path, error: OSError) -> ArtifactError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return UntrustedArtifact(
            f"{path} was exchanged for a link after it was looked at: where the link leads may not be loaded; "
            "put the file itself there, or start again"
        )
    return UnreadableArtifact(f"{path} cannot be read: {error.strerror}")
