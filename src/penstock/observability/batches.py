"""What is counted of each batch that a host has answered."""

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.model.signature import Signature
from penstock.observability import catalog
from penstock.observability.metrics import OTHER, Counter, Figures

MOST_CLASSES = 50  # of one model; the rest are counted together


REASONS = ("expired", "cancelled", "gave_way", "lost")  # for which requests leave the queue and are never computed


class BatchMeter:
    """Counts the batches of one model version: their rows, their time, and what was predicted how surely."""

    def __init__(self, figures: Figures, model: str, version: str, signature: Signature) -> None:
        self._batch_rows = figures.histogram(catalog.BATCH_ROWS).child(model, version)
        self._duration = figures.histogram(catalog.BATCH_DURATION).child(model, version)
        self._rows = figures.counter(catalog.ROWS_PREDICTED).child(model, version)
        self._busy = figures.counter(catalog.HOST_BUSY).child(model, version)
        self._splits = figures.counter(catalog.BATCH_SPLITS).child(model, version)
        self._expected = figures.histogram(catalog.WAIT_EXPECTED).child(model, version)
        self._waited = figures.histogram(catalog.WAITED).child(model, version)
        left = figures.counter(catalog.QUEUE_LEFT)
        self._left = {reason: left.child(model, version, reason) for reason in REASONS}
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

    def busy(self, seconds: float) -> None:
        """The model worked for so long."""
        self._busy.value += seconds

    def waited(self, expected_s: float, waited_s: float) -> None:
        """A request was expected to wait for its answer so long, and waited so long."""
        self._expected.observe(expected_s)
        self._waited.observe(waited_s)

    def split(self) -> None:
        """A batch failed, and is tried again in halves."""
        self._splits.value += 1

    def left(self, reason: str) -> None:
        """A request left the queue and was never computed."""
        self._left[reason].value += 1


def _times(indices: Any) -> Iterable[tuple[int, int]]:
    """How often each index stands there. One takes no counting, and many are numpy's work."""
    if len(indices) == 1:
        return ((indices[0], 1),)
    import numpy as np  # the supervisor, which reads this file's figures, does without

    counts = np.bincount(np.frombuffer(indices, np.int32)).tolist()
    return [(index, n) for index, n in enumerate(counts) if n]
