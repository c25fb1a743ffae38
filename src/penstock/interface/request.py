"""The slow and precise reading of a prediction's body: exactly what is wrong with it, and what to send instead.

The lane decodes bodies with a strict typed decoder that says no without much of a reason. What it refused comes here.
`check` is the definition of a body that fits:

    {"features": row} or {"batch": [row, …]}     a row is a list of values in order, or an object by name

A model whose one field is a tensor takes that tensor itself where others take the list. Of a key given twice the last
counts, provided that each of them fits. 400 goes before 422, and reading ends at the tenth problem.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from penstock.config import Limits
from penstock.errors import (
    InvalidRequest,
    MalformedRequest,
    NotFinite,
    Problem,
    RequestError,
    WrongFeatureCount,
)
from penstock.interface.errors import MOST_PROBLEMS, repeatable
from penstock.interface.measure import MOST_LISTS
from penstock.interface.ragged import refuse_ragged
from penstock.interface.values import NOUNS, Loc, Shape, all_fit, problems_of, settled, where, written
from penstock.model.signature import Field, Signature

_LONG_ROW = re.compile(rb'\s*\{\s*"features"\s*:\s*\[')
GUIDES = {
    "features": "A single row goes to predict; send batch here.",
    "batch": "A list of rows goes to predict-batch; send features here.",
}
UNUSED = "This field of the training data is not used, and not taken; leave it out."
_NOT_A_NUMBER = re.compile(rb"-?(NaN|nan|Infinity|inf)")
_BYTE = re.compile(r"\(byte (\d+)\)")


class Form(NamedTuple):
    """What a body of this request must look like: its only key, and the values of a row in order.

    `known` says what there is to say of fields that are known, and not taken.
    """

    key: str
    fields: tuple[Field, ...]
    rows: int
    known: Mapping[str, str] = {}

    @property
    def is_tensor(self) -> bool:
        """Whether a row is the one tensor itself rather than a list of values."""
        return len(self.fields) == 1 and bool(self.fields[0].shape)

    @property
    def is_variable(self) -> bool:
        """Whether a row may hold any number of values."""
        return any(None in field.shape for field in self.fields)

    @property
    def row(self) -> str:
        """What a row holds, in words."""
        return f"shape {written(self.fields[0].shape)}" if self.is_tensor else f"{len(self.fields)} values"

    @property
    def is_uniform(self) -> bool:
        """Whether one field stands for all of them, so that a row can be looked at as a whole."""
        first = self.fields[0]
        return all(f.dtype == first.dtype and not f.shape and f.unknown == "warn" for f in self.fields)


def form_of(signature: Signature, *, batch: bool, limits: Limits) -> Form:
    known = dict.fromkeys(signature.unused, UNUSED)
    return Form("batch" if batch else "features", signature.inputs, limits.rows if batch else 1, known)


def explain(body: bytes, signature: Signature, *, batch: bool, limits: Limits) -> RequestError:
    """The error that the sender of `body`, which the lane's decoder refused, is to read."""
    form = form_of(signature, batch=batch, limits=limits)
    try:
        error = _check(decoded(body, form), form)
    except RequestError as exc:
        return exc
    return error or invalid([Problem((form.key,), "A key of the body is given twice; send each of them once.")])


def explain_excess(body: bytes, signature: Signature, *, batch: bool, limits: Limits) -> RequestError:
    """The error that the sender of `body`, which holds more than its measure, is to read: made without decoding it."""
    form = form_of(signature, batch=batch, limits=limits)
    try:
        decoded(body, form, msgspec.Raw)  # which keeps nothing
    except RequestError as exc:
        return exc
    if not form.is_variable and _LONG_ROW.match(body):
        return WrongFeatureCount(f"Send {form.row} at features; these are many more values.")
    lists = f", and no more than {MOST_LISTS} lists" if form.is_variable else ""
    rows = "one row" if form.rows == 1 else f"no more than {form.rows} rows"
    return invalid([Problem((form.key,), f"Send {rows} of {form.row}{lists}.")])


def check(body: Any, signature: Signature, *, batch: bool, limits: Limits) -> RequestError | None:
    """What is wrong with a decoded body, or None when it is one that the model takes."""
    return _check(body, form_of(signature, batch=batch, limits=limits))


def _check(body: Any, form: Form) -> RequestError | None:
    try:
        problems = list(islice(_body(body, form), MOST_PROBLEMS))
    except MalformedRequest as error:
        return error
    return invalid(problems) if problems else None


def invalid(problems: list[Problem]) -> InvalidRequest:
    loc, msg = problems[0]
    first = f"At {where(loc)}: {msg}" if loc else msg
    return InvalidRequest(first if len(problems) == 1 else f"{first} See `errors` for the rest.", problems)


# ------------------------------------------------------------------ from bytes
def decoded(body: bytes, form: Form, kind: Any = Any) -> Any:
    if not body.strip():
        raise MalformedRequest(f'The body is empty; send {{"{form.key}": …}}.')
    try:
        return msgspec.json.decode(body, type=kind)
    except RecursionError:
        raise MalformedRequest("The body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise MalformedRequest("The body is not UTF-8.") from None
    except msgspec.ValidationError:  # an untyped decoder has no other complaint than range
        raise NotFinite("A number in the body is too large.") from None
    except msgspec.DecodeError as error:
        raise _malformed(body, str(error)) from None


def _malformed(body: bytes, reason: str) -> MalformedRequest:
    byte = _BYTE.search(reason)
    if byte is None:
        return MalformedRequest("The body is not valid JSON: it ends too early.")
    at = int(byte[1])
    if any(
        at - 2 <= token.end() and token.start() <= at
        for token in _NOT_A_NUMBER.finditer(body, max(0, at - 10), at + 10)
    ):
        return NotFinite("NaN and infinity are not JSON; send finite numbers, or null where the field takes it.")
    quotes = " Names and text stand in double quotes." if body[at : at + 1] == b"'" else ""
    return MalformedRequest(f"The body is not valid JSON: look at byte {at}.{quotes}")


# ------------------------------------------------------------------ from decoded values
def _body(body: Any, form: Form) -> Iterator[Problem]:
    if not isinstance(body, dict):
        yield Problem((), f'Send an object: {{"{form.key}": …}}.')
        return
    for place, key in enumerate(body, 1):
        if key != form.key:
            yield stranger(key, place, (), GUIDES.get(key, f"This key is unknown; send {form.key} alone."))
    if form.key not in body:
        yield Problem((form.key,), "This key is missing.")
    elif form.key == "batch":
        yield from _batch(body["batch"], form)
    else:
        yield from _row(body["features"], form, ("features",), shapes_of(body["features"], form))


def _batch(rows: Any, form: Form) -> Iterator[Problem]:
    if not isinstance(rows, list):
        yield Problem(("batch",), f"Send a list of rows, not {noun(rows)}.")
    elif not 1 <= len(rows) <= form.rows:
        yield Problem(("batch",), f"Send from 1 to {form.rows} rows; these are {len(rows)}.")
    else:
        refuse_ragged(rows, form.fields[0].shape[0] if form.is_tensor else len(form.fields))
        shapes = shapes_of(rows[0], form)
        for i, row in enumerate(rows):
            yield from _row(row, form, ("batch", i), shapes)


def shapes_of(row: Any, form: Form) -> list[Shape]:
    """The shape of each field in this request, which its first row decides where the signature does not."""
    if isinstance(row, dict):
        return [settled(field.shape, row.get(field.name)) for field in form.fields]
    if form.is_tensor:
        return [settled(form.fields[0].shape, row)]
    values = row if isinstance(row, list) and len(row) == len(form.fields) else [None] * len(form.fields)
    return [settled(field.shape, value) for field, value in zip(form.fields, values, strict=True)]


def _row(row: Any, form: Form, loc: Loc, shapes: list[Shape]) -> Iterator[Problem]:
    if isinstance(row, dict):
        yield from of_object(row, form, loc, shapes)
    elif form.is_tensor:
        yield from problems_of(form.fields[0], row, loc, shapes[0])
    elif not isinstance(row, list):
        yield Problem(loc, f"Send a list of {len(form.fields)} values or an object by name, not {noun(row)}.")
    elif len(row) != len(form.fields) and row and isinstance(row[0], list):
        raise WrongFeatureCount(f"Send one flat list of {len(form.fields)} values; several rows go to predict-batch.")
    elif len(row) != len(form.fields):
        raise WrongFeatureCount(f"Send {len(form.fields)} values at {where(loc)}; these are {len(row)}.")
    elif not (form.is_uniform and all_fit(form.fields[0], row)):
        for i, (field, value) in enumerate(zip(form.fields, row, strict=True)):
            yield from problems_of(field, value, (*loc, i), shapes[i])


def of_object(row: dict[str, Any], form: Form, loc: Loc, shapes: list[Shape]) -> Iterator[Problem]:
    names = {field.name for field in form.fields}
    for place, key in enumerate(row, 1):
        if key not in names:
            yield stranger(key, place, loc, form.known.get(key, "This is no field of the model."))
    for field, shape in zip(form.fields, shapes, strict=True):
        if field.name in row:
            yield from problems_of(field, row[field.name], (*loc, field.name), shape)
        else:
            yield Problem((*loc, field.name), "This field is missing.")


def stranger(key: str, place: int, loc: Loc, msg: str) -> Problem:
    """What to say of a key that is unknown: at its name, or where that is nothing to repeat, by its place."""
    return Problem((*loc, key), msg) if repeatable(key) else Problem(loc, f"Look at key {place}. {msg}")


def noun(value: Any) -> str:
    return "null" if value is None else NOUNS[type(value)]
