"""The context of a model: which of its features come from a store, by which key of the request."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePath
from typing import Any, get_type_hints

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from penstock.errors import ConfigurationError, UnsupportedArtifact
from penstock.model.cells import fits
from penstock.model.signature import Field, Label, Signature
from penstock.values import Unfit, convert, did_you_mean, shown

FEATURES = "features"
TABLE = ".csv"  # nobody vouches for what lies beside a model, and a Parquet file is read by much code
MOST_CONTEXTS = 16
LONGEST_NAME = 200
LONGEST_ENTITY = 256
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


class Feature(Struct, frozen=True, kw_only=True):
    """An input of the model, the field of the store that it comes from, and what stands for it where it is missing;
    without a `default` such a request is refused."""

    name: str
    field: str
    default: Label | UnsetType | None = UNSET


class Context(Struct, frozen=True, kw_only=True):
    """Features that are looked up together.

    `key` is what the client sends; the entity is called so in the store, or as the `entity` template says. The store
    is one of the configuration, or the `file` beside the model. `updated` is the field that says when the values were
    written: those older than `max_age_s` count as missing.
    """

    key: str
    store: str | None = None
    file: str | None = None
    entity: str | None = None
    updated: str | None = None
    max_age_s: float | None = None
    features: tuple[Feature, ...]

    @property
    def source(self) -> str:
        """What the store is called in logs and figures."""
        return self.store or PurePath(self.file or "").name

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the store that are needed, each once."""
        updated = [self.updated] if self.updated is not None else []
        return tuple(dict.fromkeys([*(each.field for each in self.features), *updated]))


# ------------------------------------------------------------------ from the manifest
class _Said(Struct, kw_only=True):
    """What an entry may say besides its features."""

    key: str
    store: str | None = None
    file: str | None = None
    entity: str | None = None
    updated: str | None = None
    max_age_s: float | None = None


_HINTS = get_type_hints(_Said)
_OF_FEATURE = ("field", "default")


def read_context(raw: object, where: str) -> tuple[Context, ...]:
    """The entries that a manifest lists under `where`. Raises ConfigurationError."""
    if not isinstance(raw, list) or not 0 < len(raw) <= MOST_CONTEXTS:
        raise ConfigurationError(
            f"{where}: expected a list of 1 to {MOST_CONTEXTS} entries such as "
            f"{{key: user_id, store: users, features: {{age: {{}}}}}}, got {shown(raw)}"
        )
    contexts = tuple(_entry(each, f"{where}[{i}]") for i, each in enumerate(raw))
    seen: set[str] = set()
    for i, context in enumerate(contexts):
        for feature in context.features:
            if feature.name in seen:
                raise ConfigurationError(f"{where}[{i}].features: '{feature.name}' is there twice")
            seen.add(feature.name)
    return contexts


def _entry(raw: object, where: str) -> Context:
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{where}: expected an entry such as {{key: user_id, features: …}}, got {shown(raw)}")
    known = (*_HINTS, FEATURES)
    for key in raw:
        if key not in known:
            raise ConfigurationError(f"{where}: unknown key {shown(key)}{did_you_mean(str(key), known)}")
    said = {key: _value(_HINTS[key], raw[key], f"{where}.{key}") for key in _HINTS if raw.get(key) is not None}
    if "key" not in said:
        raise ConfigurationError(f"{where}: say the key that clients send (key: user_id)")
    context = Context(**said, features=tuple(_features(raw.get(FEATURES), f"{where}.{FEATURES}")))
    for wrong in _contradictions(context):
        raise ConfigurationError(f"{where}.{wrong}")
    return context


def _features(raw: object, where: str) -> Iterator[Feature]:
    if not isinstance(raw, dict) or not raw:
        raise ConfigurationError(f"{where}: expected a mapping such as {{age: {{default: 30}}}}, got {shown(raw)}")
    for name, each in raw.items():
        at = f"{where}.{name}"
        if not isinstance(name, str):
            raise ConfigurationError(f"{at}: expected the name of an input, in quotes, got {shown(name)}")
        said = {} if each is None else each
        if not isinstance(said, dict):
            raise ConfigurationError(f"{at}: expected a mapping such as {{default: 30}}, got {shown(each)}")
        for key in said:
            if key not in _OF_FEATURE:
                near = did_you_mean(str(key), _OF_FEATURE)
                raise ConfigurationError(f"{at}: unknown key {shown(key)}{near}")
        field = _value(str, said["field"], f"{at}.field") if said.get("field") is not None else name
        default = _value(Label | None, said["default"], f"{at}.default") if "default" in said else UNSET
        yield Feature(name=name, field=field, default=default)


def _value(annotation: Any, raw: object, where: str) -> Any:
    try:
        return convert(annotation, raw)
    except Unfit as unfit:
        raise ConfigurationError(f"{where}: {unfit}") from None


def _contradictions(context: Context) -> Iterator[str]:
    if not _KEY.fullmatch(context.key) or context.key == FEATURES:
        yield f"key: expected a name such as user_id, other than '{FEATURES}', got {shown(context.key)}"
    if context.file is not None and context.store is not None:
        yield "file: say a store or a file, and not both"
    if context.file is not None and not context.file.endswith(TABLE):
        yield (
            f"file: expected a table that ends in {TABLE}, got {shown(context.file)}; "
            "one in Parquet is a store of penstock.yaml (stores: {users: {file: users.parquet, key: user_id}})"
        )
    if context.entity is not None and _braces(context.entity) != [f"{{{context.key}}}"]:
        yield f"entity: expected text with {{{context.key}}} in it, once, got {shown(context.entity)}"
    if (context.max_age_s is None) != (context.updated is None):
        yield "max_age_s: it goes together with `updated`, the field that says when the values were written"
    if context.max_age_s is not None and not context.max_age_s > 0:
        yield f"max_age_s: expected a number above 0, got {shown(context.max_age_s)}"
    for name in (*context.fields, context.entity or "-"):
        if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            yield f"{FEATURES}: expected names of 1 to {LONGEST_NAME} printable characters, got {shown(name)}"


def _braces(template: str) -> list[str]:
    """What stands in braces, and every brace that has no other."""
    return re.findall(r"\{[^{}]*\}|[{}]", template)


# ------------------------------------------------------------------ beside the configuration and the model
def placed(context: Context, stores: Collection[str], where: str) -> Context:
    """With the store that is meant, of those that the configuration has. Raises ConfigurationError."""
    if context.file is not None:
        return context
    if context.store is not None and context.store not in stores:
        others = did_you_mean(context.store, stores) or f"; there are {', '.join(sorted(stores)[:10]) or 'none'}"
        raise ConfigurationError(f"{where}.store: penstock.yaml has no store '{context.store}'{others}")
    if context.store is None and len(stores) != 1:
        raise ConfigurationError(
            f"{where}: say which store it is (store: {min(stores)})"
            if stores
            else f"{where}: penstock.yaml has no stores: configure one (stores:), or name a table beside the model "
            "(file: users.csv)"
        )
    (store,) = [context.store] if context.store is not None else stores
    return replace(context, store=store)


def own_part(signature: Signature, contexts: Sequence[Context]) -> Signature:
    """The signature of what clients send themselves; it may have no inputs at all. A row that is all zero is judged as
    a whole."""
    stored = {feature.name for context in contexts for feature in context.features}
    own = tuple(field for field in signature.inputs if field.name not in stored)
    return replace(signature, inputs=own, all_zero="serve")


def demand_fit(contexts: Sequence[Context], signature: Signature, artifact: str) -> None:
    """Raises UnsupportedArtifact where the model at `artifact` has no such inputs, or a default is none of them."""
    inputs = {field.name: field for field in signature.inputs}
    for context in contexts:
        for feature in context.features:
            if feature.name not in inputs:
                near = did_you_mean(feature.name, inputs) or f"; it takes {', '.join(list(inputs)[:20])}"
                raise UnsupportedArtifact(
                    f"{artifact} has no input named {feature.name}{near}; correct `context:` in model.yaml"
                )
            if (wrong := _misfit(feature, inputs[feature.name])) is not None:
                raise UnsupportedArtifact(f"{artifact}: {wrong}; correct `context:` in model.yaml")


def _misfit(feature: Feature, field: Field) -> str | None:
    if field.shape:
        return f"{feature.name} is a tensor, and only single values come from a store"
    if feature.default is UNSET or (feature.default is None and field.nullable):
        return None
    if feature.default is None or not fits(field, feature.default):
        return f"the default of {feature.name}, {shown(feature.default)}, is no {field.dtype} that a client could send"
    return None
