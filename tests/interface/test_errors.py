"""Every exception becomes one status and one small body that repeats nothing of the request."""

import msgspec
import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from penstock import errors
from penstock.errors import InvalidRequest, PenstockError, Problem
from penstock.interface.errors import error_response, status_of

RULES = [
    (errors.MalformedRequest(), 400, "malformed_request"),
    (errors.WrongFeatureCount(), 400, "wrong_feature_count"),
    (errors.RaggedBatch(), 400, "ragged_batch"),
    (errors.NotFinite(), 400, "not_finite"),
    (errors.BadDeadline(), 400, "bad_deadline"),
    (errors.BadPriority(), 400, "bad_priority"),
    (errors.UnknownModel(), 404, "unknown_model"),
    (errors.UnknownVersion(), 404, "unknown_version"),
    (errors.SlowRequest(), 408, "slow_request"),
    (errors.BodyTooLarge(), 413, "body_too_large"),
    (errors.UnsupportedMediaType(), 415, "unsupported_media_type"),
    (errors.InvalidRequest(), 422, "invalid_request"),
    (errors.HeadersTooLarge(), 431, "headers_too_large"),
    (errors.ClientGone(), 499, "client_gone"),
    (errors.ModelFailed(), 500, "model_failed"),
    (errors.NotReady(), 503, "not_ready"),
    (errors.QueueFull(), 503, "queue_full"),
    (errors.WaitTooLong(), 503, "wait_too_long"),
    (errors.GaveWay(), 503, "gave_way"),
    (errors.HostLost(), 503, "host_lost"),
    (errors.TooManyConnections(), 503, "too_many_connections"),
    (errors.FiguresLate(), 503, "figures_late"),
    (errors.DeadlineExceeded(), 504, "deadline_exceeded"),
    (errors.PredictTimeout(), 504, "predict_timeout"),
    (RequestValidationError([]), 422, "invalid_request"),
    (HTTPException(404), 404, "not_found"),
    (HTTPException(405, headers={"Allow": "POST"}), 405, "method_not_allowed"),
]


@pytest.mark.parametrize(("exc", "status", "code"), RULES, ids=str)
def test_each_exception_has_its_status_and_code(exc: Exception, status: int, code: str) -> None:
    answer = error_response(exc, "r-1")
    body = msgspec.json.decode(answer.body)
    assert (answer.status, body["code"], body["request_id"]) == (status, code, "r-1")
    assert body["detail"].endswith(".")
    assert ("errors" in body) == (status == 422)


def test_every_request_error_is_in_the_map() -> None:
    """A new class below RequestError without a status would be answered as a 500."""
    kinds = [errors.RequestError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    unmapped = {kind.__name__ for kind in kinds if status_of(kind()) == 500}
    assert unmapped == {"RequestError", "ModelFailed"}


@pytest.mark.parametrize("exc", [ValueError("secret"), KeyError("secret"), PenstockError("secret"), HTTPException(500)])
def test_an_unexpected_exception_tells_nothing_but_the_request_id(exc: Exception) -> None:
    status, _, body = error_response(exc, "r-2")
    assert status == 500
    assert b"secret" not in body
    assert b"r-2" in body
    assert msgspec.json.decode(body)["code"] == "internal_server_error"


def test_what_may_work_later_says_when() -> None:
    assert (b"retry-after", b"1") in error_response(errors.QueueFull(), "r").headers
    assert b"retry-after" not in dict(error_response(errors.ModelFailed(), "r").headers)


@pytest.mark.parametrize(("known", "told"), [("GET", "GET, HEAD"), ("POST", "POST")])
def test_405_lists_the_methods_that_work(known: str, told: str) -> None:
    answer = error_response(HTTPException(405, headers={"Allow": known}), "r")
    assert dict(answer.headers)[b"allow"] == told.encode()
    assert msgspec.json.decode(answer.body)["detail"].endswith(f" It takes {told}.")


@given(
    detail=st.text(max_size=5000),
    request_id=st.text(max_size=500),
    problems=st.lists(st.builds(Problem, st.lists(st.text() | st.integers()).map(tuple), st.text()), max_size=50),
)
def test_a_body_is_small_json_whatever_it_says(detail: str, request_id: str, problems: list[Problem]) -> None:
    body = error_response(InvalidRequest(detail, problems), request_id).body
    assert len(body) < 2048
    assert len(msgspec.json.decode(body)["errors"]) <= 10


def test_a_body_full_of_the_longest_characters_is_small() -> None:
    body = error_response(InvalidRequest("𝕏" * 999, [Problem(("𝕏" * 99,) * 9, "𝕏" * 999)] * 99), "𝕏" * 999).body
    assert len(body) < 2048
