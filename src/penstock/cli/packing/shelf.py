"""The shelf: the place of a model's directory, which appears there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from penstock.cli.packing.contents import Contents, differences
from penstock.configuration import MODEL_NAME
from penstock.errors import ConfigurationError
from penstock.model.layout import ONLY_VERSION, holds_model, subdirectories
from penstock.model.versions import VERSION_NAME, looks_like_version


class Shelf(NamedTuple):
    """Where a version of a model is to lie: `home` is the model's directory, with or without versions in it."""

    name: str
    version: str
    target: Path
    home: Path

    @property
    def named(self) -> str:
        """How a command names the model from the directory that holds its home."""
        folder = self.home.absolute().name
        return folder if folder == self.name else f"{self.name}={folder}"

    def served(self) -> tuple[str, str]:
        """What to lock and what to serve: the directory of models around the home, else the home under its name.

        A lock lies beside what is locked, so that one of the home would lie among the models.
        """
        around = self.home.parent
        if around.name not in ("", "..") and self.home.name == self.name and _is_repository(around):
            return f"{around}/", f"{around}/"
        home = str(self.home)
        return home, home if self.home.absolute().name == self.name else f"{self.name}={home}"


def shelf(output: str, name: str | None) -> Shelf:
    """The place that `-o` names. Raises ConfigurationError where nothing can lie there."""
    target = Path(output)
    if target.resolve() in (Path.cwd(), Path("/")):
        raise ConfigurationError(
            f"-o {output}: a version appears in its place whole: name a directory that is not there"
        )
    folder = target.absolute().name
    versioned = looks_like_version(folder) and VERSION_NAME.fullmatch(folder) is not None
    home = target.parent if versioned else target
    called = name or home.absolute().name
    if not MODEL_NAME.fullmatch(called) or folder.startswith("."):
        raise ConfigurationError(
            f"{called!r} is no name for a model (letters, digits, '_', '-' and '.', 64 at most): "
            "choose one with --name, and a directory whose name begins with no dot"
        )
    if target.exists() and not target.is_dir():
        raise ConfigurationError(f"{output} is a file: name a directory that is not there yet, {output}.d/1 say")
    return Shelf(called, folder if versioned else ONLY_VERSION, target, home)


def is_there(target: Path, contents: Contents) -> bool:
    """Whether the directory is there and holds just that. Raises ConfigurationError where it holds anything else."""
    if not target.is_dir() or not any(target.iterdir()):
        return False
    if others := differences(target, contents):
        raise ConfigurationError(
            f"{target} is there and differs ({', '.join(others[:5])}{', …' if len(others) > 5 else ''}): "
            f"a version is not overwritten; pack into {_next(target)}, or remove it"
        )
    return True


@contextmanager
def staged(target: Path, contents: Contents) -> Iterator[Path]:
    """A directory with the contents, beside `target` and hidden from whoever looks for models; gone in the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for name, content in contents.items():
            content.write(staging / name)
        yield staging.resolve()
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def put(staging: Path, target: Path) -> None:
    """Moves the directory to its place at once. Raises ConfigurationError where something has come there meanwhile."""
    for folder in (staging, *(each for each in staging.rglob("*") if each.is_dir())):
        folder.chmod(0o755)
    try:
        os.rename(staging, target)  # over an empty directory, and over nothing else
    except OSError as error:
        raise ConfigurationError(f"{target}: something else was put there meanwhile ({error.strerror})") from None


def _is_repository(directory: Path) -> bool:
    """Whether nothing but directories of models lies there, each with or without versions."""
    entries = [entry for entry in directory.iterdir() if not entry.name.startswith(".")]
    return all(entry.is_dir() and not looks_like_version(entry.name) and _is_model(entry) for entry in entries)


def _is_model(directory: Path) -> bool:
    versions = subdirectories(directory)
    return holds_model(directory) or (bool(versions) and all(map(holds_model, versions)))


def _next(target: Path) -> Path:
    """A name for another version that is not taken."""
    stem = target.name
    if not stem.isdecimal():
        return target.with_name(f"{stem}.1")
    number = int(stem) + 1
    while target.with_name(str(number)).exists():
        number += 1
    return target.with_name(str(number))
