"""Layouts: where the models lie under a directory that somebody named.

A directory that holds an artifact or a manifest is a model, unless versions lie in it and no manifest. One whose
directories do is a model with its versions if they are called like versions (1, v2, 2026-11-23), and else a repository
of models, each with or without versions. Names that begin with a dot are ignored everywhere.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from penstock.errors import ConfigurationError, UnsupportedArtifact
from penstock.model.formats import PREDICTOR, REMEDIES, is_artifact
from penstock.model.manifest import MANIFEST
from penstock.model.versions import looks_like_version

ONLY_VERSION = "1"


class Place(NamedTuple):
    """One version of one model: an artifact, or the directory that holds it. Neither leaves `root`, a resolved path."""

    name: str
    version: str
    path: Path
    root: Path


Shape = Literal["model", "versions", "repository"]


def shape_of(directory: Path, *, one_model: bool = False) -> Shape:
    """What `directory` looks like; `one_model` says that there is only one model in it."""
    folders = subdirectories(directory)
    if is_model(directory) or not folders:
        return "model"
    return "versions" if one_model or all(looks_like_version(folder.name) for folder in folders) else "repository"


def places(
    directory: Path, name: str | None = None, *, one_model: bool = False, shape: Shape | None = None
) -> list[Place]:
    """The versions of the models under `directory`; `name` or `one_model` says that there is only one model.

    `shape` is what it looked like before: nothing that is put into it changes that. Raises ConfigurationError where it
    cannot be so, and UnsupportedArtifact where there is nothing at all.
    """
    root = directory.resolve()
    called = name or root.name
    one_model = one_model or name is not None
    shape = shape or shape_of(directory, one_model=one_model)
    if shape == "model":
        return [Place(called, ONLY_VERSION, directory, root)]
    folders = subdirectories(directory)
    if not folders:
        raise UnsupportedArtifact(f"{directory} holds no models any more")
    if one_model and not any(map(holds_model, folders)):
        _refuse_several(directory, [folder.name for folder in folders if any(map(holds_model, subdirectories(folder)))])
    if shape == "versions":
        return [Place(called, folder.name, folder, root) for folder in folders]
    return [place for folder in folders for place in _model(folder, root)]


def holds_model(directory: Path) -> bool:
    """Whether a manifest or an artifact lies in `directory` itself."""
    return (directory / MANIFEST).is_file() or bool(artifacts(directory))


def is_model(directory: Path) -> bool:
    """Whether `directory` is one model. A file that strayed among versions makes none of their directory."""
    if not holds_model(directory):
        return False
    said = any((directory / name).exists() for name in (MANIFEST, PREDICTOR))
    return said or not any(looks_like_version(each.name) and holds_model(each) for each in subdirectories(directory))


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
    versions = [] if leaves or is_model(folder) else subdirectories(folder)
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
