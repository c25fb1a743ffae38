"""What two versions say to the same rows, compared as arrays: where they agree, which labels flip, how far numbers are
apart."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.inference.ticket import Result
from penstock.model.signature import FLOATS, Label, OutputField, Signature

NEGLIGIBLE = 1e-9
"""Numbers that are no further apart agree, however small they are."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Difference(NamedTuple):
    """What came of some rows. `agreed` are those in which all outputs do; `firsts` says so of each request by the first
    of its rows. `flips` counts labels given in the place of others; `apart` are the absolute differences between
    numbers, or else between the confidences, one after the other.
    """

    rows: int
    agreed: int
    firsts: list[bool]
    flips: dict[tuple[object, object], int]
    apart: Floats

    @property
    def largest(self) -> float:
        return float(self.apart.max(initial=0.0))

    def values(self) -> bytes:
        """The differences, as native float64s."""
        return self.apart.tobytes()


class Comparison:
    """Compares the answers of a model of signature `ours` with those of one of signature `theirs`, whose outputs are of
    the same kinds in the same order. Floating-point numbers agree within `tolerance` times the larger of the two,
    and integers if they are the same."""

    def __init__(self, ours: Signature, theirs: Signature, tolerance: float) -> None:
        pairs = list(zip(ours.output.fields, theirs.output.fields, strict=True))
        self._labels = [_Labels(one, other) if one.classes else None for one, other in pairs]
        self._is_text = ["string" in (one.dtype, other.dtype) for one, other in pairs]
        self._tolerances = [tolerance if {one.dtype, other.dtype} & FLOATS else None for one, other in pairs]

    def of(self, ours: Sequence[Result], theirs: Result) -> Difference:
        """The answers to some requests, and those to all of their rows together."""
        counts = [len(result.outputs[0]) for result in ours]
        agreed: Flags = np.ones(sum(counts), bool)
        flips: dict[tuple[object, object], int] = {}
        apart: list[Floats] = []
        for i, labels in enumerate(self._labels):
            one, other = [value for result in ours for value in result.outputs[i]], theirs.outputs[i]
            if labels is not None:
                same = labels.agree(one, other)
                for at in np.flatnonzero(~same).tolist():
                    flip = labels.flip(one[at], other[at])
                    flips[flip] = flips.get(flip, 0) + 1
            elif self._is_text[i]:
                same = np.array([x == y for x, y in zip(one, other, strict=True)], bool)
            else:
                same = _agree(one, other, self._tolerances[i], apart)
            agreed &= same
        if not apart and theirs.confidence is not None and all(result.confidence is not None for result in ours):
            sure = [value for result in ours for value in result.confidence or ()]
            apart.append(np.abs(np.array(sure) - np.array(theirs.confidence)))
        firsts = agreed[np.cumsum([0, *counts[:-1]])].tolist()
        return Difference(
            len(agreed), int(agreed.sum()), firsts, flips, np.concatenate(apart) if apart else np.zeros(0)
        )


def _agree(one: list[Any], other: list[Any], tolerance: float | None, apart: list[Floats]) -> Flags:
    """Of numbers, row by row; notes how far they are apart. Without a tolerance they have to be the same."""
    try:
        whole = np.array(one), np.array(other)
        a, b = (each.astype(np.float64) for each in whole)
    except ValueError:  # shapes that vary from request to request, but not within a row
        return np.concatenate([_agree([x], [y], tolerance, apart) for x, y in zip(one, other, strict=True)])
    if a.shape != b.shape:
        return np.zeros(len(one), bool)
    with np.errstate(over="ignore"):
        differences = np.abs(a - b)
        within = (tolerance or 0.0) * np.maximum(np.abs(a), np.abs(b)) + NEGLIGIBLE
    near = whole[0] == whole[1] if tolerance is None else differences <= within  # not all integers are floats
    apart.append(differences.reshape(-1))
    return np.asarray(near.reshape(len(one), -1).all(axis=1), bool)


class _Labels:
    """The classes of two versions, each of which has indices of its own."""

    def __init__(self, ours: OutputField, theirs: OutputField) -> None:
        self._ours, self._theirs = ours.classes or (), theirs.classes or ()
        at = {label: i for i, label in enumerate(self._ours)}
        self._as_ours = np.array([at.get(label, -1) for label in self._theirs])

    def agree(self, one: list[int], other: list[int]) -> Flags:
        same: Flags = np.array(one) == self._as_ours[np.array(other)]
        return same

    def flip(self, one: int, other: int) -> tuple[Label, Label]:
        return self._ours[one], self._theirs[other]
