"""From what a model states to a class: labels, a threshold between two of them, and the likeliest of many."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from penstock.errors import ModelFailed
from penstock.host.labels import Labels, are_probabilities, chosen
from penstock.host.model import Outputs
from penstock.model.shaping import Shaping
from penstock.model.signature import FLOATS, Label, Output, OutputField

Step = Callable[[Outputs], Outputs]
Plan = tuple[Output, Step | None]


class Contradiction(Exception):
    """What is declared does not fit what the model answers; the message says what to do."""


def only(output: Output) -> OutputField:
    """The only output. Raises Contradiction where there are several."""
    if len(output.fields) > 1:
        names = ", ".join(field.name for field in output.fields[:5])
        raise Contradiction(f"it is for a model with one output, and this one has {len(output.fields)} ({names})")
    return output.fields[0]


# ------------------------------------------------------------------ labels
def label(shaping: Shaping, output: Output, sample: Outputs) -> Plan:
    """Names for the classes of a classifier, for indices, or for a row of scores, of which the largest decides."""
    labels = shaping.labels or ()
    if _is_index_and_scores(output):
        return _by_index_and_scores(labels, output, sample)
    field = only(output)
    if field.classes is not None:
        return _renamed(labels, output), None
    if field.shape == () and field.dtype not in FLOATS and field.dtype != "string":
        return _classified(output, labels), _by_index(labels, sample)
    if field.dtype in FLOATS and len(field.shape) == 1:
        return _by_scores(labels, output, sample)
    if field.dtype in FLOATS and field.shape == () and shaping.threshold is not None:
        return output, None  # the threshold decides, and gives these names
    if field.dtype in FLOATS and field.shape == ():
        raise Contradiction(
            "labels are for classes, and the model answers one number: say from where on it is the second class "
            "(`threshold: 0.5`), or remove them"
        )
    raise Contradiction(
        f"labels are for indices of classes (whole numbers) or a score for each class, and the model answers "
        f"{field.dtype} of shape {field.shape}: remove them"
    )


def _renamed(labels: Sequence[Label], output: Output) -> Output:
    classes = output.fields[0].classes or ()
    shown = ", ".join(map(str, classes[:10])) + (", …" if len(classes) > 10 else "")
    if len(labels) != len(classes):
        raise Contradiction(
            f"there are {len(labels)} labels, and the model has {len(classes)} classes: name each, in the order {shown}"
        )
    for mine, own in zip(labels, classes, strict=True):
        if mine != own and mine in classes:
            raise Contradiction(
                f"'{mine}' would stand for the model's class '{own}', and the model has a class '{mine}' too: "
                f"give the labels in the order {shown}"
            )
    return _classified(output, labels, probabilities=output.probabilities)


def _classified(output: Output, labels: Sequence[Label], probabilities: bool = False) -> Output:
    field = OutputField(name=output.fields[0].name, dtype="int32", classes=tuple(labels))
    return structs.replace(output, fields=(field,), probabilities=probabilities)


def _by_index(labels: Sequence[Label], sample: Outputs) -> Step:
    known = Labels(range(len(labels)))
    strangers = sorted(set(np.ravel(np.asarray(sample.values[0])).tolist()) - set(known.keys))
    if strangers:
        raise Contradiction(
            f"the model answers class {strangers[0]}, and the labels are 0 to {len(labels) - 1}: add it"
        )

    def step(outputs: Outputs) -> Outputs:
        indices = np.asarray(outputs.values[0]).reshape(-1).astype(np.int64, copy=False)
        return outputs._replace(values=(known.indices(indices),))

    return step


def _by_scores(labels: Sequence[Label], output: Output, sample: Outputs) -> Plan:
    width = _width(sample, 0)
    if width != len(labels):
        raise Contradiction(f"there are {len(labels)} labels, and the model answers {width} scores: name each class")
    stated = are_probabilities(np.asarray(sample.values[0]))

    def step(outputs: Outputs) -> Outputs:
        scores = _finite(np.asarray(outputs.values[0], np.float64))
        indices = scores.argmax(axis=1).astype(np.int32)
        return Outputs((indices,), chosen(scores, indices), scores) if stated else Outputs((indices,))

    return _classified(output, labels, probabilities=stated), step


def _width(sample: Outputs, at: int) -> int:
    """How many scores a row has in the output at this place."""
    return int(np.asarray(sample.values[at]).shape[1])


def _is_index_and_scores(output: Output) -> bool:
    if len(output.fields) != 2:
        return False
    index, scores = output.fields
    of_index = index.classes is None and index.shape == () and not FLOATS.union(("string",)) & {index.dtype}
    return of_index and scores.dtype in FLOATS and len(scores.shape) == 1


def _by_index_and_scores(labels: Sequence[Label], output: Output, sample: Outputs) -> Plan:
    width = _width(sample, 1)
    if width != len(labels):
        raise Contradiction(f"there are {len(labels)} labels, and the model answers {width} scores: name each class")
    stated = are_probabilities(np.asarray(sample.values[1]))
    index = _by_index(labels, sample)

    def step(outputs: Outputs) -> Outputs:
        named = index(outputs)
        if not stated:
            return Outputs(named.values)
        scores = _finite(np.asarray(outputs.values[1], np.float64))
        return Outputs(named.values, chosen(scores, np.asarray(named.values[0], np.int32)), scores)

    return _classified(output, labels, probabilities=stated), step


# ------------------------------------------------------------------ threshold
def decide(shaping: Shaping, output: Output, sample: Outputs) -> Plan:
    """The second of two classes where its probability, or the only score, is at least the threshold."""
    threshold = shaping.threshold or 0.0
    field = only(output)
    if field.classes is not None:
        return _between_classes(threshold, output)
    if field.shape != () or field.dtype in ("string", "bool"):
        raise Contradiction(
            f"it decides by one number, or by the probability of the second of two classes, and the model answers "
            f"{field.dtype} of shape {field.shape}: name the two classes (`labels: [no, yes]`), or remove it"
        )

    def step(outputs: Outputs) -> Outputs:
        scores = _finite(np.asarray(outputs.values[0], np.float64).reshape(-1))
        return Outputs(((scores >= threshold).astype(np.int32),))

    decision = _classified(output, shaping.labels or (False, True))
    return structs.replace(decision, threshold=threshold), step


def _between_classes(threshold: float, output: Output) -> Plan:
    classes = output.fields[0].classes or ()
    if len(classes) != 2:
        raise Contradiction(f"it decides between two classes, and the model has {len(classes)}: remove it")
    if not output.probabilities:
        raise Contradiction("it decides by the probability of the second class, and the model states none: remove it")
    if not 0 < threshold <= 1:
        raise Contradiction(f"it is a probability here: expected a number above 0 and up to 1, got {threshold:g}")

    def step(outputs: Outputs) -> Outputs:
        stated: Any = outputs.probabilities
        indices = (stated[:, 1] >= threshold).astype(np.int32)
        return Outputs((indices,), chosen(stated, indices), stated)

    return structs.replace(output, threshold=threshold), step


# ------------------------------------------------------------------ the likeliest
def rank(shaping: Shaping, output: Output, sample: Outputs) -> Plan:
    """The probabilities of so many classes, the likeliest first; of equals the one that stands first."""
    most = shaping.top_k or 1
    field = only(output)
    if field.classes is None or not output.probabilities:
        raise Contradiction("it chooses among the probabilities of classes, and the model states none: remove it")
    if most > len(field.classes):
        raise Contradiction(f"it is {most}, and the model has {len(field.classes)} classes: lower it, or remove it")

    def step(outputs: Outputs) -> Outputs:
        stated = outputs.probabilities
        if stated is None:
            return outputs
        ranks = np.argsort(-stated, axis=1, kind="stable")[:, :most].astype(np.int32)
        return outputs._replace(probabilities=np.take_along_axis(stated, ranks, axis=1), ranks=ranks)

    return structs.replace(output, top_k=most), step


def _finite(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores: what is not a number is no reason for one class or the other. Raises ModelFailed."""
    if not np.isfinite(scores).all():
        raise ModelFailed("the model's score is not a finite number")
    return scores
