"""Values as people write them: from text or YAML to a declared type, or a sentence that says what was expected."""

import math
import os.path
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import inspect

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B", re.IGNORECASE | re.ASCII)
_PASSWORD = re.compile(r"(://[^/@]*:)[^/]*@")
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_LONGEST_SHOWN = 40
LIKENESS = 0.72  # two letters of "port" exchanged are alike; two files of which only ".pkl" is the same are not
_ROLES = {"size": "a size such as 16MiB", "path": "a path", "network": "an address or a network such as 10.0.0.0/8"}


class Unfit(ValueError):
    """A value that does not fit; the message continues "expected …, got …"."""


def convert(annotation: Any, raw: object, base: str | None = None) -> Any:
    """`raw`, as YAML reads it, as a value of the annotated type. Raises Unfit.

    Sizes may be text such as "16MiB"; paths are joined to `base`, the directory of whoever wrote them.
    """
    kind = inspect.type_info(annotation)
    try:
        value = msgspec.convert(_prepared(kind, raw, base), annotation)
    except Unfit:
        raise
    except (msgspec.ValidationError, ValueError, OverflowError):
        if is_url(annotation):
            raise Unfit(f"expected {expected(kind)}") from None  # and not a password on the screen
        quoted = ", in quotes" if type(raw) is float and _role(kind, "kind") == "word" else ""
        raise Unfit(f"expected {expected(kind)}{quoted}, got {shown(raw)}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit(f"expected {expected(kind)}, got {shown(raw)}")
    return value


def from_text(annotation: Any, text: str, base: str | None = None) -> Any:
    """The value that `text`, a flag or an environment variable, stands for. Raises Unfit."""
    return convert(annotation, _untyped(inspect.type_info(annotation), text), base)


def to_text(annotation: Any, value: Any) -> str:
    """How a value is written in a flag or an environment variable: the inverse of `from_text`, but for passwords."""
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    match _role(inspect.type_info(annotation), "kind"):
        case "size":
            return format_size(value)
        case "url":
            return _PASSWORD.sub(r"\1…@", value)
    return f"{value}".removesuffix(".0")


def is_url(annotation: Any) -> bool:
    """Whether there may be a password in such a value."""
    return _role(inspect.type_info(annotation), "kind") == "url"


def parse_size(text: str) -> int:
    """Bytes: "16MiB", "64 KiB", "1GB", "1.5MiB", "512B". Raises Unfit where that is no whole number of bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Unfit(f"expected a size such as 16MiB, got {shown(text)}")
    number, unit, binary = match.groups()
    size = float(number) * (1024 if binary else 1000) ** _POWERS[unit.upper()]
    if (binary and not unit) or size != int(size):
        raise Unfit(f"expected a size such as 16MiB, got {shown(text)}")
    return int(size)


def parse_network(text: str) -> str:
    """An address, or a network of them, in its canonical form. Raises Unfit."""
    from ipaddress import ip_network  # 3 ms that only those with proxies pay

    try:
        network = ip_network(text.strip())
    except ValueError as problem:
        raise Unfit(f"expected an address or a network such as 10.0.0.0/8, got {shown(text)}") from problem
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def format_size(size: int) -> str:
    """Bytes in the largest binary unit that divides them: 16MiB, 1000B."""
    for unit, power in (("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power}{unit}"
    return f"{size}B"


def expected(kind: inspect.Type) -> str:
    """What a person should have written, to stand after "expected"."""
    words = _role(kind, "expected")
    if words is not None:
        return str(words)
    role = _role(kind, "kind")
    if role == "size" and isinstance(bare := _number(kind), inspect.IntType) and bare.le is not None:
        return f"a size such as 16MiB, up to {format_size(bare.le)}"
    if role in _ROLES and not isinstance(_bare(kind), inspect.VarTupleType):
        return _ROLES[str(role)]
    return _collection(kind) or _scalar(kind)


def shown(raw: object) -> str:
    """A value in an error message: short, on one line, and never a whole collection."""
    if raw is None:
        return "nothing"
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, dict):
        return "a mapping"
    if isinstance(raw, list | tuple):
        return "a list"
    text = repr(raw)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def did_you_mean(word: str, known: Iterable[str], cutoff: float = LIKENESS) -> str:
    """ "; did you mean 'port'?", or nothing where no known word is near."""
    from difflib import get_close_matches  # only errors need it

    near = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean '{near[0]}'?" if near else ""


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _number(kind: inspect.Type) -> inspect.Type:
    """The type of a value that is there, without what the declaration says beside it."""
    bare = _bare(kind)
    if isinstance(bare, inspect.UnionType):
        return _number(next(each for each in bare.types if not isinstance(each, inspect.NoneType)))
    return bare


def _role(kind: inspect.Type, key: str) -> object | None:
    """What the declaration says beside its type, also behind a union with None."""
    if isinstance(kind, inspect.UnionType):
        return next((role for each in kind.types if (role := _role(each, key))), None)
    if not isinstance(kind, inspect.Metadata):
        return None
    return (kind.extra or {}).get(key) or _role(kind.type, key)


def _collection(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return expected(kind.type)
        case inspect.UnionType():
            return " or ".join(expected(each) for each in kind.types if not isinstance(each, inspect.NoneType))
        case inspect.VarTupleType():
            return f"a list of {_plural(expected(kind.item_type))}"
        case inspect.TupleType():
            return f"a list of {len(kind.item_types)} {_plural(expected(kind.item_types[0]))}"
    return ""


def _plural(words: str) -> str:
    """ "numbers" of "a number"; words that are no such thing stay as they are."""
    article, _, noun = words.partition(" ")
    return f"{noun}s" if article in ("a", "an") and " " not in noun else words


def _scalar(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"an integer{_bounds(kind)}"
        case inspect.FloatType():
            return f"a number{_bounds(kind)}"
        case inspect.LiteralType():
            return f"one of {', '.join(map(str, kind.values))}"
    return "text"


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.gt is not None:
        return f" above {kind.gt:g}"
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge} to {kind.le}"
    return f" of at least {kind.ge:g}" if kind.ge is not None else ""


def _prepared(kind: inspect.Type, raw: object, base: str | None) -> object:
    """Sizes as bytes, yes and no as booleans, and paths as absolute ones; anything else as it is."""
    bare = _bare(kind)
    if isinstance(raw, list) and isinstance(bare, inspect.VarTupleType):
        return [_prepared(bare.item_type, each, base) for each in raw]
    role = _role(kind, "kind")
    if role in ("word", "load") and type(raw) is int:
        return str(raw)
    if role == "load":
        return _load(raw)
    if not isinstance(raw, str):
        return raw
    if isinstance(bare, inspect.BoolType):
        return _BOOLS.get(raw.lower(), raw)
    if role == "size":
        return _size(raw)
    if role == "network":
        return parse_network(raw)
    if role == "path" and base is not None:
        return os.path.abspath(os.path.join(base, raw)) if raw else None
    return raw


def _size(raw: str) -> object:
    """Bytes; the text itself where it is no size, of which the declaration then says what was expected."""
    try:
        return parse_size(raw)
    except Unfit:
        return raw


def _load(raw: object) -> object:
    """Which versions to load, in one word: {latest: 2} is latest:2, and [1, 2] is 1,2."""
    match raw:
        case {"latest": int(n), **others} if not others:
            return f"latest:{n}"
        case list() if raw and all(type(each) in (int, str) for each in raw):
            return ",".join(map(str, raw))
    return raw


def _untyped(kind: inspect.Type, text: str) -> object:
    """The YAML value that `text` stands for where a `kind` is wanted; `text` itself where it stands for none."""
    match kind:
        case inspect.Metadata():
            return _untyped(kind.type, text)
        case inspect.UnionType():
            return _untyped(next(each for each in kind.types if not isinstance(each, inspect.NoneType)), text)
        case inspect.VarTupleType():
            return [_untyped(kind.item_type, part.strip()) for part in text.split(",") if part.strip()]
        case inspect.BoolType():
            return _BOOLS.get(text.strip().lower(), text)
        case inspect.IntType():
            return int(text) if _INTEGER.fullmatch(text.strip()) else text
        case inspect.FloatType():
            try:
                return float(text)
            except ValueError:
                return text
    return text
