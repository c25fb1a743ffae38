"""The numbers that each dtype can hold."""

from collections.abc import Mapping

from penstock.model.signature import Field

BEYOND: Mapping[str, float | int] = {
    "float64": 2**1024 - 2**970,
    "float32": 2.0**128 - 2.0**103,
    "float16": 65520.0,
}
"""The least magnitude that rounds to infinity (half a unit above the largest finite number; ties go to even)."""

INTEGERS: Mapping[str, tuple[int, int]] = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
"""The least and the greatest number of each integer dtype."""

EXACT = 2**53
"""From here on a float may stand for an integer other than the one that was written."""


def bounds(field: Field) -> tuple[int, int]:
    """The least and the greatest integer that `field` takes: exact ones, though a nullable one travels as a float."""
    least, greatest = INTEGERS[field.dtype]
    return (max(least, -EXACT), min(greatest, EXACT)) if field.nullable else (least, greatest)
