"""The cache of compiled models: what the compiler found, kept for the next start.

An entry is trusted as far as the directory is its owner's own: whatever is not is as good as not there.
"""

import contextlib
import errno
import hashlib
import os
import platform
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path

import msgspec
from msgspec import Struct

import penstock
from penstock.model.certificate import Certificate
from penstock.model.control import Artifact
from penstock.model.signature import Signature

VARIABLE = "PENSTOCK_CACHE"
MAGIC = b"penstock compiled 2\n"
_KEY = re.compile(r"[0-9a-f]{64}")
MOST_ENTRIES = 200
MOST_BYTES = 4 * 2**30
DISTRIBUTIONS = (
    "numpy", "scipy", "scikit-learn", "pandas", "skops", "joblib", "skl2onnx", "onnx", "onnxmltools", "onnxruntime",
    "xgboost", "xgboost-cpu", "lightgbm",
)  # fmt: skip
"""Packages whose versions have a say in what a compiled model answers."""


class Entry(Struct, frozen=True, kw_only=True):
    """What the compiler found: `graph` is empty where the original serves.

    `final` is false where it may find something else another time: memory or speed were short.
    """

    certificate: Certificate
    signature: Signature
    trained_with: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    graph: bytes = b""
    final: bool = True


def key_of(artifact: Artifact, sha256: str, beside: Iterable[str]) -> str:
    """What an entry is found by: everything that has a say in it.

    `beside` has the sha256 of the transforms, the golden examples and the reference, in order.
    """
    code = sorted(artifact.code_pins.items())
    declared = (artifact.format, artifact.inputs, artifact.output, artifact.trusted_types, code)
    content = msgspec.msgpack.encode((sha256, list(beside), declared, versions(), platform.machine()))
    return hashlib.sha256(content).hexdigest()


def versions() -> dict[str, str]:
    """The installed versions that matter, told without importing anything."""
    found = {"penstock": penstock.__version__, "python": platform.python_version()}
    for name in DISTRIBUTIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def place(environment: Mapping[str, str]) -> Path | None:
    """The directory of the cache: PENSTOCK_CACHE, or the user's own; None where there is no such thing."""
    said = environment.get(VARIABLE)
    if said:
        return Path(said).absolute()
    usual = environment.get("XDG_CACHE_HOME") or (f"{home}/.cache" if (home := environment.get("HOME")) else "")
    return Path(usual, "penstock") if os.path.isabs(usual) else None


class Cache:
    """Entries in `directory`, which nobody else may write to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, key: str) -> Entry | None:
        """The entry; None where there is none that is whole and one's own."""
        try:
            if not _is_private(os.stat(self._directory), stat.S_ISDIR):
                return None
            data = self._read(key)
        except OSError:
            return None
        head, body = data[: len(MAGIC) + 32], data[len(MAGIC) + 32 :]
        if head != MAGIC + hashlib.sha256(body).digest():
            return None
        try:
            return msgspec.msgpack.decode(body, type=Entry)
        except msgspec.MsgspecError:
            return None

    def put(self, key: str, entry: Entry) -> None:
        """Keeps the entry, whole or not at all, and lets go of the oldest ones. Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(os.stat(self._directory), stat.S_ISDIR):
            raise PermissionError(errno.EPERM, "it belongs to others, or they may write to it", str(self._directory))
        body = msgspec.msgpack.encode(entry)
        handle, name = tempfile.mkstemp(prefix=".", dir=self._directory)
        try:
            with open(handle, "wb") as file:
                file.write(MAGIC + hashlib.sha256(body).digest() + body)
            os.replace(name, self._directory / key)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
        self._prune()

    def _read(self, key: str) -> bytes:
        descriptor = os.open(self._directory / key, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not _is_private(os.fstat(descriptor), stat.S_ISREG):
                raise PermissionError
            with contextlib.suppress(OSError):  # a cache that may only be read
                os.utime(descriptor)
            return file.read()

    def _prune(self) -> None:
        """Keeps what was used last."""
        found = []
        for file in os.scandir(self._directory):
            if not _KEY.fullmatch(file.name):  # not ours to remove
                continue
            with contextlib.suppress(FileNotFoundError):
                status = file.stat(follow_symlinks=False)
                found.append((status.st_mtime, status.st_size, file.path))
        held = 0
        for number, (_, size, path) in enumerate(sorted(found, reverse=True), 1):
            held += size
            if number > MOST_ENTRIES or (held > MOST_BYTES and number > 1):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)


def _is_private(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    return is_kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
