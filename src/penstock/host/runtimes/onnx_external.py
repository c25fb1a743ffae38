"""Weights that an ONNX model keeps in files beside it, read here so that ONNX Runtime opens none."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from penstock.errors import UnreadableArtifact, UntrustedArtifact
from penstock.host.source import Source, read
from penstock.model.control import Artifact


def external_data(artifact: Artifact, locations: Sequence[str]) -> dict[str, Source]:
    """The file at each location. Raises UntrustedArtifact for a path that leads out of the artifact's root, and
    ChangedArtifact for a file that is not the one that was loaded first."""
    return {location: _read(artifact, location) for location in locations}


def _read(artifact: Artifact, location: str) -> Source:
    """The file there. What may be a link within the root is pinned by the name that the model calls it."""
    written = PurePosixPath(location)
    path = Path(artifact.path).parent / written
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError) as error:  # a link to itself
        raise UnreadableArtifact(f"{path} cannot be found: {error}") from error
    if written.is_absolute() or ".." in written.parts or not resolved.is_relative_to(artifact.root):
        raise UntrustedArtifact(
            f"{artifact.path} wants its weights from {location}, outside {artifact.root}: "
            "keep them beside the model, and no link that leads elsewhere"
        )
    return read(resolved, artifact.beside.get(str(path)))._replace(path=path)
