"""The keys that clients have: who they are, by name, and what they may.

They are kept in a file of their own, as the SHA-256 of each, so that who reads the file has no key by that:

    mobile: {sha256: 9f86…, rights: [predict]}
    ops: {sha256: 60303…, rights: [predict, read, admin]}
    anonymous: {rights: [predict], quota: {requests: 10/min}}
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from penstock.config import Allowance
from penstock.configuration import MODEL_NAME
from penstock.errors import ConfigurationError
from penstock.model.key import ANONYMOUS, PREFIX, PRIORITIES, RIGHTS, Key, Priority, Right, has_secret
from penstock.model.quota import demand_rates
from penstock.values import Unfit, convert, did_you_mean, shown

FIELDS = ("sha256", "rights", "priority", "quota")
LIMITS = "{requests: 100/s, requests_burst: 200, rows: 5000/min}"
DIGEST = "64 hexadecimal digits, the SHA-256 of the key (penstock key new makes both)"
MAY = "a list of predict, read and admin"
NO_DIGEST = "this is a key, not its digest: make the line with penstock key new"
_DIGEST = re.compile("[0-9a-fA-F]{64}")
_WORD = re.compile("[A-Za-z_]{1,16}")


def entry(key: Key) -> str:
    """A key as a line of the file."""
    priority = f", priority: {key.priority}" if key.priority else ""
    return f"{key.name}: {{sha256: {key.sha256}, rights: [{', '.join(key.rights)}]{priority}{_written(key.quota)}}}\n"


def _written(quota: Allowance | None) -> str:
    if quota is None:
        return ""
    limits = {field: said for field, said in msgspec.structs.asdict(quota).items() if said is not None}
    return f", quota: {{{', '.join(f'{field}: {said}' for field, said in limits.items())}}}"


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in the file. Raises ConfigurationError, which names the key and says what was expected."""
    from penstock.document import read  # it imports yaml

    entries = enumerate(read(path, discreet=True).items(), 1)
    keys = tuple(_key(_name(name, path.name, place), said, path.name) for place, (name, said) in entries)
    _demand_distinct(keys, path.name)
    return keys


def _name(name: object, file: str, place: int) -> str:
    """The name of an entry. One that is none may be the key itself, and is not told."""
    if isinstance(name, str) and has_secret(name):
        raise ConfigurationError(f"{file}: entry {place}: {NO_DIGEST}")
    if not (isinstance(name, str) and MODEL_NAME.fullmatch(name)):
        raise ConfigurationError(
            f"{file}: entry {place} begins with what is no name: use letters, digits, '_', '-' and '.'"
        )
    return name


def _key(name: str, raw: object, file: str) -> Key:
    where = f"{file}: {name}"
    _demand_no_secret(raw, where)
    said = _mapping(raw, "{sha256: …, rights: [predict]}", where)
    _demand_known(said, FIELDS, where)
    if name == ANONYMOUS and "sha256" in said:
        raise ConfigurationError(f"{where}: this is who sends no key, and has no sha256")
    return Key(
        name=name,
        sha256="" if name == ANONYMOUS else _sha256(said.get("sha256"), f"{where}.sha256"),
        rights=_rights(said.get("rights"), f"{where}.rights", is_anonymous=name == ANONYMOUS),
        priority=_priority(said["priority"], f"{where}.priority") if "priority" in said else None,
        quota=_quota(said["quota"], f"{where}.quota") if "quota" in said else None,
    )


# ------------------------------------------------------------------ what may be a secret, and is not told
def _demand_no_secret(raw: object, where: str) -> None:
    """Raises where a key stands in the file, at whatever place."""
    for path, text in _texts(raw, where):
        if text.startswith(PREFIX) or has_secret(text):
            raise ConfigurationError(f"{path}: {NO_DIGEST}")


def _texts(raw: object, where: str) -> Iterator[tuple[str, str]]:
    """Every text in a value, and where it stands, as far as that may be told."""
    match raw:
        case str():
            yield where, raw
        case list():
            for each in raw:
                yield from _texts(each, where)
        case dict():
            for field, value in raw.items():
                yield where, str(field)
                yield from _texts(value, f"{where}.{field}" if field in FIELDS else where)


def _mapping(raw: object, example: str, where: str) -> dict[object, Any]:
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{where}: expected {example}, got {_kind(raw)}")
    return raw


def _kind(raw: object) -> str:
    """What somebody wrote where something else belongs: what kind of thing it is, and no more."""
    if isinstance(raw, str):
        return f"text of {len(raw)} characters"
    return shown(raw) if raw is None or isinstance(raw, list | dict) else "a number or the like"


def _demand_known(said: dict[object, Any], known: Sequence[str], where: str) -> None:
    for field in said:
        if field not in known:
            told = f".{field}" if _is_word(field) else ""
            near = did_you_mean(str(field), known) or f": there are {', '.join(known)}"
            raise ConfigurationError(f"{where}{told}: unknown setting{near}")


def _is_word(raw: object) -> bool:
    """Whether it is so short and plain that it is no secret."""
    return isinstance(raw, str) and _WORD.fullmatch(raw) is not None


# ------------------------------------------------------------------ the fields
def _sha256(raw: object, where: str) -> str:
    """The digest in small letters; some programs write capital ones."""
    if not (isinstance(raw, str) and _DIGEST.fullmatch(raw)):
        raise ConfigurationError(f"{where}: expected {DIGEST}, got {_kind(raw)}")
    return raw.lower()


def _rights(raw: object, where: str, *, is_anonymous: bool) -> tuple[Right, ...]:
    if not isinstance(raw, list):
        raise ConfigurationError(f"{where}: expected {MAY}, such as [predict], got {_kind(raw)}")
    if not raw:
        raise ConfigurationError(f"{where}: the list is empty: expected {MAY}; take the line out if it may do nothing")
    for word in raw:
        if word not in RIGHTS:
            told = f"'{word}'" if _is_word(word) else _kind(word)
            raise ConfigurationError(f"{where}: {told} is no right: expected {MAY}{did_you_mean(str(word), RIGHTS)}")
    if is_anonymous and "admin" in raw:
        raise ConfigurationError(
            f"{where}: whoever sends no key may predict and read, and not admin: anybody could change what is served; "
            "give admin to a key (penstock key new ops --rights admin)"
        )
    return tuple(raw)


def _priority(raw: object, where: str) -> Priority:
    for priority in PRIORITIES:
        if raw == priority:
            return priority
    told = f"'{raw}'" if _is_word(raw) else _kind(raw)
    raise ConfigurationError(f"{where}: expected {' or '.join(PRIORITIES)}, got {told}")


def _quota(raw: Any, where: str) -> Allowance:
    """The limits of a key, each read as the flag of the same name would be."""
    hints = get_type_hints(Allowance, include_extras=True)
    said = _mapping(raw, f"limits such as {LIMITS}", where)
    _demand_known(said, tuple(hints), where)
    quota = Allowance(**{str(at): _limit(hints[str(at)], value, f"{where}.{at}") for at, value in said.items()})
    demand_rates(quota, where)
    return quota


def _limit(annotation: Any, raw: object, where: str) -> Any:
    try:
        return convert(annotation, raw)
    except Unfit as unfit:
        raise ConfigurationError(f"{where}: {unfit}") from None


def _demand_distinct(keys: Sequence[Key], file: str) -> None:
    first: dict[str, str] = {}
    for key in keys:
        if (other := first.setdefault(key.sha256, key.name)) != key.name:
            raise ConfigurationError(f"{file}: {other} and {key.name} are the same key: give each its own")
