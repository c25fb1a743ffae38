"""What one batch leaves in the figures."""

from array import array

from penstock.model.signature import Field, Output, OutputField, Signature
from penstock.observability import catalog
from penstock.observability.batches import MOST_CLASSES, BatchMeter
from penstock.observability.metrics import Figures


def answer(indices: list[int], confidence: list[float]) -> dict[str, memoryview]:
    """The raw tensors of an answer."""
    chosen, sure = array("i", indices).tobytes(), array("d", confidence).tobytes()
    return {"label": memoryview(chosen), "confidence": memoryview(sure)}


def classifier(*classes: str) -> Signature:
    output = Output(fields=(OutputField(name="label", classes=classes),), probabilities=True)
    return Signature(inputs=(Field(name="x"),), output=output)


def test_classes_and_confidences_are_counted_row_by_row() -> None:
    figures = Figures()
    meter = BatchMeter(figures, "iris", "1", classifier("red", "green"))
    meter.batch(3, 0.002, answer([0, 1, 1], [0.5, 0.95, 0.3]))
    meter.batch(1, 0.001, answer([1], [1.0]))
    taken = figures.snapshot()
    assert taken["counters"][catalog.PREDICTIONS.name] == [[["iris", "1", "red"], [1]], [["iris", "1", "green"], [3]]]
    assert taken["counters"][catalog.ROWS_PREDICTED.name] == [[["iris", "1"], [4]]]
    assert taken["histograms"][catalog.BATCH_ROWS.name][0][1][:4] == [4.0, 1, 0, 1]
    assert sum(taken["histograms"][catalog.CONFIDENCE.name][0][1][1:]) == 4


def test_beyond_so_many_classes_the_rest_are_counted_together() -> None:
    figures = Figures()
    names = [f"c{number}" for number in range(MOST_CLASSES + 50)]
    BatchMeter(figures, "iris", "1", classifier(*names)).batch(100, 0.1, answer(list(range(100)), [0.5] * 100))
    series = {labels[2]: n for labels, (n,) in figures.snapshot()["counters"][catalog.PREDICTIONS.name]}
    assert len(series) == MOST_CLASSES + 1
    assert series["other"] == 50


def test_a_regressor_has_neither() -> None:
    figures = Figures()
    output = Output(fields=(OutputField(name="y"),))
    meter = BatchMeter(figures, "price", "1", Signature(inputs=(Field(name="x"),), output=output))
    meter.batch(1, 0.001, {"y": memoryview(array("d", [1.5]).tobytes())})
    assert not {catalog.PREDICTIONS.name, catalog.CONFIDENCE.name} & {n for f in figures.snapshot().values() for n in f}
