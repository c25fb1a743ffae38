"""What a model takes: what it says itself, overridden by what its operator declares."""

from collections.abc import Sequence

from msgspec import structs

from penstock.errors import UnsupportedArtifact
from penstock.model.control import Artifact
from penstock.model.formats import usual_dtype
from penstock.model.signature import Field, Signature

ANONYMOUS = "input"  # what `--inputs 3x224x224` calls its only field


def made_up(index: int) -> str:
    """The name of a column that has none."""
    return f"f{index}"


def settle(artifact: Artifact, inferred: Sequence[Field], named: bool) -> tuple[tuple[Field, ...], bool]:
    """The fields of a model, and whether their names mean anything.

    Declared fields are matched by name where the model has names and by position where it has none. Raises
    UnsupportedArtifact where neither side says anything, or the two contradict each other.
    """
    declared = artifact.inputs
    if not inferred and not declared:
        raise UnsupportedArtifact(
            f"{artifact.path} does not say what it takes: declare it on the command line "
            "(`--inputs 4`, `--inputs age:int64,city:string`) or in model.yaml (`inputs: 4`, or a list of fields)"
        )
    if not declared:
        return tuple(inferred), named
    if not inferred:
        return declared, not anonymous(declared)
    if not named or anonymous(declared):
        return _by_position(artifact, inferred), named or not anonymous(declared)
    return _by_name(artifact, inferred), True


def refusing_zeros(signature: Signature, artifact: Artifact) -> Signature:
    """The signature with what is declared of rows whose numbers are all zero. Raises UnsupportedArtifact."""
    if artifact.all_zero == "refuse" and not any(field.is_number for field in signature.inputs):
        raise UnsupportedArtifact(
            f"{artifact.path} takes no numbers, of which `all_zero: refuse` speaks: remove it from model.yaml"
        )
    return structs.replace(signature, all_zero=artifact.all_zero)


def anonymous(fields: Sequence[Field]) -> bool:
    """Whether the names of the fields are made up."""
    return [f.name for f in fields] in ([ANONYMOUS], [made_up(i) for i in range(len(fields))])


def _by_position(artifact: Artifact, inferred: Sequence[Field]) -> tuple[Field, ...]:
    declared = artifact.inputs
    if len(declared) != len(inferred):
        raise UnsupportedArtifact(
            f"{artifact.path} takes {len(inferred)} inputs, and {len(declared)} are declared: "
            "correct `inputs:` or --inputs"
        )
    unnamed = anonymous(declared)
    pairs = zip(declared, inferred, strict=True)
    return tuple(_merged(artifact, mine, its, its.name if unnamed else mine.name) for mine, its in pairs)


def _by_name(artifact: Artifact, inferred: Sequence[Field]) -> tuple[Field, ...]:
    declared = {field.name: field for field in artifact.inputs}
    strangers = sorted(declared.keys() - {field.name for field in inferred})
    if strangers:
        raise UnsupportedArtifact(
            f"{artifact.path} has no input named {', '.join(strangers)}: it takes "
            f"{', '.join(f.name for f in inferred[:20])}; correct `inputs:` or --inputs"
        )
    return tuple(
        _merged(artifact, declared[its.name], its, its.name) if its.name in declared else its for its in inferred
    )


def _merged(artifact: Artifact, mine: Field, its: Field, name: str) -> Field:
    """The declared field, completed where it only has a default by what the model says."""
    return structs.replace(
        mine,
        name=name,
        dtype=its.dtype if mine.dtype == usual_dtype(artifact.format) else mine.dtype,
        shape=mine.shape or its.shape,
        nullable=mine.nullable or its.nullable,
        categories=mine.categories or its.categories,
        unknown=its.unknown if mine.categories is None else mine.unknown,
        origin="declared",
    )
