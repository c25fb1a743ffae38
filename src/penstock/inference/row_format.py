"""The answer to a row as Redis keeps it: written by any front, believed by none until it is shown to be one."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import msgspec
from msgspec import Struct

from penstock.inference.row_answers import RowAnswer
from penstock.model.signature import FLOATS, OutputField, Signature

FORMAT = 1
LARGEST = 16 * 2**10
"""Bytes of an answer: a larger one is not kept, and not read. Those to a whole request come at once."""
SURE = 1.000001
"""As large as a probability may get by rounding."""


class Kept(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One row's answer, and of which row of which model: the digest that is its name in Redis."""

    format: int
    digest: bytes
    values: list[Any]
    confidence: float | None
    probabilities: list[float] | None
    ranks: list[int] | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept, strict=True).decode


class RowFormat:
    """Writes and reads the answers of one signature."""

    def __init__(self, signature: Signature) -> None:
        self._output = signature.output
        self._classes = len(signature.output.fields[0].classes or ())

    def written(self, digest: bytes, answer: RowAnswer) -> bytes | None:
        """An answer as it is kept; None where it is too large."""
        confidence, probabilities, ranks, *values = answer
        kept = Kept(FORMAT, digest, values, confidence, probabilities, ranks)
        raw = _encode(kept)
        return raw if len(raw) <= LARGEST else None

    def read(self, raw: object, digest: bytes, *, probabilities: bool) -> RowAnswer | None:
        """The answer; None for everything that this model could not have answered to this row."""
        if not isinstance(raw, bytes) or len(raw) > LARGEST:
            return None
        try:
            kept = _decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return None
        if kept.format != FORMAT or kept.digest != digest or not self._is_right(kept, probabilities=probabilities):
            return None
        return kept.confidence, kept.probabilities, kept.ranks, *kept.values

    def _is_right(self, kept: Kept, *, probabilities: bool) -> bool:
        fields = self._output.fields
        return (
            len(kept.values) == len(fields)
            and all(_fits(field, value) for field, value in zip(fields, kept.values, strict=True))
            and (_is_chance(kept.confidence) if self._output.probabilities else kept.confidence is None)
            and self._are_chances(kept, asked=probabilities and self._output.probabilities)
        )

    def _are_chances(self, kept: Kept, *, asked: bool) -> bool:
        """Of each class, or of the likeliest ones, if they were asked for."""
        if kept.probabilities is None or not asked:
            return kept.probabilities is None and kept.ranks is None and not asked
        if not all(map(_is_chance, kept.probabilities)):
            return False
        top_k = self._output.top_k
        if top_k is None:
            return kept.ranks is None and len(kept.probabilities) == self._classes
        stated = min(top_k, self._classes)
        return len(kept.probabilities) == stated and _are_ranks(kept.ranks or (), stated, self._classes)


def _are_ranks(ranks: Sequence[int], stated: int, classes: int) -> bool:
    return len(ranks) == len(set(ranks)) == stated and all(0 <= rank < classes for rank in ranks)


def _is_chance(value: float | None) -> bool:
    return value is not None and 0.0 <= value <= SURE


def _fits(field: OutputField, value: object) -> bool:
    """Whether this is a value of the field: of its shape, and in each place one of its dtype."""
    if field.classes is not None:
        return type(value) is int and 0 <= value < len(field.classes)
    return _has_shape(value, field.shape, field.dtype)


def _has_shape(value: object, shape: Sequence[int | None], dtype: str) -> bool:
    if not shape:
        return _is_of(value, dtype)
    if not isinstance(value, list) or shape[0] not in (None, len(value)):
        return False
    return all(_has_shape(each, shape[1:], dtype) for each in value)


def _is_of(value: object, dtype: str) -> bool:
    if dtype == "string":
        return value is None or type(value) is str
    if dtype == "bool":
        return type(value) is bool
    if dtype in FLOATS:
        return type(value) is float and isfinite(value)
    bits = int(dtype.lstrip("uint"))
    low, high = (0, 2**bits) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return type(value) is int and low <= value < high
