"""The one map from exceptions to HTTP statuses, and the body that tells a client what went wrong.

    {"detail": sentence, "code": slug, "request_id": id, "errors": [{"loc": [...], "msg": sentence}]}

`errors` comes with 422 alone. A body stays under 2 KB whatever the request held, and repeats nothing of it but the
name of a key or a parameter that is unknown, if it is `repeatable`.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from penstock.errors import (
    AdminOff,
    BodyTooLarge,
    ClientGone,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    HeadersTooLarge,
    InvalidRequest,
    MalformedRequest,
    ModelFailed,
    NoContext,
    PenstockError,
    PredictTimeout,
    Problem,
    QuotaExceeded,
    SlowRequest,
    Unauthorized,
    Unavailable,
    UnknownModel,
    UnknownVersion,
    UnsupportedMediaType,
)
from penstock.interface.scope import CODES

STATUS: Mapping[type[PenstockError], int] = {
    MalformedRequest: 400,
    Unauthorized: 401,
    AdminOff: 403,
    Forbidden: 403,
    UnknownModel: 404,
    UnknownVersion: 404,
    NoContext: 404,
    SlowRequest: 408,
    Conflict: 409,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    InvalidRequest: 422,
    QuotaExceeded: 429,
    HeadersTooLarge: 431,
    ClientGone: 499,  # for the log; nobody is there to read it
    ModelFailed: 500,
    Unavailable: 503,
    DeadlineExceeded: 504,
    PredictTimeout: 504,
}
"""A class stands for those below it that are not named themselves; what is not below any of these is a 500."""

SENTENCES = {
    404: "There is nothing at this path; /docs lists what there is.",
    405: "This path does not take that method.",
    500: "The server failed on this request; its log has the reason under the request id.",
}

LARGEST_BODY = 2000
MOST_PROBLEMS = 10
LONGEST_NAME = 40
REQUEST_ID = "penstock.request_id"
"""Where the envelope leaves the request's id in the ASGI scope."""

Headers = list[tuple[bytes, bytes]]


class ErrorResponse(NamedTuple):
    """An answer ready for ASGI. The headers lack X-Request-ID, which the envelope adds to every answer."""

    status: int
    headers: Headers
    body: bytes


def status_of(exc: BaseException) -> int:
    """The HTTP status of `exc`; 500 for whatever was not raised on purpose."""
    if isinstance(exc, HTTPException):
        return exc.status_code
    if isinstance(exc, RequestValidationError):
        return 422
    return _mapped(exc) or 500


def code_of(exc: BaseException) -> str:
    """A stable slug for programs: the class's own, or the status's name for what the framework raises."""
    if isinstance(exc, RequestValidationError):
        return InvalidRequest.code
    return exc.code if isinstance(exc, PenstockError) and _mapped(exc) else slug(status_of(exc))


def sentence_of(exc: BaseException) -> str:
    """What a person is told; of an unexpected exception nothing but where to look."""
    if isinstance(exc, HTTPException):
        takes = f" It takes {_allowed(exc)}." if exc.status_code == 405 else ""
        return SENTENCES.get(exc.status_code, exc.detail) + takes
    if isinstance(exc, RequestValidationError):
        return str(InvalidRequest())
    return str(exc) if is_foreseen(exc) else SENTENCES[500]


def is_foreseen(exc: BaseException) -> bool:
    """Whether it was raised on purpose, to be answered."""
    return isinstance(exc, HTTPException | RequestValidationError) or _mapped(exc) is not None


def slug(status: int) -> str:
    """What a status is called in `code` where no class of ours names it: 405 is "method_not_allowed"."""
    return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")


def error_response(exc: BaseException, request_id: str) -> ErrorResponse:
    """The answer to a request that ended in `exc`. Of an unexpected exception it tells nothing but the request id."""
    if isinstance(exc, Unavailable | QuotaExceeded):
        return _refusal(exc, request_id)
    status = status_of(exc)
    body = error_body(sentence_of(exc), code_of(exc), request_id, _problems(exc))
    return ErrorResponse(status, [*_headers(exc), *_entity_headers(len(body))], body)


def _refusal(exc: Unavailable | QuotaExceeded, request_id: str) -> ErrorResponse:
    """The same in a fraction of the time: these are answered by the thousand when there is least time for it."""
    before, after, headers = _refusal_parts(exc.code, str(exc), exc.retry_after, len(request_id))
    return ErrorResponse(status_of(exc), list(headers), before + request_id.encode("ascii") + after)


@lru_cache(1024)
def _refusal_parts(code: str, detail: str, retry_after: int, length: int) -> tuple[bytes, bytes, Headers]:
    """What stands in the body before the request's id, which is so long, and after it; and the headers."""
    before, _, after = error_body(detail, code, "ID").rpartition(b"ID")
    size = len(before) + length + len(after)
    return before, after, [_retry_after(retry_after), *_entity_headers(size)]


def error_body(detail: str, code: str, request_id: str, problems: Sequence[Problem] | None = None) -> bytes:
    """The JSON body, under 2 KB: sentences are clipped and, if that is not enough, the last problems left out."""
    body: dict[str, Any] = {"detail": clip(detail, 300), "code": code, "request_id": clip(request_id, 128)}
    if problems is not None:
        body["errors"] = errors = [_entry(problem) for problem in problems[:MOST_PROBLEMS]]
        while errors and len(msgspec.json.encode(body)) > LARGEST_BODY:
            errors.pop()
    return msgspec.json.encode(body)


def clip(text: str, most: int) -> str:
    """`text` with nothing unprintable in it, and at most `most` characters long."""
    clean = "".join([c if c.isprintable() else "?" for c in text[: most + 1]])
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def repeatable(name: str) -> bool:
    """Whether an answer may call by its name what a client made up: a few printable characters, and not only blanks."""
    return len(name) <= LONGEST_NAME and name.isprintable() and bool(name.strip())


def install(app: FastAPI) -> None:
    """Makes the application answer every exception with this module's bodies."""
    for kind in (PenstockError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _handle)


def request_id(scope: Scope) -> str:
    """The id that the envelope gave this request, or "" outside of one."""
    return str(scope.get(REQUEST_ID, ""))


async def _handle(request: Request, exc: Exception) -> Response:
    request.scope.get(CODES, []).append(code_of(exc))
    status, headers, body = error_response(exc, request_id(request.scope))
    response = Response(body, status)
    response.raw_headers = headers
    return response


def _mapped(exc: BaseException) -> int | None:
    kind: Any = type(exc)  # which is hashable, although mypy doubts it
    return _status_of_kind(kind)


@lru_cache(256)
def _status_of_kind(kind: type[BaseException]) -> int | None:
    return next((STATUS[base] for base in kind.__mro__ if base in STATUS), None)


def _problems(exc: BaseException) -> Sequence[Problem] | None:
    if isinstance(exc, InvalidRequest):
        return exc.problems
    if isinstance(exc, RequestValidationError):  # `msg` never holds the value; `input` and `ctx` may
        return [Problem(tuple(error["loc"]), str(error["msg"])) for error in exc.errors()]
    return None


def _entry(problem: Problem) -> dict[str, Any]:
    loc = [clip(step, 60) if isinstance(step, str) else step for step in problem.loc[:8]]
    return {"loc": loc, "msg": clip(problem.msg, 160)}


def _headers(exc: BaseException) -> Iterable[tuple[bytes, bytes]]:
    if isinstance(exc, Unauthorized):
        yield b"www-authenticate", b"Bearer"
    if isinstance(exc, HTTPException) and exc.status_code == 405:
        yield b"allow", _allowed(exc).encode("latin-1")


def _allowed(exc: HTTPException) -> str:
    """The methods that a path takes, as the Allow header lists them; HEAD is answered wherever GET is."""
    methods = {method.strip() for method in (exc.headers or {}).get("Allow", "").split(",")} - {""}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _retry_after(seconds: int) -> tuple[bytes, bytes]:
    return b"retry-after", b"%d" % seconds


def _entity_headers(size: int) -> Headers:
    return [(b"content-type", b"application/json"), (b"content-length", b"%d" % size)]
