"""The original: the artifact and its transforms as they were named, which vouches for them."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from penstock.cli.packing.shelf import Shelf
from penstock.configuration import Configuration
from penstock.errors import ArtifactError, ConfigurationError, UnsupportedArtifact
from penstock.model.control import Transform
from penstock.model.formats import format_of, usual_dtype
from penstock.model.layout import Place
from penstock.model.manifest import parse_inputs
from penstock.model.source import ModelSource, Warrant, source_of
from penstock.model.trust import LOCK_NAME, Lock, digest_of


def original(path: Path, said: Sequence[str], where: Shelf, configuration: Configuration) -> ModelSource:
    """The artifact at `path` behind the transforms that are `said`. Raises ConfigurationError, ArtifactError."""
    if path.is_dir():
        raise ConfigurationError(f"{path} is a directory: name the artifact itself, {path / 'model.pkl'} say")
    if not path.exists():
        raise ConfigurationError(f"{path}: no such file or directory")
    settings = configuration.model(str(path.absolute()))
    warrant = Warrant(Lock(path.parent / LOCK_NAME, {}), "", file_named=True, code_named=True)
    source = source_of(Place(where.name, where.version, path, path.parent.resolve()), settings, warrant)
    if source.refusal:
        raise ArtifactError(source.refusal.message)
    if source.artifact.format == "predictor":
        raise UnsupportedArtifact(
            f"{path} loads what it needs by itself: put it and its files into a directory by hand"
        )
    transforms = tuple(map(_transform, said))
    inputs = source.artifact.inputs
    if settings.inputs and transforms:
        inputs = parse_inputs(settings.inputs, usual_dtype(transforms[0].format))
    pins = {each.path: digest_of(Path(each.path)) for each in transforms}
    artifact = msgspec.structs.replace(
        source.artifact, transforms=transforms, beside=pins, inputs=inputs, compile="off"
    )  # examples are what the model itself says
    return msgspec.structs.replace(source, artifact=artifact)


def _transform(said: str) -> Transform:
    kind = format_of(Path(said))
    if kind not in ("pickle", "skops"):
        raise UnsupportedArtifact(
            f"--transform: {said} is {kind}: a fitted transform is a .pkl, .joblib or .skops file"
        )
    if not Path(said).is_file():
        raise ConfigurationError(f"--transform: {said}: no such file")
    return Transform(str(Path(said).resolve()), kind)
