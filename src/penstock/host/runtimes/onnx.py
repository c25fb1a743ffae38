"""ONNX files: checked by a child while this process imports ONNX Runtime, then run from the bytes that were hashed."""

from penstock.errors import UnsupportedArtifact
from penstock.host.model import Model
from penstock.host.refusals import unreadable
from penstock.host.runtimes.onnx_check import Check
from penstock.host.runtimes.onnx_external import external_data
from penstock.host.source import Source
from penstock.model.control import Artifact


def load(source: Source, artifact: Artifact) -> Model:
    """The graph in the bytes that were hashed. Raises ArtifactError."""
    check = Check(source, artifact)
    try:
        from penstock.host.runtimes.onnx_graph import Graph, open_session

        verdict = check.verdict()
    finally:
        check.stop()
    weights = external_data(artifact, verdict.external)
    contents = {location: found.data for location, found in weights.items()}
    try:
        session = open_session(source.data, contents, artifact)
    except Exception as error:
        if "Failed to construct locale" in str(error):
            raise UnsupportedArtifact(
                f"{artifact.path} prepares text for a locale that this machine lacks: convert it with the option "
                "locale='C', or install the locale (en_US.UTF-8, mostly)"
            ) from error
        raise unreadable(error, source.data, artifact) from error
    beside = {str(found.path): found.sha256 for found in weights.values()}
    return Graph(session, verdict, artifact, beside)
