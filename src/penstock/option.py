"""Options: every setting by its three names, derived from the declarations in config.py.

`limits.body` in penstock.yaml is PENSTOCK_LIMITS_BODY in the environment and --limits-body on the command line. The
settings of a model (`models.*.batching.max_rows`) have a flag and a variable too, which apply to every model.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, get_type_hints

import msgspec
from msgspec import Struct, inspect

from penstock.config import Model, Settings, Store

EVERY_MODEL = "models.*."
EVERY_STORE = "stores.*."
_SHORTER = {"server": "", "batching": "", "logs": "log-"}  # groups whose flags would be longer than they need to be


class Option(NamedTuple):
    """One setting. `annotation` is its declared type with bounds; `help` a phrase in lower case."""

    path: str
    flag: str
    annotation: Any
    help: str
    default: Any

    @property
    def variable(self) -> str:
        return "PENSTOCK" + self.flag[1:].replace("-", "_").upper()

    @property
    def group(self) -> str:
        """ "server", "limits", …, "models" for what belongs to a model, or "" for a setting in no group."""
        return self.path.rpartition(".")[0].partition(".")[0]

    @property
    def many(self) -> bool:
        """Whether the flag may be given again."""
        return isinstance(self.default, tuple)


@cache
def options() -> dict[str, Option]:
    """All settings that have a flag, by path."""
    service = _declared(Settings, "", "--")
    return {option.path: option for option in (*service, *_declared(Model, EVERY_MODEL, "--"))}


@cache
def paths() -> dict[str, Any]:
    """The annotated type of every setting that penstock.yaml may hold, by path."""
    model_path = get_type_hints(Model, include_extras=True)["path"]
    flagless = {option.path: option.annotation for option in of_stores()}
    return (
        {f"{EVERY_MODEL}path": model_path} | {path: option.annotation for path, option in options().items()} | flagless
    )


@cache
def of_stores() -> tuple[Option, ...]:
    """The settings of a store, which only a file can say."""
    return tuple(_declared(Store, EVERY_STORE, "--"))


def _declared(struct: type[Struct], path: str, flag: str) -> Iterator[Option]:
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        if isinstance(field.default, Struct):
            yield from _declared(type(field.default), f"{path}{field.name}.", flag + _prefix(field.name))
        elif field.default is not msgspec.NODEFAULT:
            words = flag + field.name.replace("_", "-")
            yield Option(path + field.name, words, hints[field.name], _help(hints[field.name]), field.default)


def _prefix(group: str) -> str:
    return _SHORTER.get(group, f"{group}-")


def _help(annotation: Any) -> str:
    kind = inspect.type_info(annotation)
    said = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return str((said or {}).get("description", ""))
