"""What a model's own code answered, as an array of one kind, and whether it is the kind that was answered at first.

Nothing is made of something else on the way: numpy would make text of a number among texts, and 1 of True.
"""

from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import ModelFailed
from penstock.model.signature import OutputField

NUMBERS = (bool, int, float, np.bool, np.number)


def as_array(values: Any) -> NDArray[Any]:
    """`values` as an array: of text only where all are texts, and of numbers where objects are all numbers.

    Raises ModelFailed where they are mixed, and whatever numpy says of rows of different lengths.
    """
    array = np.asarray(values)
    if array.dtype.kind == "O":
        numbers = array.size and all(isinstance(value, NUMBERS) for value in array.flat)
        return as_array(array.tolist()) if numbers else array
    if isinstance(values, list | tuple) and _is_mixed(values, array.dtype.kind):
        raise ModelFailed("predict answered values of different kinds at once: return numbers, booleans or text")
    return array


def _is_mixed(values: list[Any] | tuple[Any, ...], kind: str) -> bool:
    """Whether numpy has made an array of this kind of values that are of several."""
    if kind == "U":
        return not all(isinstance(value, str) for value in np.asarray(values, dtype=object).flat)
    return kind in "fiu" and any(isinstance(value, bool | np.bool) for value in values)


def demand_kind(field: OutputField, array: NDArray[Any]) -> None:
    """Raises ModelFailed for numbers where the field is text, fractions where it is whole, booleans for numbers, …"""
    kind = array.dtype.kind
    if field.classes is not None:
        fits = bool(np.can_cast(array.dtype, np.int32, "same_kind"))
    elif field.dtype == "string":
        fits = kind in "UOSM"  # of objects `text_of` looks at each
    else:
        fits = bool(np.can_cast(array.dtype, field.dtype, "same_kind")) and (kind == "b") == (field.dtype == "bool")
    if not fits:
        raise _another(field, "text" if kind == "U" else array.dtype.name)


def text_of(field: OutputField, value: Any) -> str:
    """A value of a field of text. Raises ModelFailed for one that is none: a missing one is no answer either."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, date):
        return str(value)
    raise _another(field, type(value).__name__)


def _another(field: OutputField, answered: str) -> ModelFailed:
    expected = "text" if field.dtype == "string" else field.dtype
    return ModelFailed(f"the model answered {field.name} as {answered} where {expected} was expected")
