"""What `output:` in model.yaml makes of a model's answers, behind the host's port: the fronts never notice."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from penstock.errors import UnsupportedArtifact
from penstock.host import decisions
from penstock.host.decisions import Plan, Step, only
from penstock.host.model import Around, Column, Model, Outputs
from penstock.model.control import Artifact
from penstock.model.shaping import Shaping
from penstock.model.signature import FLOATS, Output, OutputField

EXACT = 2.0**52  # from here on a float64 has no fraction to round
RESERVED = ("confidence", "probabilities", "ranks")  # what an answer has beside its fields

Change = Callable[[Any], NDArray[Any]]

Stage = Callable[[Shaping, Output, Outputs], Plan]
"""What one key of `output:` makes of the output that a model states, given what it answered to some rows."""


def shaped(model: Model, artifact: Artifact) -> Model:
    """The model with its answers as they are declared; the model itself where nothing is."""
    return model if artifact.output == Shaping() else Shaped(model, artifact)


class Shaped(Around):
    """A model whose answers go through a few steps.

    What is declared is held against what the model answers, the first time that it does: `probe` raises
    UnsupportedArtifact where the two contradict each other.
    """

    def __init__(self, model: Model, artifact: Artifact) -> None:
        super().__init__(model)
        self._shaping = artifact.output
        self._path = artifact.path
        self._steps: list[Step] = []

    def probe(self, tensors: Sequence[Column], rows: int) -> Output:
        output = self._model.probe(tensors, rows)
        sample = self._model.predict(tensors, rows, True)
        self._steps = []
        for key in self._shaping.said(*STAGES):
            try:
                output, step = STAGES[key](self._shaping, output, sample)
            except decisions.Contradiction as contradiction:
                raise UnsupportedArtifact(f"{self._path}: output.{key} in model.yaml: {contradiction}") from None
            if step is not None:
                self._steps.append(step)
                sample = step(sample)
        return output

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs:
        needed = probabilities or self._shaping.threshold is not None
        outputs = self._model.predict(tensors, rows, needed)
        for step in self._steps:
            outputs = step(outputs)
        return outputs if probabilities else outputs._replace(probabilities=None, ranks=None)


# ------------------------------------------------------------------ numbers
def round_off(shaping: Shaping, output: Output, sample: Outputs) -> Plan:
    """Floats with so many digits. They become float64, in which 0.1 is written as 0.1."""
    digits = shaping.round or 0
    fields = [at for at, field in enumerate(output.fields) if field.classes is None and field.dtype in FLOATS]
    if not fields:
        raise decisions.Contradiction(f"it is for numbers with a fraction, and {_given(output)}: remove it")

    def rounded(values: Any) -> NDArray[Any]:
        array = np.asarray(values, np.float64)
        small = np.abs(array) < EXACT
        if small.all():
            return array.round(digits) + 0.0  # and no -0.0
        return np.where(small, np.where(small, array, 0.0).round(digits) + 0.0, array)

    return _changed(output, fields, dtype="float64", round=digits), _on(dict.fromkeys(fields, rounded))


def clip(shaping: Shaping, output: Output, sample: Outputs) -> Plan:
    """Numbers no less and no more than the ends. What is not finite stays so: it is an error and no large number."""
    if any(field.classes is not None or field.dtype in ("string", "bool") for field in output.fields):
        raise decisions.Contradiction(f"it is for numbers, and {_given(output)}: remove it")
    low, high = shaping.clip or (None, None)
    changes = {
        at: _clipped(low, high) if field.dtype in FLOATS else _clipped_integers(low, high, field.dtype)
        for at, field in enumerate(output.fields)
    }
    floats = [at for at, field in enumerate(output.fields) if field.dtype in FLOATS]
    told = _changed(_changed(output, list(changes), clip=shaping.clip), floats, dtype="float64")
    return told, _on(changes)


def _clipped(low: float | None, high: float | None) -> Change:
    least, greatest = -np.inf if low is None else low, np.inf if high is None else high

    def clipped(values: Any) -> NDArray[Any]:
        array = np.asarray(values, np.float64)
        within = np.minimum(np.maximum(array, least), greatest)  # half of what np.clip takes
        finite = np.isfinite(array)
        return within if finite.all() else np.where(finite, within, array)

    return clipped


def _clipped_integers(low: float | None, high: float | None, dtype: str) -> Change:
    """The same of whole numbers, which stay such."""
    limits = np.iinfo(dtype)
    least = limits.min if low is None else max(math.ceil(low), limits.min)
    greatest = limits.max if high is None else min(math.floor(high), limits.max)
    if least > greatest:
        raise decisions.Contradiction(f"no {dtype} lies from {low} to {high}, and the model answers {dtype}: widen it")
    return lambda values: np.clip(np.asarray(values, dtype), least, greatest)


def _changed(output: Output, at: Sequence[int], **said: Any) -> Output:
    """The output with these fields, of which other things are said."""
    fields = [structs.replace(field, **said) if i in at else field for i, field in enumerate(output.fields)]
    return structs.replace(output, fields=tuple(fields))


def _on(changes: Mapping[int, Change]) -> Step:
    def step(outputs: Outputs) -> Outputs:
        values: list[Any] = list(outputs.values)
        for at, change in changes.items():
            values[at] = change(values[at])
        return outputs._replace(values=values)

    return step


def _given(output: Output) -> str:
    kinds = dict.fromkeys("classes" if field.classes is not None else field.dtype for field in output.fields)
    return f"the model answers {' and '.join(kinds)}"


# ------------------------------------------------------------------ for people
def name(shaping: Shaping, output: Output, sample: Outputs) -> Plan:
    if shaping.name in RESERVED:
        raise decisions.Contradiction(f"{shaping.name} is what answers have beside their own: choose another name")
    return _told(output, "name", shaping.name), None


def unit(shaping: Shaping, output: Output, sample: Outputs) -> Plan:
    field = only(output)
    if field.classes is not None or field.dtype == "string":
        raise decisions.Contradiction(f"it is for numbers, and {_given(output)}: remove it")
    return _told(output, "unit", shaping.unit), None


def _told(output: Output, key: str, value: str | None) -> Output:
    field: OutputField = structs.replace(only(output), **{key: value})
    return structs.replace(output, fields=(field,))


STAGES: dict[str, Stage] = {
    "labels": decisions.label,
    "threshold": decisions.decide,
    "top_k": decisions.rank,
    "round": round_off,
    "clip": clip,
    "name": name,
    "unit": unit,
}
"""In the order in which they are applied: rounded first, an answer is within its range in any case."""
