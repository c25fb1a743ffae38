"""Golden examples: rows with the answers that the model itself gave, one of each class at least."""

import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from penstock.cli.hosted import Hosted
from penstock.cli.packing.wire import Answered, Row, answered, encoded, nested
from penstock.errors import ArtifactError
from penstock.model.signature import Field, Output, Signature

USUAL = 10  # examples
MOST = 100  # where there are so many classes
MOST_VALUES = 20_000  # of all examples together
ROWS = 250  # that the model is asked at a time
MOST_ROWS = 5000  # that it is asked until every class was seen
MADE_UP = 300  # where there is no data
MAGNITUDES = (1.0, 10.0, 100.0)  # of numbers that nothing is known of
TOLERANCE, TOLERANCE_OF_SINGLES = 1e-5, 1e-4


class Answers(NamedTuple):
    """What the model answered, how many rows it failed on, and what it said of the first of those."""

    given: list[Answered]
    failed: int = 0
    problem: str | None = None


def ask(model: Hosted, rows: Sequence[Row], least: int = USUAL) -> Answers:
    """The model's answers to `least` of the rows, and to more until each of its classes was seen.

    Raises ArtifactError where it answers none of them, HostLost where its process does not survive that.
    """
    output = model.loaded.signature.output
    found = Answers([])
    for start in range(0, min(len(rows), MOST_ROWS), ROWS):
        found = _joined(found, _asked(model, rows[start : start + ROWS]))
        if len(found.given) >= least and not _unseen(found.given, output):
            break
    if not found.given:
        raise ArtifactError(f"the model answers none of the rows that it was asked: {found.problem or 'not finite'}")
    return found


def _asked(model: Hosted, rows: Sequence[Row]) -> Answers:
    """The answers to these rows. Where the model fails on all of them together, each is tried by itself."""
    signature = model.loaded.signature
    answer, payload = model.ask(len(rows), *encoded(signature, rows))
    if answer.error is None:
        given = answered(answer, payload, signature.output, rows)
        return Answers(given, len(rows) - len(given))
    if len(rows) == 1:
        return Answers([], 1, answer.error)
    found = Answers([])
    for row in rows:
        found = _joined(found, _asked(model, [row]))
    return found


def _joined(one: Answers, other: Answers) -> Answers:
    return Answers(one.given + other.given, one.failed + other.failed, one.problem or other.problem)


def _unseen(given: Sequence[Answered], output: Output) -> bool:
    """Whether one of the classes was not answered yet."""
    first = output.fields[0]
    if len(output.fields) > 1 or first.classes is None or first.shape:
        return False
    return {str(each.prediction) for each in given} != set(map(str, first.classes))


def chosen(given: Sequence[Answered], signature: Signature) -> list[Answered]:
    """The surest row of each class, and others from all over, in the order in which they were asked."""
    surest: dict[str, int] = {}
    if signature.output.fields[0].classes is not None and len(signature.output.fields) == 1:
        for number in sorted(range(len(given)), key=lambda number: -(given[number].confidence or 0.0)):
            surest.setdefault(str(given[number].prediction), number)
    most = max(1, min(max(USUAL, min(len(surest), MOST)), MOST_VALUES // _size(signature.inputs)))
    taken = list(surest.values())[:most]
    left = [number for number in range(len(given)) if number not in taken]
    wanted = min(most - len(taken), len(left))
    taken += [left[i * len(left) // wanted] for i in range(wanted)]
    return [given[number] for number in sorted(taken)]


def examples(selected: Sequence[Answered], signature: Signature, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """The documents of examples.json, with rows by name where there are `names`."""
    dtypes = {field.dtype for field in signature.inputs} | {field.dtype for field in signature.output.fields}
    singles = not dtypes.isdisjoint(("float32", "float16"))
    return [
        {
            "features": dict(zip(names, each.row, strict=True)) if names else list(each.row),
            "prediction": each.prediction,
            **({} if each.confidence is None else {"confidence": each.confidence}),
            "tolerance": TOLERANCE_OF_SINGLES if singles else TOLERANCE,
        }
        for each in selected
    ]


def plausible(inputs: Sequence[Field]) -> list[Row]:
    """Rows made up in the ranges and categories of the fields, always the same ones."""
    dice = random.Random(0)
    count = max(1, min(MADE_UP, MOST_VALUES // _size(inputs)))
    scales = [MAGNITUDES[number % len(MAGNITUDES)] for number in range(count)]
    return [[_value(field, scale, dice) for field in inputs] for scale in scales]


def _value(field: Field, scale: float, dice: random.Random) -> Any:
    lengths = [length or 1 for length in field.shape]
    values = [_scalar(field, scale, dice) for _ in range(math.prod(lengths))]
    return nested(values, lengths) if lengths else values[0]


def _scalar(field: Field, scale: float, dice: random.Random) -> Any:
    if field.categories:
        return dice.choice(field.categories)
    if field.dtype == "string":
        return dice.choice(("some text", "another text"))
    if field.dtype == "bool":
        return dice.random() < 0.5
    low, high = field.range or (0.0 if field.dtype.startswith("uint") else -scale, scale)
    value = dice.uniform(low, high)
    if not field.dtype.startswith("float"):
        return round(value)
    return min(max(float(f"{value:.4g}"), low), high)


def _size(inputs: Sequence[Field]) -> int:
    return sum(math.prod(length or 1 for length in field.shape) for field in inputs)
