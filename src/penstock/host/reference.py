"""The reference of a model: rows that it was trained on, to try it with."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from penstock.errors import UnreadableArtifact, UnsupportedArtifact
from penstock.host import source
from penstock.host.rows import Row
from penstock.model.control import Artifact
from penstock.model.reference import Reference
from penstock.model.signature import Field


class Sample(NamedTuple):
    """The rows of an artifact's reference in the order of its inputs, and the sha256 of the files they came from."""

    rows: list[Row]
    beside: dict[str, str]


def sample_of(artifact: Artifact, inputs: Sequence[Field]) -> Sample:
    """What the artifact's reference holds; nothing where it has none.

    Raises UnsupportedArtifact where its fields are not `inputs`, and what reading it raises.
    """
    if artifact.reference is None:
        return Sample([], {})
    found, sha256 = read(artifact.reference, artifact.beside.get(artifact.reference))
    return Sample(_rows(found, inputs, artifact.reference), {artifact.reference: sha256})


def read(path: str, pinned: str | None = None) -> tuple[Reference, str]:
    """The reference in a JSON file, and its sha256. Raises UnreadableArtifact for anything else, ArtifactError."""
    found = source.read(path, pinned)
    try:
        return msgspec.json.decode(found.data, type=Reference), found.sha256
    except msgspec.MsgspecError as error:
        raise UnreadableArtifact(
            f"{path} is no reference ({error}): let `penstock pack` write it, or remove it"
        ) from None


def _rows(reference: Reference, inputs: Sequence[Field], path: str) -> list[Row]:
    names = [field.name for field in reference.fields]
    wrong = sorted({field.name for field in inputs} ^ set(names))
    if wrong:
        raise UnsupportedArtifact(
            f"{path} is of other data than the model takes, by the fields {', '.join(wrong[:5])}: "
            "pack the model again with the data that it was trained on, or remove the file"
        )
    if any(len(row) != len(names) for row in reference.sample):
        raise UnreadableArtifact(
            f"{path} has rows of other lengths than its fields: let `penstock pack` write it, or remove it"
        )
    order = [names.index(field.name) for field in inputs]
    return [[row[i] for i in order] for row in reference.sample]
