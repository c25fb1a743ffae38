"""The order of versions, whatever they are called: 2 < 10, 1.0 < 1.1, 1.0rc1 < 1.0 < 1.0.1."""

import re

VERSION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")

_PART = re.compile(r"[0-9]+|[A-Za-z]+")
_NUMBERED = re.compile(r"[vV]?[0-9]")

Key = tuple[tuple[tuple[int, int, str], ...], str]


def version_key(name: str) -> Key:
    """A key to sort by. Numbers count as numbers; words come before the end of a name, and that before numbers.

    Two names of one version (1.0, v1.00) follow the order of their letters, so that the order is total.
    """
    text = name[1:] if _NUMBERED.match(name) and not name[0].isdigit() else name
    parts = [_rank(part) for part in _PART.findall(text)]
    return (*parts, (1, 0, "")), name


def looks_like_version(name: str) -> bool:
    """Whether a directory of this name is rather a version than a model: 1, v2, 2026-11-23."""
    return _NUMBERED.match(name) is not None


def _rank(part: str) -> tuple[int, int, str]:
    if part.isalpha():
        return 0, 0, part.lower()
    digits = part.lstrip("0")
    return 2, len(digits), digits
