"""Parity: whether two ways to run a model answer the same on every probe row."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.host.model import Column, Model, Outputs
from penstock.host.refusals import detail
from penstock.host.rows import Row
from penstock.model.signature import Output

TOLERANCE = 1e-5
LONGEST_ROW = 200

Batch = Callable[[Sequence[Row]], list[Column]]


class Difference(Exception):
    """The two differ; the message says on which row and how."""


class Reference(NamedTuple):
    """What the original answers: the rows that it takes, as it answered them, and those that it refuses."""

    rows: list[Row]
    outputs: list[NDArray[Any]]
    refused: list[Row]


def reference(model: Model, rows: Sequence[Row], batch: Batch, output: Output) -> Reference:
    """Asks the original. Where it refuses a batch, each half is tried, until the rows that it refuses are found.

    Raises Difference where it takes none at all.
    """
    taken, parts, refused = [], [], []
    waiting = [list(rows)]
    while waiting:
        some = waiting.pop()
        try:
            parts.append(_answered(model, some, batch, output))
            taken += some
        except Exception:  # noqa: BLE001  # the model's own
            if len(some) == 1:
                refused += some
            else:
                waiting += [some[len(some) // 2 :], some[: len(some) // 2]]
    if not taken:
        raise Difference("the original takes none of the probe rows")
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Reference(taken, columns, refused)


def largest_difference(found: Reference, model: Model, batch: Batch, output: Output) -> float:
    """The largest difference between numbers, which is within the tolerance. Raises Difference."""
    try:
        answers = _answered(model, found.rows, batch, output)
    except Exception as error:
        raise Difference(f"the compiled form answers no batch ({detail(error)})") from error
    names = [*(field.name for field in output.fields), "confidence", "probabilities"]
    labels = [field.classes is not None or field.dtype in ("string", "bool") for field in output.fields]
    largest = 0.0
    for position, (expected, got) in enumerate(zip(found.outputs, answers, strict=True)):
        exact = position < len(labels) and labels[position]
        differences = _differences(expected, got, exact, stated=position >= len(labels))
        worst = int(np.argmax(differences))
        if differences[worst] > TOLERANCE:
            raise Difference(
                f"{names[position]} differs on the row {shown(found.rows[worst])}: "
                f"{shown(expected[worst])} by the original, {shown(got[worst])} compiled"
            )
        largest = max(largest, float(differences[worst]))
    for row in found.refused:
        _demand_refused(model, row, batch, output)
    return largest


def _answered(model: Model, rows: list[Row], batch: Batch, output: Output) -> list[NDArray[Any]]:
    return arrays(model.predict(batch(rows), len(rows), True), output, len(rows))


def arrays(outputs: Outputs, output: Output, rows: int) -> list[NDArray[Any]]:
    """The tensors of an answer, each checked to have `rows` rows: fields, then confidence and probabilities if any."""
    tensors = [np.asarray(value) for value in outputs.values]
    stated = [np.asarray(each) for each in (outputs.confidence, outputs.probabilities) if each is not None]
    if len(tensors) != len(output.fields) or len(stated) != 2 * output.probabilities:
        raise ValueError("an output is missing")
    for tensor in (*tensors, *stated):
        if len(tensor) != rows:
            raise ValueError(f"an output has {len(tensor)} rows of {rows}")
    return [_flat(tensor) for tensor in (*tensors, *stated)]


def _flat(tensor: NDArray[Any]) -> NDArray[Any]:
    return tensor.reshape(len(tensor), -1)


def _differences(expected: NDArray[Any], got: NDArray[Any], exact: bool, stated: bool) -> NDArray[np.float64]:
    """How far each row is off. Infinite where labels differ, or only one of the two is finite."""
    if expected.shape != got.shape:
        return np.full(len(expected), np.inf)
    if exact:
        return np.where((expected == got).all(axis=1), 0.0, np.inf)
    expected, got = expected.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(expected)
    scale = 1.0 if stated else _scale(expected[finite])
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(got - expected) / np.maximum(np.abs(expected), scale)
        same = np.isnan(expected) == np.isnan(got)
        off = np.where(finite, off, np.where(same & ((expected == got) | np.isnan(expected)), 0.0, np.inf))
    worst: NDArray[np.float64] = np.nan_to_num(off, nan=np.inf, posinf=np.inf).max(axis=1)
    return worst


def _scale(values: NDArray[np.float64]) -> float:
    """Below which numbers are compared absolutely: the size that values usually have, and never above 1."""
    usual = float(np.median(np.abs(values))) if len(values) else 1.0
    return min(1.0, usual) or 1e-9


def _demand_refused(model: Model, row: Row, batch: Batch, output: Output) -> None:
    """An answer that is not finite is a refusal: a host does not hand it out."""
    try:
        answers = _answered(model, [row], batch, output)
    except Exception:  # noqa: BLE001  # as the original did
        return
    handed_out = answers[: len(output.fields) + 1]  # probabilities are only there when they are asked for
    if any(answer.dtype.kind == "f" and not np.isfinite(answer).all() for answer in handed_out):
        return
    raise Difference(f"the original refuses the row {shown(row)}, which the compiled form answers")


def shown(value: Any) -> str:
    """The value on one line, and not all of a long one."""
    text = str(value.tolist() if isinstance(value, np.ndarray) else value)
    return text if len(text) <= LONGEST_ROW else text[: LONGEST_ROW - 1] + "…"
