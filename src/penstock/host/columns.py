"""What the columns of a fitted estimator's input are: names, kinds, categories, and whether they may be missing."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.host.estimators import accepts_missing, lineage, steps, takes_one_number, takes_text
from penstock.host.inputs import made_up
from penstock.host.labels import plain
from penstock.model.signature import DType, Field, Label

TEXT = "text"  # the field of a model that takes one text


class Trait(NamedTuple):
    """What is known of one column."""

    dtype: DType = "float64"
    nullable: bool = False
    categories: tuple[Label, ...] | None = None
    strict: bool = False
    used: bool = True


class Columns(NamedTuple):
    """The fields that an estimator tells of. `frame`: it was fitted with names, and wants a table that has them.

    `unused` are the names of further columns, which it drops.
    """

    fields: tuple[Field, ...] = ()
    named: bool = False
    frame: bool = False
    unused: tuple[str, ...] = ()


def describe(model: Any) -> Columns:
    """The columns of a fitted estimator; none where it does not say."""
    names = remembered(model, "feature_names_in_")
    count = remembered(model, "n_features_in_")
    if names is None and count is None:
        chain = steps(model)
        if any(map(takes_text, chain)):
            return Columns((Field(name=TEXT, dtype="string"),), named=True)
        if takes_one_number(model):
            return Columns((Field(name=made_up(0)),))
        return Columns()
    known = None if names is None else [str(name) for name in names]
    traits = _traits(steps(model), (), len(known) if known else int(count), known)
    if known is None:
        return Columns(tuple(_field(made_up(i), trait) for i, trait in enumerate(traits)))
    # A table need not have the columns that the model drops.
    used = tuple(_field(name, trait) for name, trait in zip(known, traits, strict=True) if trait.used)
    unused = tuple(name for name, trait in zip(known, traits, strict=True) if not trait.used)
    return Columns(used, named=True, frame=True, unused=unused)


def positions(columns: Any, count: int, names: list[str] | None) -> Iterator[int]:
    """Which columns a ColumnTransformer means by a name, a position, a slice, a mask or a list of these."""
    if isinstance(columns, slice):
        start, stop = (
            names.index(end) if names and isinstance(end, str) else end for end in (columns.start, columns.stop)
        )
        if isinstance(columns.stop, str):  # by name, the last one is included
            stop += 1
        yield from range(count)[start : stop : columns.step]
        return
    listed = [columns] if isinstance(columns, str) or not hasattr(columns, "__len__") else list(columns)
    if listed and all(isinstance(each, bool | np.bool_) for each in listed):
        yield from np.flatnonzero(listed).tolist()
        return
    for each in listed:
        yield names.index(each) if isinstance(each, str) and names else int(each) % count


def remembered(model: Any, attribute: str) -> Any:
    """An attribute of the first estimator inside the model that has it, or None."""
    for estimator in lineage(model):
        try:
            value = getattr(estimator, attribute, None)
        except Exception:  # noqa: BLE001  # a property of other people's code; it knows nothing then
            value = None
        if value is not None:
            return value
    return None


def _field(name: str, trait: Trait) -> Field:
    return Field(
        name=name,
        dtype=trait.dtype,
        nullable=trait.nullable,
        categories=trait.categories,
        unknown="refuse" if trait.strict else "warn",
    )


def _traits(chain: Sequence[Any], after: Sequence[Any], count: int, names: list[str] | None) -> list[Trait]:
    """The traits of `count` columns that pass `chain` and then `after`."""
    dtype: DType = "float64"
    filled = False
    for position, step in enumerate(chain):
        if (table := _column_transformer(step)) is not None:
            return _of_transformer(table, [*chain[position + 1 :], *after], count, names)
        if takes_text(step):
            return [Trait("string")] * count
        if len(getattr(step, "categories_", ())) == count:
            return [_encoded(values, step, filled) for values in step.categories_]
        if _fills(step):
            filled = filled or accepts_missing(step)
            dtype = "string" if _holds_text(getattr(step, "statistics_", ())) else dtype
    return [Trait(dtype, _bear_missing([*chain, *after]))] * count


def _bear_missing(chain: Sequence[Any]) -> bool:
    """Whether a missing value gets through, or as far as to a step that fills it."""
    for step in chain:
        if not accepts_missing(step):
            return False
        if _fills(step):
            return True
    return True


def _column_transformer(step: Any) -> Any:
    return next((inner for inner in lineage(step) if hasattr(inner, "transformers_")), None)


def _of_transformer(table: Any, rest: Sequence[Any], count: int, names: list[str] | None) -> list[Trait]:
    """Each column as the transformers see it that it goes to; text wins, and all must bear a missing value."""
    traits: list[Trait | None] = [None] * count
    for _, transformer, columns in table.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        chosen = list(positions(columns, count, names))
        chain = [] if isinstance(transformer, str) else steps(transformer)
        for position, new in zip(chosen, _traits(chain, rest, len(chosen), None), strict=True):
            old = traits[position]
            traits[position] = new if old is None else _both(old, new)
    return [trait or Trait(nullable=True, used=False) for trait in traits]


def _both(one: Trait, other: Trait) -> Trait:
    chosen = other if other.dtype == "string" or other.categories else one
    return chosen._replace(nullable=one.nullable and other.nullable, strict=one.strict or other.strict)


def _encoded(values: NDArray[Any], encoder: Any, filled: bool) -> Trait:
    """A column whose categories an encoder learnt. One that was missing now and then may be missing again."""
    items = values.tolist()
    known = [item for item in items if item is not None and item == item]  # NaN is not itself
    strict = getattr(encoder, "handle_unknown", None) == "error"
    nullable = filled or len(known) < len(items)
    dtype = _dtype(known)
    # Only floats and texts have a way to be missing.
    return Trait("float64" if nullable and dtype != "string" else dtype, nullable, tuple(map(plain, known)), strict)


def _dtype(values: Sequence[Any]) -> DType:
    kinds = {type(value) for value in values}
    if kinds <= {bool}:
        return "bool"
    if kinds <= {int}:
        return "int64"
    return "float64" if kinds <= {int, float} else "string"


def _fills(step: Any) -> bool:
    """Imputers: what they let through has no gaps any more."""
    fitted = ("statistics_", "imputation_sequence_", "n_neighbors")
    return hasattr(step, "missing_values") and any(hasattr(step, attribute) for attribute in fitted)


def _holds_text(values: Any) -> bool:
    return any(isinstance(value, str) for value in np.ravel(np.asarray(values, dtype=object)).tolist())
