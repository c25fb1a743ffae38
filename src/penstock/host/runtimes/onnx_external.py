"""Weights that an ONNX model keeps in files beside it, read here so that ONNX Runtime opens none."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from penstock.errors import UntrustedArtifact
from penstock.host.source import Source, read
from penstock.model.control import Artifact


def external_data(artifact: Artifact, locations: Sequence[str]) -> dict[str, Source]:
    """The file at each location. Raises UntrustedArtifact for a path that leads out of the artifact's root, and
    ChangedArtifact for a file that is not the one that was loaded first."""
    paths = {location: _within(artifact, location) for location in locations}
    return {location: read(path, artifact.beside.get(str(path))) for location, path in paths.items()}


def _within(artifact: Artifact, location: str) -> Path:
    written = PurePosixPath(location)
    path = Path(artifact.path).parent / written
    if written.is_absolute() or ".." in written.parts or not path.resolve().is_relative_to(artifact.root):
        raise UntrustedArtifact(
            f"{artifact.path} wants its weights from {location}, outside {artifact.root}: "
            "keep them beside the model, and no link that leads elsewhere"
        )
    return path
