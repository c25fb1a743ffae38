"""The reference: how the rows were distributed that a model was trained on, and a sample of them."""

from typing import Any

from msgspec import Struct

from penstock.model.signature import Label

REFERENCE = "reference.json"
MOST_ROWS = 500  # of a sample


class Distribution(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field in the training data: `count` values that were there and `missing` ones that were not.

    Of numbers `min` and `max`, and `quantiles` at evenly spaced shares from 0 to 1. Of texts and categories the most
    frequent ones with their counts, and how many values were `others`.
    """

    name: str
    count: int
    missing: int
    min: float | None = None
    max: float | None = None
    quantiles: tuple[float, ...] = ()
    categories: tuple[tuple[Label, int], ...] = ()
    others: int = 0


class Reference(Struct, frozen=True, kw_only=True):
    """The training data: how many rows it had, its fields, and some rows with a value for each field in order."""

    rows: int
    fields: tuple[Distribution, ...]
    sample: tuple[tuple[Any, ...], ...] = ()
