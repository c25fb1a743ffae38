"""Probe rows: where two ways to run a model are compared.

Rows of golden examples and of the training data, rows that the model remembers, points on and beside the splits of its
trees, the ends of declared ranges and beyond, magnitudes up to 1e6, every category and an unknown one, missing values
where they are taken, texts of known and unknown words, and random mixtures of all that. The same model has the same
probes each time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Any, TypeVar

import numpy as np

from penstock.host.estimators import everything
from penstock.host.landmarks import Rows, landmarks
from penstock.host.rows import Row, plausible
from penstock.model.signature import Field

Item = TypeVar("Item")

MOST_ROWS = 4000
MOST_VALUES = 400_000
FEWEST_ROWS = 100
WIDEST = 20_000  # inputs: as many rows of more would take longer to make up than the model takes to start
MAGNITUDES = (0.0, 1e-3, 0.5, 1.0, 2.0, 10.0, 100.0, 1e3, 1e4, 1e6)
WORDS = ("", "unheard", "Ünïcödé", "42", "a, b; c", "UPPER", "don't", "x" * 40)
JOINTS = (" a ", ", ", "-", "'", "_", "\n", ". ", " & ", "é", " 7 ", "…", "\t", "\u00a0", "\u3000", "—")
SPELLINGS: tuple[Callable[[str], str], ...] = (str, str, str, str.upper, str.capitalize)
MOST_WORDS = 500
MOST_PAIRS = 100
NOTHINGS = ("", "nan", "None")  # texts that are there, and might be taken for one that is missing
STRANGER = "a category that was never seen"


def probe_rows(
    model: Any,
    inputs: Sequence[Field],
    typical: Sequence[float] | None,
    examples: Sequence[Row],
    most: int = MOST_ROWS,
    sample: Sequence[Row] = (),
) -> list[Row]:
    """About `most` rows for a fitted estimator that takes `inputs`, fewer where there are many.

    All `examples` are among them, and of a `sample` of the training data as many as leave room for the others.
    """
    generator, dice = np.random.default_rng(0), Random(0)
    remembered = _remembered(model, inputs, generator)
    pools = [_pool(field, remembered[:, i], _words(model, field, generator)) for i, field in enumerate(inputs)]
    made_up = [
        [_fitting(field, value) for field, value in zip(inputs, row, strict=True)] for row in plausible(inputs, typical)
    ]
    most = max(FEWEST_ROWS, min(most, MOST_VALUES // len(inputs)))
    trained = _thinned([list(row) for row in sample], most // 4)
    usual = [*made_up, *(list(row) for row in examples), *trained]
    recalled = _completed(remembered[: most // 2], inputs, pools, usual, dice)
    left = max(0, most - len(usual) - len(recalled))
    mixed = [[_drawn(pool, dice) for pool in pools] for _ in range(left // 3)]
    return [*usual, *recalled, *_varied(usual, pools, left - len(mixed), dice), *mixed]


def _remembered(model: Any, inputs: Sequence[Field], dice: np.random.Generator) -> Rows:
    """The model's landmarks in the order of the fields, which may be fewer than its columns; shuffled."""
    names = getattr(model, "feature_names_in_", None)
    known = [field.name for field in inputs] if names is None else [str(name) for name in names]
    scalars = all(field.shape == () for field in inputs)
    rows = landmarks(model, len(known), dice) if scalars else np.empty((0, len(known)))
    places = {name: i for i, name in enumerate(known)}
    try:
        chosen = [places[field.name] for field in inputs]
    except KeyError:  # the operator's names for columns that have none
        chosen = list(range(len(inputs)))
    return rows[dice.permutation(len(rows))][:, chosen] if len(known) >= len(inputs) else np.empty((0, len(inputs)))


def _pool(field: Field, remembered: Rows, words: Sequence[str]) -> list[Any]:
    """Values worth trying in one field."""
    if field.dtype == "string":
        values: list[Any] = list(field.categories or words)
        strange = [STRANGER, *NOTHINGS] if field.categories and field.unknown == "warn" else []
    elif field.categories:
        values, strange = list(field.categories), _unheard(field)
    else:
        values, strange = _numbers(field, remembered), []
    return [*values, *strange, *([None] if field.nullable else [])]


def _unheard(field: Field) -> list[Any]:
    """Numbers that are no category, where they may come: beyond all, and between two where there are fractions."""
    if field.unknown != "warn" or field.dtype == "bool":
        return []
    known = [float(each) for each in field.categories or () if not isinstance(each, str)]
    strange = (_as(field, value) for value in (max(known) + 1, min(known) + 0.5, max(known) + 1e-9))
    return [value for value in dict.fromkeys(strange) if value not in known]


def _numbers(field: Field, remembered: Rows) -> list[Any]:
    if field.dtype == "bool":
        return [False, True]
    learnt = np.unique(remembered[np.isfinite(remembered)])
    learnt = learnt[:: max(1, len(learnt) // 200)]
    low, high = field.range or (0.0, 0.0)
    ends = (low, high, low - 1, high + 1, (low + high) / 2) if field.range else ()
    every = (*learnt.tolist(), *ends, *MAGNITUDES, *(-each for each in MAGNITUDES))
    return list(dict.fromkeys(_as(field, value) for value in every))


def _as(field: Field, value: float) -> Any:
    """The number as the field may hold it."""
    if field.dtype == "bool":
        return bool(value)
    if not field.dtype.startswith(("int", "uint")):
        return value
    info = np.iinfo(field.dtype)
    return int(min(max(round(value), int(info.min)), int(info.max)))


def _fitting(field: Field, value: Any) -> Any:
    return _as(field, value) if isinstance(value, int | float) and not field.shape else value


def _completed(
    rows: Rows, inputs: Sequence[Field], pools: Sequence[list[Any]], usual: Sequence[Row], dice: Random
) -> list[Row]:
    """Remembered rows, whose open columns get a usual value or one of the field's."""
    numeric = [field.dtype not in ("string", "bool") and not field.categories for field in inputs]
    found: list[Row] = []
    for row in rows.tolist():
        base = dice.choice(usual) if dice.random() < 0.7 else [_drawn(pool, dice) for pool in pools]
        known = (is_numeric and value == value for is_numeric, value in zip(numeric, row, strict=True))
        found.append(
            [
                _as(field, value) if use else other
                for field, use, value, other in zip(inputs, known, row, base, strict=True)
            ]
        )
    return found


def _varied(usual: Sequence[Row], pools: Sequence[list[Any]], most: int, dice: Random) -> Iterator[Row]:
    """Usual rows with one value exchanged, for each that a field has or for as many as there may be, from all over."""
    places = [(position, at) for position, pool in enumerate(pools) for at in range(len(pool))]
    for position, at in _thinned(places, most):
        row = list(dice.choice(usual))
        row[position] = pools[position][at]
        yield row


def _drawn(pool: Sequence[Any], dice: Random) -> Any:
    """One of the values, or, between two of them, another number of the same kind."""
    value, other = dice.choice(pool), dice.choice(pool)
    if type(value) is float and type(other) is float and dice.random() < 0.5:
        return value + (other - value) * dice.random()
    return value


def _words(model: Any, field: Field, dice: np.random.Generator) -> list[str]:
    """Texts out of the words that the model learnt, and of what it drops, splits at or cannot know."""
    if field.dtype != "string" or field.categories:
        return []
    inside = list(everything(model))
    learnt = [word for inner in inside for word in getattr(inner, "vocabulary_", None) or ()]
    known = [str(learnt[i]) for i in dice.permutation(len(learnt))[:MOST_WORDS]] or ["word", "another"]
    dropped = sorted({word for inner in inside for word in _stop_words(inner)})
    joints = [*JOINTS, *(f" {word} " for word in (dice.choice(dropped, size=len(JOINTS)) if dropped else ()))]
    sentences = [_sentence(known, joints, dice) for _ in range(200)]
    mixed = [f"{sentence} {WORDS[i % len(WORDS)]}" for i, sentence in enumerate(sentences[:50])]
    pairs = [word for word in known if " " in word.strip()][:MOST_PAIRS]
    apart = [joint.join(pair.split()) for pair in pairs for joint in dice.choice(joints, size=3)]
    foreign = [str(word) for word in learnt if not str(word).isascii()][:MOST_PAIRS]
    spelt = [spell(word) for word in foreign for spell in (str.upper, str.capitalize)]
    return [*WORDS, *known[:100], *spelt, *apart, *sentences, *mixed]


def _stop_words(estimator: Any) -> Iterable[str]:
    try:
        return estimator.get_stop_words() or ()
    except Exception:  # noqa: BLE001  # other people's estimators, and those that have none
        return ()


def _sentence(known: Sequence[str], joints: Sequence[str], dice: np.random.Generator) -> str:
    """Words, each in one of several spellings, mostly with blanks between them; in every other text only so."""
    plain = dice.random() < 0.5
    text = ""
    for word in dice.choice(known, size=int(dice.integers(1, 12))):
        joint = " " if plain or dice.random() < 0.5 else str(dice.choice(joints))
        text += joint + SPELLINGS[0 if plain else int(dice.integers(len(SPELLINGS)))](str(word))
    return text.strip()


def _thinned(items: Sequence[Item], most: int) -> Sequence[Item]:
    """At most so many of them, from all over."""
    if len(items) <= most:
        return items
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, most).astype(int)]
