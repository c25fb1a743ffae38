"""A model's first batches: they tell what it answers, warm it up, and stop one that cannot answer at all."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import structs

from penstock.errors import ArtifactError, FailedStart, ModelFailed, PenstockError
from penstock.host.model import Column, Model
from penstock.host.outputs import Packer
from penstock.host.refusals import detail, unfitted
from penstock.host.responder import unpack
from penstock.host.rows import Row, batch, plausible, row_of
from penstock.host.trace import print_own
from penstock.model.signature import Field, Output, Signature

SIZES = (1, 64)  # rows of the batches that warm a model up
MOST_TRIALS = 64  # of one field missing at a time


class Rehearsal:
    """Rehearses a model with plausible rows, or else with `features`: those of its examples and its training data.

    Afterwards `signature` says what it takes and answers. Raises FailedStart, or
    UnsupportedArtifact where it was never fitted, if it answers no row at all.
    """

    def __init__(self, model: Model, features: Sequence[Any]) -> None:
        self._model = model
        self._layout = Signature(inputs=model.inputs, output=Output(fields=())).tensors()
        output, row = self._first_output(features)
        self._packer = Packer(output)
        inputs = self._confirmed(row)
        declared = {field.name for field in inputs}  # what is declared is taken, also where the model drops it
        unused = tuple(name for name in getattr(model, "unused", ()) if name not in declared)
        self.signature = Signature(inputs=inputs, output=output, named=model.named, unused=unused)

    def answer(self, features: Any) -> tuple[Any, float | None]:
        """Prediction and confidence for one row, as a client would read them. Raises ModelFailed, FailedExample."""
        columns = self._ask([row_of(features, self._model.inputs)], self._packer)
        values = [np.asarray(column)[0].tolist() for column in columns]
        fields = self.signature.output.fields
        pairs = zip(fields, values, strict=False)  # values may go on: confidence, probabilities
        answers = [field.classes[value] if field.classes else value for field, value in pairs]
        confidence = values[len(fields)] if self.signature.output.probabilities else None
        return (answers[0] if len(answers) == 1 else answers), confidence

    def _first_output(self, features: Sequence[Any]) -> tuple[Output, Row]:
        failure: Exception | None = None
        for rows in self._attempts(features):
            try:
                output = self._model.probe(self._batch(rows), len(rows))
                for size in SIZES:
                    self._ask([rows[i % len(rows)] for i in range(size)], Packer(output), finite=False)
                return output, rows[0]
            except ArtifactError:  # what is declared contradicts the model: no other row would help
                raise
            except Exception as error:  # noqa: BLE001  # the model's own; told below if no row fares better
                failure = failure or error
        raise _hopeless(failure or ModelFailed())

    def _attempts(self, features: Sequence[Any]) -> Iterator[list[Row]]:
        """Rows to try: all plausible ones at once, which tells most, then each by itself, then the examples'."""
        rows: list[Row] = list(plausible(self._model.inputs, self._model.typical()))
        yield rows
        yield from ([row, row] for row in rows)
        for each in features:
            try:
                yield [row_of(each, self._model.inputs)] * 2
            except PenstockError:  # told when the example is replayed
                continue

    def _confirmed(self, row: Row) -> tuple[Field, ...]:
        """The inputs, of which only those are inferred to be nullable that the model was seen to answer without."""
        inputs = self._model.inputs
        hopeful = [i for i, field in enumerate(inputs) if field.nullable and field.origin == "inferred"]
        if not hopeful or self._bears(row, hopeful):
            return inputs
        lost = {i for i in hopeful if len(hopeful) > MOST_TRIALS or not self._bears(row, [i])}
        return tuple(structs.replace(field, nullable=False) if i in lost else field for i, field in enumerate(inputs))

    def _bears(self, row: Row, missing: Sequence[int]) -> bool:
        try:
            self._ask([[None if i in missing else value for i, value in enumerate(row)]], self._packer)
        except Exception:  # noqa: BLE001  # the model's own: it does not
            return False
        return True

    def _batch(self, rows: Sequence[Row]) -> list[Column]:
        return batch(self._layout, self._model.inputs, rows)

    def _ask(self, rows: Sequence[Row], packer: Packer, finite: bool = True) -> list[Column]:
        outputs = self._model.predict(self._batch(rows), len(rows), True)
        packed = packer.pack(outputs, len(rows))
        if finite and packed.failed:
            raise ModelFailed("the model's answer is not finite")
        return unpack(packed.heads, memoryview(b"".join(packed.payload)))


def _hopeless(failure: Exception) -> ArtifactError:
    """What is to be said of a model that answers none of its rows."""
    if refusal := unfitted(failure):
        return refusal
    print_own(failure)
    return FailedStart(
        f"the model answers none of the rows it was warmed up with ({detail(failure)}): "
        "check its inputs, declare them as `inputs:` in model.yaml, or add an examples.json with rows that it takes"
    )
