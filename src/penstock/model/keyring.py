"""The keys that clients have: who they are, by name, and what they may.

They are kept in a file of their own, as the SHA-256 of each, so that who reads the file has no key by that:

    mobile: {sha256: 9f86…, rights: [predict]}
    ops: {sha256: 60303…, rights: [predict, read, admin]}
    anonymous: {rights: [predict], quota: {requests: 10/min}}
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from penstock.config import Allowance
from penstock.configuration import MODEL_NAME
from penstock.errors import ConfigurationError
from penstock.model.key import ANONYMOUS, Key, Priority, Right
from penstock.model.quota import demand_rates
from penstock.values import Unfit, convert, did_you_mean, shown


class _Entry(Struct, kw_only=True, forbid_unknown_fields=True):
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    rights: Annotated[tuple[Right, ...], Meta(min_length=1)]
    priority: Priority | UnsetType = UNSET
    quota: Any = UNSET  # of which each setting is read by itself


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

    keys = tuple(_key(name, said, path.name) for name, said in read(path).items())
    _demand_distinct(keys, path.name)
    return keys


def _key(name: object, said: object, file: str) -> Key:
    if not (isinstance(name, str) and MODEL_NAME.fullmatch(name)):
        raise ConfigurationError(f"{file}: {shown(name)} is no name: use letters, digits, '_', '-' and '.'")
    if not isinstance(said, dict):
        raise ConfigurationError(f"{file}: {name}: expected {{sha256: …, rights: [predict]}}, got {shown(said)}")
    for field in said:
        if field not in _Entry.__struct_fields__:
            near = did_you_mean(str(field), _Entry.__struct_fields__)
            raise ConfigurationError(f"{file}: {name}.{field}: unknown setting{near}")
    if name == ANONYMOUS and "sha256" in said:
        raise ConfigurationError(f"{file}: {name}: this is who sends no key, and has no sha256")
    for field, expected in EXPECTED.items():
        if (name == ANONYMOUS and field == "sha256") or (field in OPTIONAL and field not in said):
            continue
        if not _fits(field, said):
            told = shown(said[field]) if field in said else "nothing"
            raise ConfigurationError(f"{file}: {name}.{field}: expected {expected}, got {told}")
    return Key(
        name=name,
        sha256=said.get("sha256", ""),
        rights=tuple(said["rights"]),
        priority=said.get("priority"),
        quota=_quota(said["quota"], f"{file}: {name}.quota") if "quota" in said else None,
    )


def _quota(said: Any, where: str) -> Allowance:
    """The limits of a key, each read as the flag of the same name would be."""
    hints = get_type_hints(Allowance, include_extras=True)
    if not isinstance(said, dict):
        raise ConfigurationError(f"{where}: expected limits such as {LIMITS}, got {shown(said)}")
    for field in said:
        if field not in hints:
            raise ConfigurationError(f"{where}.{field}: unknown setting{did_you_mean(str(field), hints)}")
    quota = Allowance(**{field: _limit(hints[field], value, f"{where}.{field}") for field, value in said.items()})
    demand_rates(quota, where)
    return quota


def _limit(annotation: Any, raw: object, where: str) -> Any:
    try:
        return convert(annotation, raw)
    except Unfit as unfit:
        raise ConfigurationError(f"{where}: {unfit}") from None


EXPECTED = {
    "sha256": "64 hexadecimal digits, the SHA-256 of the key (penstock key new makes both)",
    "rights": "a list of predict, read and admin",
    "priority": "high or low",
}
OPTIONAL = ("priority",)
LIMITS = "{requests: 100/s, requests_burst: 200, rows: 5000/min}"


def _fits(field: str, said: dict[object, Any]) -> bool:
    whole = {"sha256": "0" * 64, "rights": ["read"]} | {field: said.get(field)}
    try:
        msgspec.convert(whole, _Entry)
    except msgspec.ValidationError:
        return False
    return True


def _demand_distinct(keys: Sequence[Key], file: str) -> None:
    first: dict[str, str] = {}
    for key in keys:
        if (other := first.setdefault(key.sha256, key.name)) != key.name:
            raise ConfigurationError(f"{file}: {other} and {key.name} are the same key: give each its own")
