"""The configuration in force: flags over environment over penstock.yaml over defaults, and where each value came from.

Every source becomes a flat layer, path → setting; merging is a union of dictionaries.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from penstock.config import Model, Settings, Store
from penstock.errors import ConfigurationError
from penstock.option import EVERY_MODEL, EVERY_STORE, Option, of_stores, options, paths
from penstock.values import Unfit, convert, did_you_mean, from_text, is_url, shown, to_text

MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
TABLES = (".csv", ".parquet")
CONFIG_VARIABLE = "PENSTOCK_CONFIG"
CACHE_VARIABLE = "PENSTOCK_CACHE"  # the hosts', and no setting: whoever is said to serve a model finds its own place
KEY_VARIABLE = "PENSTOCK_ADMIN_KEY"
URL_VARIABLE = "PENSTOCK_URL"
OTHERS = {CONFIG_VARIABLE, CACHE_VARIABLE, KEY_VARIABLE, URL_VARIABLE}  # which are no settings of the service

_SERVICE_LINK = re.compile(r"[a-z]+://")  # Kubernetes sets PENSTOCK_PORT=tcp://… beside a Service called "penstock"


class Setting(NamedTuple):
    """A value, and where it came from: "--port", "PENSTOCK_PORT", "penstock.yaml" or "default"."""

    value: Any
    origin: str


Layer = dict[str, Setting]
Flags = Mapping[str, Sequence[str]]
"""Path → what the command line said, once or more often."""


class Effective(NamedTuple):
    """A setting in force: its path, its value, the value as a person writes it, and where it came from."""

    path: str
    value: Any
    text: str
    origin: str


class Configuration(NamedTuple):
    """`settings` as they are in force, and the layers they were made of: what was said, of whom, and where.

    `models` and `stores` are those that the file configures; what flags and environment say of every model is in each
    of them, and in `every_model`.
    """

    settings: Settings
    service: Layer
    models: dict[str, Layer]
    stores: dict[str, Layer]
    every_model: Layer
    file: Path | None
    notices: tuple[str, ...]

    def model(self, path: str) -> Model:
        """The settings of a model that no file configures."""
        return msgspec.convert(_nested({"path": Setting(path, "")} | self.every_model), Model)

    def effective(self) -> Iterator[Effective]:
        """Every setting in force; `models.*.` stands for a model that no file configures."""
        layers = [("", "", self.service)]
        layers += [(EVERY_STORE, f"stores.{name}.", layer) for name, layer in self.stores.items()]
        layers += [(EVERY_MODEL, f"models.{name}.", layer) for name, layer in self.models.items()]
        if not self.models:
            layers.append((EVERY_MODEL, EVERY_MODEL, self.every_model))
        defaults = options() | {option.path: option for option in of_stores()}
        for group, where, layer in layers:
            for declared, annotation in paths().items():
                if _group(declared) == group:
                    path = declared.removeprefix(group)
                    default = defaults[declared].default if declared in defaults else None
                    said = layer.get(path, Setting(default, "default"))
                    text = to_text(annotation, said.value)
                    yield Effective(where + path, text if is_url(annotation) else said.value, text, said.origin)


def _group(path: str) -> str:
    """ "models.*." or "stores.*." for a setting of one of many, else ""."""
    return next((group for group in (EVERY_MODEL, EVERY_STORE) if path.startswith(group)), "")


def load(
    file: Path | None = None, flags: Flags | None = None, environ: Mapping[str, str] | None = None
) -> Configuration:
    """Merges the sources. Raises ConfigurationError, which names the source and says what was expected."""
    service, models, stores = _from_file(file) if file else ({}, {}, {})
    variables, notices = _from_environment(environ or {})
    spoken = variables | _from_flags(flags or {})
    every = {path.removeprefix(EVERY_MODEL): each for path, each in spoken.items() if path.startswith(EVERY_MODEL)}
    service |= {path: each for path, each in spoken.items() if not path.startswith(EVERY_MODEL)}
    models = {name: layer | every for name, layer in models.items()}
    _demand_redis(service, {"": every, **models})
    named = {"models": _trees(models), "stores": _trees(stores)}
    settings = msgspec.convert(_nested(service) | named, Settings)
    for name, store in settings.stores.items():
        if (wrong := _misfit(store, settings)) is not None:
            raise ConfigurationError(f"{file and file.name}: stores.{name}: {wrong}")
    return Configuration(settings, service, models, stores, every, file, notices)


def _trees(layers: dict[str, Layer]) -> dict[str, Any]:
    return {name: _nested(layer) for name, layer in layers.items()}


def _misfit(store: Store, settings: Settings) -> str | None:
    """Why a store cannot be meant, if so."""
    if [store.redis, store.file is not None, store.python is not None].count(True) != 1:
        return "say what it is: redis: true, file: users.csv, or python: module:name"
    if store.redis and settings.redis.url is None:
        return "say where Redis is, too (redis: {url: redis://…})"
    if store.redis != bool(store.prefix):
        return (
            "Redis needs a prefix, and nothing else does: what the names of its keys begin with: no other is read "
            "(redis: true, prefix: 'user:')"
        )
    if store.file is not None and not store.file.endswith(TABLES):
        return f"expected a file that ends in {' or '.join(TABLES)}"
    if (store.file is None) != (store.key is None):
        return "a table needs a key, and nothing else does: the column that holds its entities"
    return None


def _from_file(file: Path) -> tuple[Layer, dict[str, Layer], dict[str, Layer]]:
    """penstock.yaml: the service's layer, each model's and each store's. Relative paths start at its own directory."""
    from penstock.document import read  # it imports yaml: 25 ms that only those with a file pay

    document = read(file, aliases=True)
    models = _entries(document, "models", "iris: {path: …}", file)
    stores = _entries(document, "stores", "users: {file: users.csv, key: user_id}", file)
    return (
        dict(_flattened(document, "", "", file)),
        {name: _model(name, layer, file) for name, layer in models.items()},
        {name: _store(name, layer, file) for name, layer in stores.items()},
    )


def _demand_redis(service: Layer, models: Mapping[str, Layer]) -> None:
    """Raises where something is to be kept in Redis, and nobody says which."""
    url = service.get("redis.url")
    if url is not None and url.value is not None:
        from penstock.redis_url import address_of  # 5 ms that only those with a Redis pay

        address_of(url.value)
        return
    stores = [("quota.store", service.get("quota.store"))]
    stores += [(f"{name}.cache.store".lstrip("."), layer.get("cache.store")) for name, layer in models.items()]
    for path, said in stores:
        if said is not None and said.value == "redis":
            raise ConfigurationError(f"{said.origin}: {path}: redis needs to know which: say redis.url too")


def _entries(document: dict[object, object], group: str, example: str, file: Path) -> dict[str, object]:
    """What the document says of many of a kind, by their names; it is taken out of it."""
    entries = document.pop(group, None) or {}
    if not isinstance(entries, dict):
        raise ConfigurationError(f"{file.name}: {group}: expected a mapping such as '{example}'")
    return {_name(name, group, file): entry for name, entry in entries.items()}


def _name(name: object, group: str, file: Path) -> str:
    if isinstance(name, str) and MODEL_NAME.fullmatch(name):
        return name
    raise ConfigurationError(f"{file.name}: {group}: {shown(name)} is no name: use letters, digits, '_', '-' and '.'")


def _store(name: str, layer: object, file: Path) -> Layer:
    where = f"stores.{name}."
    return dict(_flattened(_mapping(layer, where, file), EVERY_STORE, where, file))


def _model(name: object, layer: object, file: Path) -> Layer:
    where = f"models.{name}."
    if isinstance(layer, str):
        raise ConfigurationError(f"{file.name}: {where.rstrip('.')}: expected a mapping, {{path: {shown(layer)}}} say")
    settings = dict(_flattened(_mapping(layer, where, file), EVERY_MODEL, where, file))
    if "path" not in settings:
        raise ConfigurationError(f"{file.name}: {where}path: say where the model is")
    return settings


def _flattened(group: dict[object, object], declared: str, where: str, file: Path) -> Iterator[tuple[str, Setting]]:
    """The settings under `group`. `declared` leads to their declarations, `where` is what the file's author wrote."""
    known, here = paths(), _siblings(declared)
    for key, raw in group.items():
        path = f"{declared}{key}"
        if key not in here:
            raise ConfigurationError(f"{file.name}: {where}{key}: unknown setting{_instead(key, raw, here)}")
        if path in known:
            value = _converted(known[path], raw, f"{file.name}: {where}{key}", str(file.parent))
            yield path.removeprefix(_group(path)), Setting(value, file.name)
        else:
            yield from _flattened(_mapping(raw, f"{where}{key}.", file), f"{path}.", f"{where}{key}.", file)


def _instead(key: object, raw: object, known: set[str]) -> str:
    if type(key) is int and raw is None:  # what is left of {rows: 1,000}
        return "; a number is written without commas"
    return did_you_mean(str(key), known)


def _siblings(declared: str) -> set[str]:
    """The names that may stand in a group."""
    return {path.removeprefix(declared).partition(".")[0] for path in paths() if path.startswith(declared)}


def _mapping(raw: object, where: str, file: Path) -> dict[object, object]:
    if raw is not None and not isinstance(raw, dict):
        example = f", {{mode: {_mode(raw)}}} say" if where.endswith(".cache.") else f", got {shown(raw)}"
        raise ConfigurationError(f"{file.name}: {where.rstrip('.')}: expected a mapping{example}")
    return raw or {}


def _mode(raw: object) -> str:
    """What a cache that is said in one word is meant to be."""
    word = str(raw).lower()
    return {"false": "off", "off": "off", "auto": "auto"}.get(word, "on")


def _from_environment(environ: Mapping[str, str]) -> tuple[Layer, tuple[str, ...]]:
    """PENSTOCK_*: the layer, and a notice for each name that is nearly one of ours. Empty is as good as unset."""
    layer: Layer = {}
    known = {option.variable: option for option in options().values()}
    said = {name: text for name, text in environ.items() if name.startswith("PENSTOCK_") and text}
    for name in known.keys() & said.keys():
        if not (name == "PENSTOCK_PORT" and _SERVICE_LINK.match(said[name])):
            layer[known[name].path] = Setting(_read(known[name], said[name], name), name)
    strange = sorted(said.keys() - known.keys() - OTHERS)
    near = {name: did_you_mean(name, known, 0.88) for name in strange if "_SERVICE_" not in name}
    return layer, tuple(f"{name} is not a setting{guess}" for name, guess in near.items() if guess)


def _from_flags(flags: Flags) -> Layer:
    layer: Layer = {}
    for path, texts in flags.items():
        option = options()[path]
        text = ",".join(texts) if option.many else texts[-1]
        layer[path] = Setting(_read(option, text, option.flag), option.flag)
    return layer


def _read(option: Option, text: str, source: str) -> Any:
    try:
        return from_text(option.annotation, text, str(Path.cwd()))
    except Unfit as unfit:
        raise ConfigurationError(f"{source}: {unfit}") from None


def _converted(annotation: Any, raw: object, source: str, base: str) -> Any:
    try:
        return convert(annotation, raw, base)
    except Unfit as unfit:
        raise ConfigurationError(f"{source}: {unfit}") from None


def _nested(layer: Layer) -> dict[str, Any]:
    """A flat layer as the tree that the structs are made of."""
    tree: dict[str, Any] = {}
    for path, setting in layer.items():
        *groups, last = path.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[last] = setting.value
    return tree
