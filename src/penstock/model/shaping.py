"""Shaping: what `output:` in model.yaml makes of a model's answers."""

import math
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from penstock.model.signature import Label

MOST_DIGITS = 15  # of a float64, beyond which there is nothing to round
FOR_NUMBERS = ("round", "clip", "unit")
FOR_CLASSES = ("labels", "threshold", "top_k")
LONGEST = 200


class Shaping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is declared of the output; None where nothing is.

    `labels` are what the classes are called, in their order. A `threshold` decides between two classes: from there on
    it is the second. `top_k` is how many classes are told with their probabilities. Numbers are rounded to `round`
    digits and then held within `clip`, of which either end may be open. `name` and `unit` are for people.
    """

    name: str | None = None
    unit: str | None = None
    labels: tuple[Label, ...] | None = None
    round: Annotated[int, Meta(ge=0, le=MOST_DIGITS)] | None = None
    clip: tuple[float | None, float | None] | None = None
    threshold: float | None = None
    top_k: Annotated[int, Meta(ge=1)] | None = None

    def said(self, *keys: str) -> list[str]:
        """Those of the keys that are declared."""
        return [key for key in keys if getattr(self, key) is not None]


def contradictions(shaping: Shaping) -> Iterator[str]:
    """What cannot be meant, whatever the model is, each beginning with the key."""
    for key in shaping.said("name", "unit"):
        text = str(getattr(shaping, key))
        if not text.strip() or len(text) > LONGEST or not text.isprintable():
            yield f"{key}: expected 1 to {LONGEST} printable characters"
    yield from _wrong_labels(shaping)
    if shaping.clip is not None and not _is_range(*shaping.clip):
        yield "clip: expected [lowest, highest], of which one may be null"
    if shaping.threshold is not None and not math.isfinite(shaping.threshold):
        yield "threshold: expected a finite number"
    of_numbers, of_classes = shaping.said(*FOR_NUMBERS), shaping.said(*FOR_CLASSES)
    if of_numbers and of_classes:
        yield f"{of_numbers[0]}: it is for numbers, and `{of_classes[0]}` makes the answer a class: remove one of them"


def _wrong_labels(shaping: Shaping) -> Iterator[str]:
    labels = shaping.labels
    if labels is None:
        return
    if len(labels) < 2:
        yield "labels: name all classes, which are two at least"
    if len(set(map(str, labels))) < len(labels):
        yield "labels: the same name is there twice"
    if shaping.threshold is not None and len(labels) != 2:
        yield f"threshold: it decides between two classes, and there are {len(labels)} labels: remove it"


def _is_range(low: float | None, high: float | None) -> bool:
    ends = [end for end in (low, high) if end is not None]
    return bool(ends) and all(map(math.isfinite, ends)) and ends == sorted(ends)
