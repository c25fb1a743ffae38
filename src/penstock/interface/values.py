"""Whether a decoded JSON value fits a field, and the sentence that says what to send where it does not.

Two kinds of finding: a `Problem` is yielded (422, as many as the caller cares to take), and what makes the request
malformed whatever else it holds is raised (400). Nothing here repeats a value that was sent.
"""

from collections.abc import Iterator
from typing import Any

from penstock.errors import NotFinite, Problem, RaggedBatch, WrongFeatureCount
from penstock.model.numbers import BEYOND, EXACT, INTEGERS, bounds
from penstock.model.signature import FLOATS, Field

Loc = tuple[str | int, ...]
Shape = tuple[int | None, ...]

NOUNS = {bool: "true or false", str: "a string", list: "a list", dict: "an object", int: "a number", float: "a number"}


def problems_of(field: Field, value: Any, loc: Loc, shape: Shape | None = None) -> Iterator[Problem]:
    """What is wrong with `value` as `field`, a scalar or a nested list.

    `shape` is the field's own unless the caller knows the lengths that a variable one has in this request.
    Raises NotFinite, WrongFeatureCount and RaggedBatch.
    """
    if shape is None:
        shape = settled(field.shape, value)
    if shape:
        yield from _tensor(field, value, loc, shape, field.shape)
    elif (wrong := _scalar(field, value, loc)) is not None:
        yield Problem(loc, wrong)


def settled(shape: Shape, value: Any) -> Shape:
    """`shape` with its variable lengths as the first elements of `value` have them, as far as those are lists."""
    lengths: list[int | None] = []
    for length in shape:
        if not isinstance(value, list) or not value:
            return (*lengths, *shape[len(lengths) :])
        lengths.append(length or len(value))
        value = value[0]
    return tuple(lengths)


def all_fit(field: Field, values: list[Any]) -> bool:
    """A quick look at a flat list, at C speed: true only if each of them fits `field`."""
    kinds = set(map(type, values))
    if field.categories is not None and field.unknown == "refuse":
        return False
    if field.dtype in FLOATS:
        beyond = BEYOND[field.dtype]
        return kinds <= {float, int} and -beyond < min(values) and max(values) < beyond
    if field.dtype in INTEGERS:
        least, greatest = bounds(field)
        return kinds == {int} and least <= min(values) and max(values) <= greatest
    return kinds == {bool if field.dtype == "bool" else str}


def where(loc: Loc) -> str:
    """A location as a person writes it: batch[3].age."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).lstrip(".") or "the body"


def expected(field: Field) -> str:
    """What a single value of `field` must be: "a number", "one of 'red', 'green'"."""
    if field.categories is not None and field.unknown == "refuse":
        some = ", ".join(repr(label) for label in field.categories[:5])
        return f"one of {some}" + (", …" if len(field.categories) > 5 else "")
    if field.dtype in INTEGERS:
        return f"an {field.dtype} integer" if field.dtype.startswith("int") else f"a {field.dtype} integer"
    return {"string": "a string", "bool": "true or false"}.get(field.dtype, "a number")


def _scalar(field: Field, value: Any, loc: Loc) -> str | None:
    """The sentence for what is wrong, if anything is."""
    if value is None:
        return None if field.nullable and not field.shape else f"Send {expected(field)}; null is not taken here."
    kind = type(value)
    if field.dtype == "string" or field.dtype == "bool":
        fits = kind is (str if field.dtype == "string" else bool)
    else:
        fits = kind is int or kind is float
    if not fits:
        hint = "; 1 and 0 stand for these" if kind is bool and field.dtype != "string" else ""
        return f"Send {expected(field)}, not {NOUNS[kind]}{hint}."
    if field.dtype in FLOATS:
        if not -BEYOND[field.dtype] < value < BEYOND[field.dtype]:
            raise NotFinite(f"The number at {where(loc)} is too large for {field.dtype}.")
    elif field.dtype in INTEGERS and (wrong := _integer(field, value)) is not None:
        return wrong
    if field.unknown == "refuse" and field.categories is not None and value not in field.categories:
        return f"Send {expected(field)}."
    return None


def _integer(field: Field, value: float) -> str | None:
    least, greatest = bounds(field)
    if isinstance(value, float):
        if not value.is_integer():
            return f"Send {expected(field)}, without a fraction."
        if not -EXACT < value < EXACT:
            return f"Send {expected(field)}; one this large needs all its digits and no decimal point."
    if not least <= value <= greatest:
        return f"Send {expected(field)}, from {least} to {greatest}."
    return None


def _tensor(field: Field, value: Any, loc: Loc, shape: Shape, declared: Shape) -> Iterator[Problem]:
    if not isinstance(value, list):
        sent = "null" if value is None else NOUNS[type(value)]
        yield Problem(loc, f"Send nested lists of shape {written(declared)} here, not {sent}.")
        return
    if not value or (shape[0] is not None and len(value) != shape[0]):
        _refuse_length(value, loc, shape[0], declared[0])
    if len(shape) == 1 and all_fit(field, value):
        return
    for i, element in enumerate(value):
        if len(shape) > 1:
            yield from _tensor(field, element, (*loc, i), shape[1:], declared[1:])
        elif (wrong := _scalar(field, element, (*loc, i))) is not None:
            yield Problem((*loc, i), wrong)


def _refuse_length(value: list[Any], loc: Loc, wanted: int | None, declared: int | None) -> None:
    if declared is not None:
        raise WrongFeatureCount(f"The list at {where(loc)} needs {declared} elements and has {len(value)}.")
    if not value:
        raise WrongFeatureCount(f"The list at {where(loc)} needs at least one element.")
    raise RaggedBatch(f"The list at {where(loc)} needs {wanted} elements, as the first one there has.")


def written(shape: Shape) -> str:
    """A shape as a person writes it: (3, 224, 224), or (any, 2)."""
    return "(" + ", ".join("any" if length is None else str(length) for length in shape) + ")"
