"""What came of the look-ups of a request, as the figures and the log tell it: names, never values."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from penstock.inference.context import Completion, Judged
from penstock.observability.requests import PredictionMeter

MOST_NAMED = 20  # features that a line of the log names


class Completed(NamedTuple):
    """What was found, look-up by look-up, and the seconds that all of them took."""

    found: Sequence[Judged]
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether there was a value or a default for every feature."""
        return not any(judged.refused for judged in self.found)


def count(meter: PredictionMeter, completion: Completion, completed: Completed, *, answered: bool) -> None:
    """Counts what was found, and what was not; and how long an `answered` request waited for it."""
    for entry, judged in zip(completion.entries, completed.found, strict=True):
        if found := len(entry.names) - len(judged.faults):
            meter.looked_up(entry.store, "found", found)
        if judged.faults:
            for fault, n in Counter(judged.faults.values()).items():
                meter.looked_up(entry.store, fault, n)
            if completed.whole:
                meter.defaulted(entry.store, len(judged.faults))
    if answered:
        meter.completed(completed.seconds)


def told(completion: Completion, completed: Completed) -> list[dict[str, Any]]:
    """What a line of the log says of it."""
    lines = []
    for entry, judged in zip(completion.entries, completed.found, strict=True):
        line: dict[str, Any] = {"store": entry.store, "key": entry.key, "features": entry.names[:MOST_NAMED]}
        if judged.faults and completed.whole:
            line["defaults"] = list(judged.faults)[:MOST_NAMED]
        lines.append(line)
    return lines
