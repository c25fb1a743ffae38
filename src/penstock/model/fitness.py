"""Whether a new version can take the place of another, or be compared with it: by what the two take and give, and by
their examples."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from msgspec import UNSET

from penstock.model.context import own_part
from penstock.model.control import Loaded
from penstock.model.signature import FLOATS, Field, OutputField, Signature

_KINDS: dict[type, str] = {str: "text", int: "integers", float: "numbers", bool: "true and false"}


def misfit_of(old: Signature, new: Signature) -> str | None:
    """Why a client of the `old` version could not go on with the `new` one; None where it can.

    What is unusual is served all the same and no reason; neither is a class that is new.
    """
    return next(chain(_strangenesses(old, new), _refusals(old, new)), None)


def context_misfit_of(old: Loaded, new: Loaded) -> str | None:
    """Why a client of the `old` version that has its rows completed could not go on with the `new` one."""
    if not old.context:
        return None
    was, becomes = ({each.key for each in loaded.context} for loaded in (old, new))
    if was != becomes:
        return f"it looks up features by {_listed(becomes)} and not by {_listed(was)}"
    sent, sends = ({each.name for each in own_part(one.signature, one.context).inputs} for one in (old, new))
    if sent != sends:
        return f"clients send it {_listed(sends)} and not {_listed(sent)}, and the rest is looked up"
    if lost := _defaults(old) - _defaults(new):
        return f"it has no default for {_listed(lost)}"
    return None


def _defaults(loaded: Loaded) -> set[str]:
    return {each.name for context in loaded.context for each in context.features if each.default is not UNSET}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)[:10]) or "nothing"


def strangeness_of(old: Signature, new: Signature) -> str | None:
    """Why the `new` version could not be asked what the `old` one is, or their answers not be compared; None where that
    can be. Requests that the new one would refuse from a client are no reason, if it can be asked them at all."""
    return next(_strangenesses(old, new), None)


def comparison_of(old: Loaded, new: Loaded) -> dict[str, Any]:
    """What the log tells of the two: how many of the old one's examples the new one answers otherwise or not at all,
    and how many times as long it takes."""
    found = new.comparison
    if found is None:
        return {"examples": 0}
    told: dict[str, Any] = {"examples": found.examples, "differing": found.differing, "unanswered": found.unanswered}
    return told | ({"times_as_long": round(found.us / old.example_us, 2)} if old.example_us else {})


def _strangenesses(old: Signature, new: Signature) -> Iterator[str]:
    """What makes it impossible to ask both the same, or to compare what they say."""
    if len(old.inputs) != len(new.inputs):
        yield f"it takes {len(new.inputs)} features and not {len(old.inputs)}"
    for was, becomes in zip(old.inputs, new.inputs, strict=False):
        if was.name != becomes.name:
            yield f"it takes {becomes.name} in the place of {was.name}"
        else:
            yield from _strangenesses_of_field(was, becomes)
    given, gives = old.output.fields, new.output.fields
    if len(given) != len(gives):
        yield f"it gives {len(gives)} outputs and not {len(given)}"
    for was_given, is_given in zip(given, gives, strict=False):
        if _given_kind(was_given) != _given_kind(is_given):
            yield f"its {is_given.name} is {_in_words(is_given)} and not {_in_words(was_given)}"


def _strangenesses_of_field(was: Field, becomes: Field) -> Iterator[str]:
    if _kind(was) != _kind(becomes) or (was.dtype in FLOATS and becomes.dtype not in FLOATS):
        yield f"it takes {becomes.name} as {becomes.dtype} and not {was.dtype}"
    if was.nullable and not becomes.nullable and becomes.dtype not in FLOATS:  # those have NaN
        yield _no_null(becomes)
    if len(was.shape) != len(becomes.shape) or any(
        b not in (a, None) for a, b in zip(was.shape, becomes.shape, strict=False)
    ):
        yield f"it takes {becomes.name} in the shape {list(becomes.shape)} and not {list(was.shape)}"


def _refusals(old: Signature, new: Signature) -> Iterator[str]:
    """What a client would be refused or not be told any more, where both take and give the same."""
    for was, becomes in zip(old.inputs, new.inputs, strict=False):
        if was.nullable and not becomes.nullable:
            yield _no_null(becomes)
        if becomes.unknown == "refuse" and (lost := set(was.categories or ()) - set(becomes.categories or ())):
            yield f"it refuses {len(lost)} categories of {becomes.name}"
    if old.output.probabilities and not new.output.probabilities:
        yield "it states no probabilities"


def _no_null(field: Field) -> str:
    return f"it does not take null for {field.name}"


def _kind(field: Field | OutputField) -> str:
    return field.dtype if field.dtype in ("string", "bool") else "number"


def _given_kind(field: OutputField) -> str | set[type]:
    """The types of the labels, or else of what kind the values are."""
    return _kind(field) if field.classes is None else {type(label) for label in field.classes}


def _in_words(field: OutputField) -> str:
    if field.classes is None:
        return {"string": "text", "bool": "true or false"}.get(field.dtype, "a number")
    kinds = sorted(_KINDS.get(kind, kind.__name__) for kind in {type(label) for label in field.classes})
    return f"one of {len(field.classes)} classes ({', '.join(kinds)})"
