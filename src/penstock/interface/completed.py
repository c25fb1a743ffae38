"""What came of the look-ups of a request, as the figures and the log tell it: names, never values."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from penstock.inference.context import Completion, Judged
from penstock.observability.requests import PredictionMeter


class Completed(NamedTuple):
    """What was found, look-up by look-up, and the seconds that all of them took."""

    found: Sequence[Judged]
    seconds: float


def count(meter: PredictionMeter, completion: Completion, completed: Completed, *, answered: bool) -> None:
    """Counts what was found, and what was not; and how long an `answered` request waited for it."""
    for entry, judged in zip(completion.entries, completed.found, strict=True):
        if found := len(entry.names) - len(judged.faults):
            meter.looked_up(entry.store, "found", found)
        if judged.faults:
            for fault, n in Counter(judged.faults.values()).items():
                meter.looked_up(entry.store, fault, n)
            if defaults := len(judged.faults) - len(judged.refused):
                meter.defaulted(entry.store, defaults)
    if answered:
        meter.completed(completed.seconds)


def told(completion: Completion, completed: Completed) -> list[dict[str, Any]]:
    """What a line of the log says of it."""
    pairs = zip(completion.entries, completed.found, strict=True)
    return [entry.told(judged) for entry, judged in pairs]
