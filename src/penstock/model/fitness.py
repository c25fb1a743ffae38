"""Whether a new version can take the place of another: by what the two take and give, and by their examples."""

from collections.abc import Iterator
from typing import Any

from penstock.model.control import Loaded
from penstock.model.signature import FLOATS, Field, Signature


def misfit_of(old: Signature, new: Signature) -> str | None:
    """Why a client of the `old` version could not go on with the `new` one; None where it can.

    What is unusual is served all the same and no reason; neither is a class that is new.
    """
    return next(_misfits(old, new), None)


def comparison_of(old: Loaded, new: Loaded) -> dict[str, Any]:
    """What the log tells of the two: how many of the old one's examples the new one answers otherwise or not at all,
    and how many times as long it takes."""
    found = new.comparison
    if found is None:
        return {"examples": 0}
    told: dict[str, Any] = {"examples": found.examples, "differing": found.differing, "unanswered": found.unanswered}
    return told | ({"times_as_long": round(found.us / old.example_us, 2)} if old.example_us else {})


def _misfits(old: Signature, new: Signature) -> Iterator[str]:
    if len(old.inputs) != len(new.inputs):
        yield f"it takes {len(new.inputs)} features and not {len(old.inputs)}"
    for was, becomes in zip(old.inputs, new.inputs, strict=False):
        if was.name != becomes.name:
            yield f"it takes {becomes.name} in the place of {was.name}"
        else:
            yield from _misfits_of_field(was, becomes)
    given, gives = old.output.fields, new.output.fields
    if len(given) != len(gives):
        yield f"it gives {len(gives)} outputs and not {len(given)}"
    for was_given, is_given in zip(given, gives, strict=False):
        if _kinds(was_given.classes) != _kinds(is_given.classes):
            yield f"its {is_given.name} is of another kind"
    if old.output.probabilities and not new.output.probabilities:
        yield "it states no probabilities"


def _misfits_of_field(was: Field, becomes: Field) -> Iterator[str]:
    if _kind(was) != _kind(becomes) or (was.dtype in FLOATS and becomes.dtype not in FLOATS):
        yield f"it takes {becomes.name} as {becomes.dtype} and not {was.dtype}"
    if was.nullable and not becomes.nullable:
        yield f"it does not take null for {becomes.name}"
    if len(was.shape) != len(becomes.shape) or any(
        b not in (a, None) for a, b in zip(was.shape, becomes.shape, strict=False)
    ):
        yield f"it takes {becomes.name} in the shape {list(becomes.shape)} and not {list(was.shape)}"
    if becomes.unknown == "refuse" and (lost := set(was.categories or ()) - set(becomes.categories or ())):
        yield f"it refuses {len(lost)} categories of {becomes.name}"


def _kind(field: Field) -> str:
    return "number" if field.is_number else field.dtype


def _kinds(classes: tuple[Any, ...] | None) -> set[type] | None:
    """The types of the labels; None where there are none."""
    return None if classes is None else {type(label) for label in classes}
