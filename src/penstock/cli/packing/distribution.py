"""How the values of the training data are distributed, and what that says of the fields."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from penstock.cli.packing.sheet import Place, Sheet
from penstock.model.reference import Distribution, Reference
from penstock.model.signature import Field

SHARES = 20  # into which the quantiles part the values
MOST_COUNTED = 100  # categories that are listed
MOST_CATEGORIES = 50  # beyond which the texts of a column are no categories
SEED = 0


def described(place: Place, values: Sequence[Any]) -> Field:
    """The field as the data shows it: called as the model or the data has it, with a range or categories."""
    field = structs.replace(place.field, name=place.called)
    present = [value for value in values if value is not None]
    if field.categories or not present or field.dtype == "bool":
        return field
    if field.is_number:
        return field if field.range else structs.replace(field, range=(min(present), max(present)))
    known = sorted(set(present))
    repeated = len(known) <= MOST_CATEGORIES and len(present) >= 2 * len(known)
    return structs.replace(field, categories=tuple(known)) if repeated else field


def reference(sheet: Sheet, sample: Sequence[int]) -> Reference:
    """The distribution of every field, and the rows with those numbers."""
    fields = tuple(map(_distribution, sheet.fields, sheet.columns))
    return Reference(rows=sheet.rows, fields=fields, sample=tuple(tuple(sheet.row(number)) for number in sample))


def complete(sheet: Sheet) -> list[int]:
    """The rows that lack nothing that the model needs, in an order that is drawn, and always the same."""
    needed = [column for field, column in zip(sheet.fields, sheet.columns, strict=True) if not field.nullable]
    whole = [number for number in range(sheet.rows) if all(column[number] is not None for column in needed)]
    random.Random(SEED).shuffle(whole)
    return whole


def _distribution(field: Field, values: Sequence[Any]) -> Distribution:
    present = [value for value in values if value is not None]
    bare = Distribution(name=field.name, count=len(present), missing=len(values) - len(present))
    if field.is_number and present:
        bare = structs.replace(bare, min=min(present), max=max(present), quantiles=quantiles(present))
    if field.is_number and not field.categories:
        return bare
    counts = sorted(Counter(present).items(), key=lambda each: (-each[1], str(each[0])))
    others = sum(number for _, number in counts[MOST_COUNTED:])
    return structs.replace(bare, categories=tuple(counts[:MOST_COUNTED]), others=others)


def quantiles(values: Sequence[float]) -> tuple[float, ...]:
    """The values at 0, 5, 10, …, 100 % of them in order; between two of them, as much of each as is due."""
    ordered = sorted(values)
    places = [share * (len(ordered) - 1) / SHARES for share in range(SHARES + 1)]
    return tuple(_between(ordered, place) for place in places)


def _between(ordered: Sequence[float], place: float) -> float:
    low, part = int(place), place % 1
    high = min(low + 1, len(ordered) - 1)
    exact = ordered[low] * (1 - part) + ordered[high] * part
    return float(f"{exact:.12g}")  # 5.1 and not 5.1000000000000005
