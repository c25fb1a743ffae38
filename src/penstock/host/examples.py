"""Golden examples: requests whose answers are known, replayed before a model takes any other."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import msgspec
from msgspec import Struct

from penstock.errors import FailedExample
from penstock.host import source
from penstock.host.refusals import detail
from penstock.model.control import Comparison

LONGEST = 80  # characters of an answer that a message shows

Answerer = Callable[[Any], tuple[Any, float | None]]
"""Features to prediction and confidence."""


class Example(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One golden request and its answer. Numbers may differ by `tolerance`, absolute or relative."""

    features: Any
    prediction: Any
    confidence: float | None = None
    tolerance: float = 1e-6


def read(path: str, pinned: str | None = None) -> tuple[list[Example], str]:
    """The examples in a JSON file, and its sha256. Raises FailedExample if it holds something else, ArtifactError."""
    found = source.read(path, pinned)
    try:
        return msgspec.json.decode(found.data, type=list[Example]), found.sha256
    except msgspec.MsgspecError as error:
        raise FailedExample(
            f"{path} is no list of examples ({error}): write [{{'features': …, 'prediction': …}}, …]"
        ) from None


def replay(path: str, examples: Sequence[Example], answer: Answerer) -> None:
    """Asks for every example that was read from `path`. Raises FailedExample for the first that fails."""
    for number, example in enumerate(examples, 1):
        where = f"example {number} of {path}"
        try:
            prediction, confidence = answer(example.features)
        except Exception as error:
            raise FailedExample(f"{where} could not be answered ({detail(error)}): correct it") from error
        for problem in _differences(example, prediction, confidence):
            raise FailedExample(f"{where}: {problem}; correct the example, or do not serve this model")


def compare(examples: Sequence[Example], answer: Answerer) -> Comparison:
    """Asks for every example of another version, whose answers need not be these."""
    differing = unanswered = 0
    began = perf_counter()
    for example in examples:
        try:
            prediction, confidence = answer(example.features)
        except Exception:  # noqa: BLE001 # whatever the model or its decoder raises: it does not answer
            unanswered += 1
        else:
            differing += any(True for _ in _differences(example, prediction, confidence))
    return Comparison(
        examples=len(examples),
        differing=differing,
        unanswered=unanswered,
        us=round((perf_counter() - began) / len(examples) * 1e6, 1),
    )


def _differences(example: Example, prediction: Any, confidence: float | None) -> Iterator[str]:
    if not _same(example.prediction, prediction, example.tolerance):
        yield f"expected {_shown(example.prediction)}, got {_shown(prediction)}"
    if example.confidence is not None and not _same(example.confidence, confidence, example.tolerance):
        yield f"expected confidence {_shown(example.confidence)}, got {_shown(confidence)}"


def _same(expected: Any, got: Any, tolerance: float) -> bool:
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(_same(e, g, tolerance) for e, g in zip(expected, got, strict=True))
    if isinstance(expected, bool) or isinstance(got, bool) or not isinstance(expected, int | float):
        return type(expected) is type(got) and bool(expected == got)
    return isinstance(got, int | float) and math.isclose(expected, got, rel_tol=tolerance, abs_tol=tolerance)


def _shown(answer: Any) -> str:
    text = json.dumps(answer)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
