"""Parity: whether two ways to run a model answer the same on every probe row."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.host.model import Column, Model, Outputs
from penstock.host.refusals import detail
from penstock.host.rows import Row
from penstock.model.signature import Output, OutputField

TOLERANCE = 1e-5
ALONE = 40  # rows that are asked one by one
LONGEST_ROW = 200

Batch = Callable[[Sequence[Row]], list[Column]]


Called = Callable[[Row], str]
"""What a row is called where its values may not be told."""


class Difference(Exception):
    """The two differ. The message says where and how, and goes wherever a certificate does: into logs, over HTTP.

    So it holds nothing of the row, which may be one of the training data; `row` shows that to whoever has the model.
    """

    def __init__(self, message: str, row: Row | None = None) -> None:
        super().__init__(message)
        self.row = None if row is None else _shown(row)


class Reference(NamedTuple):
    """What the original answers: the rows that it takes, as it answered them, and those that it refuses.

    `scales` has for each output the size that its numbers usually have, column by column.
    """

    rows: list[Row]
    outputs: list[NDArray[Any]]
    refused: list[Row]
    scales: list[NDArray[np.float64]]

    def with_more(self, other: "Reference") -> "Reference":
        """These and the other's rows; the scales are those of these."""
        outputs = [np.concatenate(pair) for pair in zip(self.outputs, other.outputs, strict=True)]
        return Reference(self.rows + other.rows, outputs, self.refused + other.refused, self.scales)


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
    return Reference(taken, columns, refused, [_scales(column) for column in columns])


def largest_difference(
    found: Reference, model: Model, batch: Batch, output: Output, called: Called = lambda row: "a probe row"
) -> float:
    """The largest difference between numbers, which is within the tolerance. Raises Difference.

    All rows are asked at once, and some of them alone: a graph may have ways of its own with few rows.
    """
    largest = _compared(found, model, batch, output, called)
    step = max(1, len(found.rows) // ALONE)
    for at in range(0, len(found.rows), step):
        alone = Reference([found.rows[at]], [column[at : at + 1] for column in found.outputs], [], found.scales)
        largest = max(largest, _compared(alone, model, batch, output, called))
    for row in found.refused:
        _demand_refused(model, row, batch, output, called)
    return largest


def _compared(found: Reference, model: Model, batch: Batch, output: Output, called: Called) -> float:
    try:
        answers = _answered(model, found.rows, batch, output)
    except Exception as error:
        raise Difference(f"the compiled form does not answer ({detail(error)})") from error
    stated = (OutputField(name="confidence"), OutputField(name="probabilities"))
    fields = [*output.fields, *stated]
    largest = 0.0
    for position, (expected, got) in enumerate(zip(found.outputs, answers, strict=True)):
        field = fields[position]
        scale = 1.0 if field in stated else found.scales[position]
        differences = _differences(expected, got, _is_exact(field), scale)
        worst = int(np.argmax(differences))
        if differences[worst] > TOLERANCE:
            row = found.rows[worst]
            how = _apart(field, expected[worst], got[worst], differences[worst])
            raise Difference(f"{field.name} differs on {called(row)}: {how}", row)
        largest = max(largest, float(differences[worst]))
    return largest


def _is_exact(field: OutputField) -> bool:
    return field.classes is not None or field.dtype in ("string", "bool")


def _apart(field: OutputField, expected: NDArray[Any], got: NDArray[Any], by: float) -> str:
    """How two answers differ; numbers are not told, for an answer may be a value of the training data."""
    if field.classes is not None:
        ours, theirs = (", ".join(_class(field.classes, each) for each in answer.ravel()) for answer in (expected, got))
        return _shown(f"{ours} by the original, {theirs} compiled")
    if _is_exact(field):
        return "they are not the same"
    if not np.isfinite(by):
        return "only one of the two is a finite number"
    return f"by {by:.1e} of its size, and {TOLERANCE:g} is allowed"


def _class(classes: Sequence[Any], index: Any) -> str:
    return repr(classes[int(index)]) if 0 <= index < len(classes) else f"class {index}"


def _answered(model: Model, rows: list[Row], batch: Batch, output: Output) -> list[NDArray[Any]]:
    return _arrays(model.predict(batch(rows), len(rows), True), output, len(rows))


def _arrays(outputs: Outputs, output: Output, rows: int) -> list[NDArray[Any]]:
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


def _differences(expected: NDArray[Any], got: NDArray[Any], exact: bool, scale: Any) -> NDArray[np.float64]:
    """How far each row is off. Infinite where labels differ, or only one of the two is finite."""
    if expected.shape != got.shape:
        return np.full(len(expected), np.inf)
    if exact:
        return np.where((expected == got).all(axis=1), 0.0, np.inf)
    expected, got = expected.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(expected)
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(got - expected) / np.maximum(np.abs(expected), scale)
        same = np.isnan(expected) == np.isnan(got)
        off = np.where(finite, off, np.where(same & ((expected == got) | np.isnan(expected)), 0.0, np.inf))
    worst: NDArray[np.float64] = np.nan_to_num(off, nan=np.inf, posinf=np.inf).max(axis=1)
    return worst


def _scales(values: NDArray[Any]) -> NDArray[np.float64]:
    """Below which the numbers of each column are compared absolutely: their usual size, and never above 1."""
    if values.dtype.kind not in "fiu":
        return np.ones(values.shape[1])
    sizes = np.abs(np.where(np.isfinite(values), values, 0.0).astype(np.float64))
    usual: NDArray[np.float64] = np.median(sizes, axis=0)
    return np.maximum(np.minimum(1.0, usual), 1e-9)


def _demand_refused(model: Model, row: Row, batch: Batch, output: Output, called: Called) -> None:
    """An answer that is not finite is a refusal: a host does not hand it out."""
    try:
        answers = _answered(model, [row], batch, output)
    except Exception:  # noqa: BLE001  # as the original did
        return
    handed_out = answers[: len(output.fields) + 1]  # probabilities are only there when they are asked for
    if any(answer.dtype.kind == "f" and not np.isfinite(answer).all() for answer in handed_out):
        return
    raise Difference(f"the original refuses {called(row)}, which the compiled form answers", row)


def _shown(value: Any) -> str:
    """The value on one line, and not all of a long one."""
    text = str(value)
    return text if len(text) <= LONGEST_ROW else text[: LONGEST_ROW - 1] + "…"
