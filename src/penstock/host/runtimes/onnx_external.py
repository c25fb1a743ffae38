"""Weights that an ONNX model keeps in files beside it, read here so that ONNX Runtime opens none."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from penstock.errors import UntrustedArtifact
from penstock.host.source import read
from penstock.model.control import Artifact


def external_data(artifact: Artifact, locations: Sequence[str]) -> list[bytes]:
    """The content of each file. Raises UntrustedArtifact for a path that leads out of the artifact's root."""
    return [read(_within(artifact, location)).data for location in locations]


def _within(artifact: Artifact, location: str) -> Path:
    written = PurePosixPath(location)
    path = Path(artifact.path).parent / written
    if written.is_absolute() or ".." in written.parts or not path.resolve().is_relative_to(artifact.root):
        raise UntrustedArtifact(
            f"{artifact.path} wants its weights from {location}, outside {artifact.root}: "
            "keep them beside the model, and no link that leads elsewhere"
        )
    return path
