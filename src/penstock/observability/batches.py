"""What is counted of each batch that a host has answered."""

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.model.signature import Signature
from penstock.observability import catalog
from penstock.observability.metrics import OTHER, Counter, Figures

MOST_CLASSES = 50  # of one model; the rest are counted together


class BatchMeter:
    """Counts the batches of one model version: their rows, their time, and what was predicted how surely."""

    def __init__(self, figures: Figures, model: str, version: str, signature: Signature) -> None:
        self._batch_rows = figures.histogram(catalog.BATCH_ROWS).child(model, version)
        self._duration = figures.histogram(catalog.BATCH_DURATION).child(model, version)
        self._rows = figures.counter(catalog.ROWS_PREDICTED).child(model, version)
        self._output = signature.output.fields[0]
        self._predicted: dict[int, Counter] = {}
        if classes := self._output.classes:
            family = figures.counter(catalog.PREDICTIONS)
            self._other = family.child(model, version, OTHER) if len(classes) > MOST_CLASSES else Counter()
            named = enumerate(classes[:MOST_CLASSES])
            self._predicted = {index: family.child(model, version, label) for index, label in named}
        sure = signature.output.probabilities
        self._confidence = figures.histogram(catalog.CONFIDENCE).child(model, version) if sure else None

    def batch(self, rows: int, seconds: float, raw: Mapping[str, memoryview]) -> None:
        """A batch of `rows` was answered; the model took `seconds`.

        `raw` holds the bytes of the answer's tensors by name: indices of classes as int32, "confidence" as float64.
        """
        self._batch_rows.observe(rows)
        self._duration.observe(seconds)
        self._rows.value += rows
        if self._predicted and (chosen := raw.get(self._output.name)) is not None:
            for index, n in _times(chosen.cast("i")):
                self._predicted.get(index, self._other).value += n
        if self._confidence and (confidence := raw.get("confidence")) is not None:
            self._confidence.observe_many(confidence)


def _times(indices: Any) -> Iterable[tuple[int, int]]:
    """How often each index stands there. One takes no counting, and many are numpy's work."""
    if len(indices) == 1:
        return ((indices[0], 1),)
    import numpy as np  # the supervisor, which reads this file's figures, does without

    counts = np.bincount(np.frombuffer(indices, np.int32)).tolist()
    return [(index, n) for index, n in enumerate(counts) if n]
