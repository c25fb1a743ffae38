"""The manifest: what `model.yaml` says of the artifact beside it. Every line is optional."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from msgspec import Struct

from penstock.errors import ConfigurationError
from penstock.model.context import Context, read_context
from penstock.model.shaping import Shaping, contradictions
from penstock.model.signature import AllZero, DType, Field
from penstock.values import Unfit, convert, did_you_mean, shown

MANIFEST = "model.yaml"
MOST_FIELDS = 100_000
MOST_ELEMENTS = 2**28

_DTYPES: tuple[str, ...] = get_args(DType)
_FIELD = get_type_hints(Field, include_extras=True)
_SHAPING = get_type_hints(Shaping, include_extras=True)
_DECLARABLE = {name: annotation for name, annotation in _FIELD.items() if name != "origin"}
_SHAPE = re.compile(r"(?:[1-9]\d{0,8}|\?)(?:x(?:[1-9]\d{0,8}|\?))*", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_NAME = 200


class Manifest(Struct, frozen=True, kw_only=True):
    """What a manifest says. Paths are as they were written: whoever uses them checks that they stay in the directory.

    `inputs` is what the document holds; `fields` makes sense of it once the artifact's format is known.
    """

    artifact: str | None = None
    transform: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    inputs: Any = None
    context: tuple[Context, ...] = ()
    all_zero: AllZero = "serve"
    output: Shaping = Shaping()
    examples: str | None = None
    reference: str | None = None

    def fields(self, dtype: DType) -> tuple[Field, ...]:
        """The declared inputs; those that do not say their dtype have this one. Raises ConfigurationError."""
        return () if self.inputs is None else tuple(_inputs(self.inputs, dtype))


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`. Raises ConfigurationError, which names the line of sight, `inputs[2].dtype` say."""
    from penstock.document import read  # it imports yaml: 25 ms that only those with a manifest pay

    document = read(path)
    hints = get_type_hints(Manifest)
    said: dict[str, Any] = {}
    for key, raw in document.items():
        if key not in hints:
            raise ConfigurationError(f"{MANIFEST}: {shown(key)}: unknown key{did_you_mean(str(key), hints)}")
        if raw is not None:
            reader = _READERS.get(str(key))
            said[str(key)] = reader(raw, str(key)) if reader else _value(hints[str(key)], raw, str(key))
    return Manifest(**said)


def parse_inputs(text: str, dtype: DType = "float64") -> tuple[Field, ...]:
    """Fields in short: "4" (numbers f0 … f3), "3x224x224" (one tensor; ? is a free length), "age:int64,colour:string".

    A dtype may follow a count or a shape too ("4:int64"), and a shape may follow a field's dtype
    ("image:float32:3x224x224"). Raises ConfigurationError.
    """
    first, _, said = text.strip().partition(":")
    if _COUNT.fullmatch(first):
        kind = _dtype(said, dtype, text)
        if not 0 < int(first) <= MOST_FIELDS:
            raise ConfigurationError(f"inputs: expected from 1 to {MOST_FIELDS} numbers, got {shown(text)}")
        return tuple(Field(name=f"f{i}", dtype=kind, origin="declared") for i in range(int(first)))
    if _SHAPE.fullmatch(first):
        return (_checked(Field(name="input", dtype=_dtype(said, dtype, text), shape=_shape(first), origin="declared")),)
    fields = [_short(part.strip(), dtype) for part in text.split(",")]
    return tuple(_unique(fields))


def _short(text: str, dtype: DType) -> Field:
    name, _, rest = text.partition(":")
    kind, _, shape = rest.partition(":")
    if shape and not _SHAPE.fullmatch(shape):
        raise ConfigurationError(f"inputs: {shown(text)}: expected a shape such as 3x224x224, got {shown(shape)}")
    field = Field(name=name, dtype=_dtype(kind, dtype, text), shape=_shape(shape) if shape else (), origin="declared")
    return _checked(field)


def _dtype(said: str, usual: DType, text: str) -> DType:
    if said and said not in _DTYPES:
        near = did_you_mean(said, _DTYPES)
        raise ConfigurationError(
            f"inputs: {shown(text)}: expected a dtype, one of {', '.join(_DTYPES)}, got {shown(said)}{near}"
        )
    return convert(DType, said) if said else usual


def _shape(text: str) -> tuple[int | None, ...]:
    return tuple(None if length == "?" else int(length) for length in text.split("x"))


def _inputs(raw: Any, dtype: DType) -> Iterator[Field]:
    if type(raw) in (int, str):
        try:
            yield from parse_inputs(str(raw), dtype)
        except ConfigurationError as error:
            raise ConfigurationError(f"{MANIFEST}: {error}") from None
    elif isinstance(raw, list) and raw:
        yield from _unique([_field(each, f"inputs[{i}]", dtype) for i, each in enumerate(raw)], f"{MANIFEST}: ")
    else:
        raise ConfigurationError(f"{MANIFEST}: inputs: expected a list of fields, a count or a shape, got {shown(raw)}")


def _field(raw: object, where: str, dtype: DType) -> Field:
    if not isinstance(raw, dict):
        raise ConfigurationError(
            f"{MANIFEST}: {where}: expected a field such as {{name: age, dtype: int64}}, got {shown(raw)}"
        )
    said = _said(raw, _DECLARABLE, where)
    if "name" not in raw:
        raise ConfigurationError(f"{MANIFEST}: {where}: say its name")
    return _checked(Field(**{"dtype": dtype, **said, "origin": "declared"}), f"{MANIFEST}: {where}")


def _as_written(raw: Any, where: str) -> Any:
    """What `fields` makes sense of later."""
    return raw


def _output(raw: object, where: str) -> Shaping:
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{MANIFEST}: {where}: expected a mapping such as {{round: 2}}, got {shown(raw)}")
    said = _said(raw, _SHAPING, where)
    shaping = Shaping(**said)
    for wrong in contradictions(shaping):
        raise ConfigurationError(f"{MANIFEST}: {where}.{wrong}")
    return shaping


def _context(raw: object, where: str) -> tuple[Context, ...]:
    return read_context(raw, f"{MANIFEST}: {where}")


def _said(raw: dict[Any, Any], hints: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What a mapping says for keys that it may have."""
    for key in raw:
        if key not in hints:
            raise ConfigurationError(f"{MANIFEST}: {where}: unknown key {shown(key)}{did_you_mean(str(key), hints)}")
    return {key: _value(hints[key], each, f"{where}.{key}") for key, each in raw.items() if each is not None}


def _value(annotation: Any, raw: object, where: str) -> Any:
    try:
        return convert(annotation, raw)
    except Unfit as unfit:
        raise ConfigurationError(f"{MANIFEST}: {where}: {unfit}") from None


def _checked(field: Field, where: str = "inputs") -> Field:
    """The field, if its parts fit each other. Raises ConfigurationError."""
    for wrong in _contradictions(field):
        raise ConfigurationError(f"{where}{wrong}")
    return field


def _contradictions(field: Field) -> Iterator[str]:
    if not field.name.strip() or len(field.name) > _LONGEST_NAME or _UNPRINTABLE.search(field.name):
        yield f".name: expected 1 to {_LONGEST_NAME} printable characters, got {shown(field.name)}"
    if any(length is not None and length < 1 for length in field.shape):
        yield ".shape: every length must be at least 1 (or null, where it may differ)"
    elif math.prod(length or 1 for length in field.shape) > MOST_ELEMENTS:
        yield f".shape: more than {MOST_ELEMENTS} elements"
    if field.range is not None:
        yield from _wrong_range(field, *field.range)
    for i, category in enumerate(field.categories or ()):
        if not _fits(category, field.dtype):
            quotes = "; put it in quotes" if field.dtype == "string" else ""
            yield f".categories[{i}]: expected a value of dtype {field.dtype}, got {shown(category)}{quotes}"
    if field.categories == ():
        yield ".categories: name at least one"


def _wrong_range(field: Field, low: float, high: float) -> Iterator[str]:
    if field.dtype in ("string", "bool"):
        yield f".range: a field of dtype {field.dtype} has none"
    elif not (math.isfinite(low) and math.isfinite(high) and low <= high):
        yield f".range: expected [lowest, highest], got [{low:g}, {high:g}]"


def _fits(category: object, dtype: DType) -> bool:
    if dtype in ("string", "bool"):
        return isinstance(category, str if dtype == "string" else bool)
    whole = isinstance(category, int) and not isinstance(category, bool)
    return whole or (dtype.startswith("float") and isinstance(category, float))


def _unique(fields: list[Field], where: str = "") -> list[Field]:
    seen: set[str] = set()
    for i, field in enumerate(fields):
        if field.name in seen:
            raise ConfigurationError(f"{where}inputs[{i}].name: '{field.name}' is there twice")
        seen.add(field.name)
    return fields


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "inputs": _as_written,
    "output": _output,
    "context": _context,
}
"""The keys whose values are more than one of a type."""
