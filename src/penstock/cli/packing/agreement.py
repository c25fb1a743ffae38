"""The agreement of a model with its target: how often it answers what the data says, or how far from that it is."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from penstock.model.signature import FLOATS, Output

HINT = "a transform may be missing, or the target be another column"


class Agreement(NamedTuple):
    """What a person is told of it, and a warning where the model does no better than one that never looks at a row."""

    summary: str
    warning: str | None = None


def agreement(target: str, output: Output, told: Sequence[tuple[Any, str | None]]) -> Agreement | None:
    """How the answers agree with the cells of the target that are beside them; nothing where no cell says what is true.

    None too of a model with several outputs, of which one column cannot be the truth.
    """
    first = output.fields[0]
    pairs = [(answer, cell.strip()) for answer, cell in told if cell and cell.strip()]
    if len(output.fields) > 1 or first.shape or not pairs:
        return None
    if first.classes is None and first.dtype in FLOATS:
        return _of_numbers(target, pairs)
    known = None if first.classes is None else {_key(str(each)) for each in first.classes}
    return _of_classes(target, [(_key(str(answer)), _key(cell)) for answer, cell in pairs], known)


def _of_classes(target: str, pairs: Sequence[tuple[str, str]], known: set[str] | None) -> Agreement:
    true = Counter(truth for _, truth in pairs)
    if true.keys().isdisjoint(known or {answer for answer, _ in pairs}):
        shown = ", ".join(sorted(true)[:3])
        return Agreement(f"{target} ({shown}{', …' if len(true) > 3 else ''}) holds none of the model's answers")
    right = sum(answer == truth for answer, truth in pairs)
    commonest, count = true.most_common(1)[0]
    summary = f"the model answers {target} on {right} of {len(pairs)} rows ({_percent(right, len(pairs))})"
    if right > count or len(true) == 1:
        return Agreement(summary)
    return Agreement(summary, f"{summary}, and '{commonest}' alone would on {count}: {HINT}")


def _of_numbers(target: str, pairs: Sequence[tuple[float, str]]) -> Agreement:
    numbers = [(answer, number) for answer, cell in pairs if math.isfinite(number := _number(cell))]
    if not numbers:
        return Agreement(f"{target} ({pairs[0][1]}, …) holds no number, which is what the model answers")
    error = statistics.fmean(abs(answer - true) for answer, true in numbers)
    usual = statistics.fmean(true for _, true in numbers)
    spread = math.fsum((true - usual) ** 2 for _, true in numbers)
    summary = f"the model answers {target} with a mean error of {error:.3g} on {len(numbers)} rows"
    if not spread:
        return Agreement(summary)
    r2 = 1 - math.fsum((answer - true) ** 2 for answer, true in numbers) / spread
    summary += f" (R² {r2:.3g})"
    return Agreement(summary, None if r2 > 0 else f"{summary}, no better than always its mean, {usual:.3g}: {HINT}")


def _key(text: str) -> str:
    """The same for each way to write one value: 1, 1.0 and True."""
    number = 1.0 if text == "True" else 0.0 if text == "False" else _number(text)
    return f"{number:.17g}" if math.isfinite(number) else text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g}%"
