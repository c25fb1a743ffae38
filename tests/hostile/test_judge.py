"""The oracle sees what is wrong, and the generator makes the same of the same numbers."""

import json

import pytest

from tests.hostile.inputs import Input, input_at
from tests.hostile.judge import wrong_with, wrong_with_canary, wrong_with_log
from tests.hostile.served import Model
from tests.hostile.wire import Answer, NotHttp, answers

MODELS = (
    Model("sum", ({"name": "a", "dtype": "float64"}, {"name": "b", "dtype": "float64"})),
    Model(
        "people",
        (
            {"name": "age", "dtype": "float64", "nullable": True},
            {"name": "city", "dtype": "string", "categories": ["Rome"], "unknown": "refuse"},
        ),
    ),
)
CALL = Input((b"x",), frozenset({400}), "a call", b"Mk0", call=True)
ROW = CALL._replace(statuses=frozenset({200}))
HUGE = CALL._replace(statuses=frozenset({200, 500}))
RAW = CALL._replace(statuses=frozenset({200, 400, 503}), call=False)


def error(status: int, code: str = "malformed_request", **more: object) -> Answer:
    body = json.dumps({"detail": "No.", "code": code, "request_id": "r", **more}).encode()
    return Answer(status, {}, body, body)


GOOD = error(400)
WRONG: list[tuple[Input, list[Answer], str]] = [
    (CALL, [], "0 answers"),
    (CALL, [GOOD, GOOD], "2 answers"),
    (CALL, [error(404)], "status 404, expected [400]"),
    (RAW, [error(418)], "in no table"),
    (CALL, [error(400, detail="no Mk0")], "came back"),
    (CALL, [error(400, detail="x" * 2048)], "bytes"),
    (CALL, [error(400, input="1")], "an error with"),
    (CALL, [Answer(400, {}, b"no", b"no")], "not JSON"),
    (CALL, [error(400, errors=[])], "go with 422"),
    (RAW, [error(503)], "without Retry-After"),
    (ROW, [error(500, "model_failed")], "status 500"),
    (HUGE, [error(500, "internal_error")], "status 500"),
]


@pytest.mark.parametrize(("sent", "got", "wrong"), WRONG)
def test_what_is_wrong_is_seen(sent: Input, got: list[Answer], wrong: str) -> None:
    assert any(wrong in each for each in wrong_with(sent, got))


@pytest.mark.parametrize(
    ("sent", "got"), [(CALL, [GOOD]), (RAW, [GOOD, GOOD]), (RAW, []), (HUGE, [error(500, "model_failed")])]
)
def test_what_is_right_passes(sent: Input, got: list[Answer]) -> None:
    assert [*wrong_with(sent, got)] == []


def test_the_answer_to_another_request_is_seen() -> None:
    answer = Answer(200, {b"x-request-id": b"canary-1"}, b'{"prediction":3.0}', b"")
    assert [*wrong_with_canary(answer, "canary-1", 3.0)] == []
    assert [*wrong_with_canary(answer, "canary-2", 3.0)]
    assert [*wrong_with_canary(answer, "canary-1", 4.0)]
    assert [*wrong_with_canary(answer._replace(status=503), "canary-1", 3.0)]


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    ("data", "count", "rest"),
    [
        (OK, 1, b""),
        (OK + OK, 2, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 1, b""),
        (OK[:-1], 0, OK[:-1]),
        (OK + b"HT", 1, b"HT"),
    ],
)
def test_answers_are_told_apart(data: bytes, count: int, rest: bytes) -> None:
    found, left = answers(data)
    assert (len(found), left) == (count, rest)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: \x1b\r\n\r\n",
        OK + b"more",
    ],
)
def test_what_is_no_answer_is_seen(data: bytes) -> None:
    with pytest.raises(NotHttp):
        answers(data)


@pytest.mark.parametrize(
    "line", [b"text", b'{"event":"\x1b[31m"}', b'{"event":"other"}', b"[]", b'{"event":"prediction"', b""]
)
def test_a_line_that_the_service_did_not_write_is_seen(line: bytes) -> None:
    events = frozenset({"prediction"})
    assert [*wrong_with_log(b'{"event":"prediction"}\n', events)] == []
    assert [*wrong_with_log(line + b"\n", events)]


def test_an_input_is_the_same_whenever_it_is_made() -> None:
    made = [input_at(3, number, MODELS) for number in range(500)]
    assert made == [input_at(3, number, MODELS) for number in range(500)]
    assert len({sent.content for sent in made}) == 500
    assert {sent.call for sent in made} == {True, False}
    assert {status for sent in made if sent.call for status in sent.statuses} >= {
        200,
        400,
        404,
        405,
        413,
        415,
        422,
        431,
    }
    assert all(len(sent.marker) == 14 for sent in made)
