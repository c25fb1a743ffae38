"""The oracle: what must hold for every answer to every input, and for the service after all of them."""

import json
import re
from collections.abc import Iterator, Sequence

from tests.hostile.inputs import STATUSES, Input
from tests.hostile.wire import Answer

LARGEST_ERROR = 2048
CONTROLS = re.compile(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]")


def wrong_with(sent: Input, answers: Sequence[Answer]) -> Iterator[str]:
    """What is wrong with the answers to an input; the canary's is not among them."""
    if sent.call and len(answers) != 1:
        yield f"{len(answers)} answers to one request"
    for answer in answers:
        if answer.status not in sent.statuses and not no_finite_answer(sent, answer):
            yield f"status {answer.status}, expected {sorted(sent.statuses)}: {answer.body[:200]!r}"
        yield from wrong_with_answer(sent, answer)


def wrong_with_answer(sent: Input, answer: Answer) -> Iterator[str]:
    if answer.status not in STATUSES and not no_finite_answer(sent, answer):
        yield f"status {answer.status} is in no table"
    if sent.marker in answer.raw:
        yield "the input came back"
    if answer.status == 503 and b"retry-after" not in answer.headers:
        yield "503 without Retry-After"
    if answer.status == 405 and b"allow" not in answer.headers:
        yield "405 without Allow"
    if answer.status >= 400 and not sent.head:
        yield from wrong_with_error(answer)


def wrong_with_error(answer: Answer) -> Iterator[str]:
    if len(answer.body) >= LARGEST_ERROR:
        yield f"an error of {len(answer.body)} bytes"
    try:
        told = json.loads(answer.body)
    except ValueError:
        yield "an error that is not JSON"
        return
    if set(told) - {"errors"} != {"detail", "code", "request_id"}:
        yield f"an error with {sorted(told)}"
    if ("errors" in told) != (answer.status == 422):
        yield "errors go with 422"


def no_finite_answer(sent: Input, answer: Answer) -> bool:
    """Whether it says that the model has no finite answer: right only where something finite and huge was sent."""
    if answer.status != 500 or b'"model_failed"' not in answer.body:
        return False
    return 500 in sent.statuses or not sent.call


def wrong_with_canary(answer: Answer, name: str, prediction: float) -> Iterator[str]:
    """The right request that followed must get the right answer: its own."""
    if answer.status != 200:
        yield f"a right request got {answer.status}: {answer.body[:200]!r}"
    elif answer.headers.get(b"x-request-id") != name.encode():
        yield f"{name} got the answer to {answer.headers.get(b'x-request-id')!r}"
    elif abs(json.loads(answer.body)["prediction"] - prediction) > 1e-6:
        yield f"{name} got {answer.body!r} for {prediction}"


def wrong_with_log(log: bytes, events: frozenset[str]) -> Iterator[str]:
    """Every line is one JSON object about something that happens here, and drives no terminal."""
    for line in log.split(b"\n")[:-1]:
        if CONTROLS.search(line):
            yield f"control characters in {line[:200]!r}"
        try:
            event = json.loads(line)["event"]
        except (ValueError, KeyError, TypeError):
            yield f"no line of ours: {line[:200]!r}"
        else:
            if event not in events:
                yield f"an event called {event!r}"
