"""The probe: one model, loaded in a process of its own as `penstock serve` would load it, and measured."""

import math
import random
import statistics
import struct
import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from penstock.cli.hosted import Hosted, hosted
from penstock.errors import HostLost
from penstock.model.batch import TensorHead
from penstock.model.control import Loaded, Refused
from penstock.model.signature import DType, Field, Signature, Tensor
from penstock.model.source import ModelSource

ROWS = (1, 100)
REPETITIONS = 50
BUDGET_S = 2.0  # for all repetitions of one size, so that a slow model is measured in fewer

CODES = {"float64": "d", "float32": "f", "float16": "e", "bool": "?"} | {
    f"{sign}int{bits}": code.upper() if sign else code
    for bits, code in ((64, "q"), (32, "i"), (16, "h"), (8, "b"))
    for sign in ("", "u")
}


class Latency(Struct, frozen=True, kw_only=True):
    """The median time of a batch from this process to the model's and back, in milliseconds.

    `model_ms` is the model's part of it. `error` stands instead where the model failed on made-up rows.
    """

    rows: int
    batches: int = 0
    total_ms: float | None = None
    model_ms: float | None = None
    error: str | None = None


class Finding(Struct, frozen=True, kw_only=True):
    """What became of it: `loaded` with `latency`, or `refused`."""

    loaded: Loaded | None = None
    latency: tuple[Latency, ...] = ()
    refused: Refused | None = None


def probe(source: ModelSource, progress: Callable[[str], object]) -> Finding:
    """Loads `source`, measures it, and lets go of it. `progress` is told each stage."""
    with hosted(source, progress) as model:
        if isinstance(model, Refused):
            return Finding(refused=model)
        progress("measuring")
        try:
            return Finding(loaded=model.loaded, latency=measured(model))
        except HostLost as lost:
            return Finding(loaded=model.loaded, refused=Refused(lost.code, str(lost)))


def measured(model: Hosted) -> tuple[Latency, ...]:
    """How long the model takes for one row, and for many. Raises HostLost where its process does not survive that."""
    return tuple(_measure(model, rows) for rows in ROWS)


def _measure(model: Hosted, rows: int) -> Latency:
    """Asks for batches of `rows` one after the other."""
    heads, payload = made_up(model.loaded.signature, rows)
    taken: list[tuple[float, float]] = []
    until = time.perf_counter() + BUDGET_S
    while len(taken) < REPETITIONS and (time.perf_counter() < until or not taken):
        began = time.perf_counter()
        answer, _ = model.ask(rows, heads, payload)
        if answer.error:
            return Latency(rows=rows, error=answer.error)
        taken.append((time.perf_counter() - began, answer.seconds))
    total, median = (round(statistics.median(column) * 1000, 3) for column in zip(*taken, strict=True))
    return Latency(rows=rows, batches=len(taken), total_ms=total, model_ms=median)


def made_up(signature: Signature, rows: int) -> tuple[tuple[TensorHead, ...], list[bytes]]:
    """A batch that fits the signature: values in range, known categories, always the same ones."""
    dice = random.Random(0)
    tensors = [_tensor(tensor, rows, dice) for tensor in signature.tensors()]
    return tuple(head for head, _ in tensors), [data for _, data in tensors if data is not None]


def _tensor(tensor: Tensor, rows: int, dice: random.Random) -> tuple[TensorHead, bytes | None]:
    shape = (rows, *(length or 1 for length in tensor.shape))
    fields = tensor.fields
    values = [_value(fields[i % len(fields)], tensor.dtype, dice) for i in range(math.prod(shape))]
    if tensor.dtype == "string":
        return TensorHead(tensor.name, "string", shape, values), None
    return TensorHead(tensor.name, tensor.dtype, shape), struct.pack(f"<{len(values)}{CODES[tensor.dtype]}", *values)


def _value(field: Field, wire: DType, dice: random.Random) -> Any:
    if field.categories:
        return dice.choice(field.categories)
    if wire == "string":
        return "text"
    low, high = field.range or (0.0, 1.0)
    return dice.uniform(low, high) if wire.startswith("float") else round(dice.uniform(low, high))
