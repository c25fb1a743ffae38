"""What is said to a server and what it answers, in its own dialect: the same rows and labels in each."""

from collections.abc import Callable
from typing import Any, NamedTuple

Rows = list[list[float]]
Labelled = list[tuple[int, float]]


class Wire(NamedTuple):
    """Where one row and many are sent, as which document, and the labels and confidences that its answer holds."""

    name: str
    one: str
    many: str
    document: Callable[[Rows], object]
    labelled: Callable[[Any], Labelled]

    def path(self, rows: int) -> str:
        return self.one if rows == 1 else self.many


def features(rows: Rows) -> object:
    return {"features": rows[0]} if len(rows) == 1 else {"batch": rows}


def predictions(answer: Any) -> Labelled:
    if "prediction" in answer:
        return [(answer["prediction"], answer["confidence"])]
    return list(zip(answer["predictions"], answer["confidences"], strict=True))


def inputs(rows: Rows) -> object:
    """The argument of the method that is served, by its name."""
    return {"inputs": rows}


def pairs(answer: Any) -> Labelled:
    """A row of an array holds the label and the confidence."""
    return [(round(label), confidence) for label, confidence in answer]


def tensors(rows: Rows) -> object:
    """The open inference protocol, version 2."""
    flat = [value for row in rows for value in row]
    shape = [len(rows), len(rows[0])]
    asked = [{"name": "predict"}, {"name": "predict_proba"}]
    return {"inputs": [{"name": "rows", "shape": shape, "datatype": "FP64", "data": flat}], "outputs": asked}


def probable(answer: Any) -> Labelled:
    """Its probabilities are one flat list, a row after the other."""
    labels, flat = (output["data"] for output in answer["outputs"])
    classes = len(flat) // len(labels)
    return [(label, max(flat[n * classes : (n + 1) * classes])) for n, label in enumerate(labels)]


NATIVE = Wire("native", "/predict", "/predict-batch", features, predictions)
LITSERVE = Wire("native", "/predict", "/predict", features, predictions)
BENTOML = Wire("arrays", "/predict", "/predict", inputs, pairs)
V2 = Wire("tensors", "/v2/models/model/infer", "/v2/models/model/infer", tensors, probable)
