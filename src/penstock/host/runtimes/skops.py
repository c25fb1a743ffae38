"""skops files: scikit-learn estimators that hold nothing but the types one trusts."""

import zipfile
from io import BytesIO
from typing import Any

from skops import io

from penstock.errors import UnreadableArtifact, UntrustedArtifact
from penstock.host.refusals import unreadable
from penstock.host.runtimes.estimator import Estimator
from penstock.host.runtimes.transforms import with_transforms
from penstock.host.source import Source
from penstock.model.control import Artifact

MOST_SHOWN = 10
UNSUSPICIOUS = 2**28  # bytes, unpacked, that nobody asks the ratio of
LARGEST_RATIO = 100  # of bytes unpacked; weights hardly shrink, and zeros a thousandfold


def load(source: Source, artifact: Artifact) -> Estimator:
    """The estimator in the bytes that were hashed, behind its transforms. Raises ArtifactError."""
    return with_transforms(read(source, artifact), artifact)


def read(source: Source, artifact: Artifact) -> Any:
    """The object in the bytes that were hashed, all of whose types are trusted. Raises ArtifactError."""
    try:
        _demand_size(source)
        unknown = sorted(set(io.get_untrusted_types(data=source.data)) - set(artifact.trusted_types))
        if unknown:
            raise _untrusted(unknown, artifact)
        return io.loads(source.data, trusted=list(artifact.trusted_types))
    except Exception as error:
        raise unreadable(error, source.data, artifact) from error


def _demand_size(source: Source) -> None:
    """Raises UnreadableArtifact for an archive that would fill the memory with what it unpacks.

    What a member says of its size is the most that is unpacked of it.
    """
    with zipfile.ZipFile(BytesIO(source.data)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(UNSUSPICIOUS, LARGEST_RATIO * len(source.data)):
        raise UnreadableArtifact(
            f"{source.path} would unpack to {unpacked / len(source.data):,.0f} times its size, as no model does: "
            "if it is one, save it without compression"
        )


def _untrusted(types: list[str], artifact: Artifact) -> UntrustedArtifact:
    shown = ", ".join(types[:MOST_SHOWN]) + (f" and {len(types) - MOST_SHOWN} more" if len(types) > MOST_SHOWN else "")
    return UntrustedArtifact(
        f"{artifact.path} holds types that are not trusted: {shown}; if you know them, list them as `trusted_types` "
        "of the model in penstock.yaml"
    )
