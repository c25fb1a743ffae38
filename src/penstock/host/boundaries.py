"""Rows at the boundaries between classes: there two classifiers differ that agree everywhere else.

A classifier that decides at a threshold of its own, or that was converted without it, answers as another does for
nearly all rows. Between two rows with different labels lies a boundary, and halving the way between them finds it.
"""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from penstock.host.rows import Row
from penstock.model.signature import Field

PAIRS = 50
HALVINGS = 14  # a sixteen-thousandth of the way: nearer to it, the last bits of a sum decide
BUDGET_S = 3.0

Ask = Callable[[Sequence[Row]], Sequence[Any]]
"""Rows to their labels, in a form that can be compared."""


def boundary_rows(inputs: Sequence[Field], rows: Sequence[Row], labels: Sequence[Any], ask: Ask) -> list[Row]:
    """Rows on both sides of boundaries, found between `rows`, whose `labels` are known; none where there are none.

    Only numbers are halved; all else is taken from the first row of a pair. Raises whatever `ask` raises.
    """
    until = perf_counter() + BUDGET_S
    moving = [at for at, field in enumerate(inputs) if _moves(field)]
    pairs = _pairs(rows, labels) if moving else []
    ones, others = [one for one, _ in pairs], [_between(inputs, moving, one, other, 1.0) for one, other in pairs]
    apart = [
        at for at, (one, other) in enumerate(zip(_asked(ask, ones), _asked(ask, others), strict=True)) if one != other
    ]
    ones, others = [ones[at] for at in apart], [others[at] for at in apart]
    known = _asked(ask, ones)
    for _ in range(HALVINGS if ones else 0):
        middles = [_between(inputs, moving, one, other, 0.5) for one, other in zip(ones, others, strict=True)]
        same = [label == first for label, first in zip(ask(middles), known, strict=True)]
        ones = [middle if near else one for one, middle, near in zip(ones, middles, same, strict=True)]
        others = [other if near else middle for other, middle, near in zip(others, middles, same, strict=True)]
        if perf_counter() > until:
            break
    return [*ones, *others]


def _moves(field: Field) -> bool:
    return not field.shape and not field.categories and field.dtype not in ("string", "bool")


def _pairs(rows: Sequence[Row], labels: Sequence[Any]) -> list[tuple[Row, Row]]:
    """Rows with different labels, drawn from all over; few where one label is rare."""
    dice = np.random.default_rng(0)
    by_label: dict[Any, list[int]] = {}
    for at, label in enumerate(labels):
        by_label.setdefault(label, []).append(at)
    found: list[tuple[Row, Row]] = []
    while len(by_label) > 1 and len(found) < PAIRS:
        first, second = dice.choice(len(by_label), size=2, replace=False)
        places = list(by_label.values())
        one, other = (places[which][int(dice.integers(len(places[which])))] for which in (first, second))
        found.append((rows[one], rows[other]))
    return found


def _asked(ask: Ask, rows: Sequence[Row]) -> Sequence[Any]:
    return ask(rows) if rows else []


def _between(inputs: Sequence[Field], moving: Sequence[int], one: Row, other: Row, part: float) -> Row:
    """The row at `part` of the way from one to the other."""
    row = list(one)
    for at in moving:
        start, end = one[at], other[at]
        if start is not None and end is not None:
            value = start + (end - start) * part
            row[at] = value if inputs[at].dtype.startswith("float") else round(value)
    return row
