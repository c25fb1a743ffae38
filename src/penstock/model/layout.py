"""Layouts: where the models lie under a directory that somebody named.

A directory that holds an artifact or a manifest is a model. One whose directories do is a model with its versions if
they are called like versions (1, v2, 2026-11-23), and else a repository of models, each with or without versions.
Names that begin with a dot are ignored everywhere.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from penstock.errors import ConfigurationError, UnsupportedArtifact
from penstock.model.formats import REMEDIES, is_artifact
from penstock.model.manifest import MANIFEST
from penstock.model.versions import looks_like_version

ONLY_VERSION = "1"


class Place(NamedTuple):
    """One version of one model: an artifact, or the directory that holds it. Neither leaves `root`, a resolved path."""

    name: str
    version: str
    path: Path
    root: Path


def places(directory: Path, name: str | None = None, *, one_model: bool = False) -> list[Place]:
    """The versions of the models under `directory`; `name` or `one_model` says that there is only one model.

    Raises ConfigurationError where that is not so, and UnsupportedArtifact where there is nothing at all.
    """
    root = directory.resolve()
    called = name or root.name
    folders = subdirectories(directory)
    if holds_model(directory) or not folders:
        return [Place(called, ONLY_VERSION, directory, root)]
    one_model = one_model or name is not None
    if one_model and not any(map(holds_model, folders)):
        _refuse_several(directory, [folder.name for folder in folders if any(map(holds_model, subdirectories(folder)))])
    if one_model or all(looks_like_version(folder.name) for folder in folders):
        return [Place(called, folder.name, folder, root) for folder in folders]
    return [place for folder in folders for place in _model(folder, root)]


def holds_model(directory: Path) -> bool:
    """Whether a manifest or an artifact lies in `directory` itself."""
    return (directory / MANIFEST).is_file() or bool(artifacts(directory))


def artifacts(directory: Path) -> list[Path]:
    """The files in `directory` that are artifacts by their names, sorted."""
    return [file for file in _entries(directory) if is_artifact(file) and not file.is_dir()]


def strangers(directory: Path) -> list[Path]:
    """The files in `directory` that are models in formats which are not served."""
    return [file for file in _entries(directory) if file.suffix.lower() in REMEDIES and not file.is_dir()]


def subdirectories(directory: Path) -> list[Path]:
    return [entry for entry in _entries(directory) if entry.is_dir()]


def _model(folder: Path, root: Path) -> Iterator[Place]:
    leaves = not folder.resolve().is_relative_to(root)  # what lies outside is not even looked at
    versions = [] if leaves or holds_model(folder) else subdirectories(folder)
    if not versions:
        yield Place(folder.name, ONLY_VERSION, folder, root)
    for version in versions:
        yield Place(folder.name, version.name, version, root)


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise UnsupportedArtifact(f"{directory}: {(error.strerror or 'cannot be read').lower()}") from None


def _refuse_several(directory: Path, models: list[str]) -> None:
    if models:
        raise ConfigurationError(
            f"{directory} holds several models ({', '.join(models[:5])}): name one of them, {directory / models[0]} say"
        )
