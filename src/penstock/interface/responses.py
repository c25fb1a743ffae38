"""The OpenAPI components that every operation shares: parameters, headers, and the answer of each status."""

from collections.abc import Iterable
from typing import Any

from penstock.interface.errors import MOST_PROBLEMS

Schema = dict[str, Any]

ERROR: Schema = {
    "type": "object",
    "title": "Error",
    "properties": {
        "detail": {"type": "string", "description": "What is wrong, and what to do about it."},
        "code": {"type": "string", "description": "The same for programs."},
        "request_id": {"type": "string", "description": "Find the request in the log by this."},
    },
    "required": ["detail", "code", "request_id"],
}
PROBLEMS: Schema = {
    "type": "array",
    "maxItems": MOST_PROBLEMS,
    "items": {
        "type": "object",
        "properties": {
            "loc": {"type": "array", "items": {"type": ["string", "integer"]}, "description": "Where it is."},
            "msg": {"type": "string", "description": "What to send there."},
        },
        "required": ["loc", "msg"],
    },
}
INVALID: Schema = {
    **ERROR,
    "title": "InvalidRequest",
    "properties": {**ERROR["properties"], "errors": PROBLEMS},
    "required": [*ERROR["required"], "errors"],
}

RESPONSES: dict[int, tuple[str, str, str, str]] = {
    400: ("BadRequest", "Not JSON, the wrong number of features, or a number that is not finite.",
          "wrong_feature_count", "Send 4 values at features; these are 3."),
    404: ("NotFound", "No such model, version or path.",
          "unknown_version", "That version of iris is not loaded. Versions: 1."),
    405: ("MethodNotAllowed", "The path does not take this method; Allow lists those that it takes.",
          "method_not_allowed", "This path does not take that method. It takes POST."),
    408: ("SlowRequest", "The request did not arrive in time.",
          "slow_request", "The request did not arrive in time."),
    413: ("BodyTooLarge", "The body is larger than this server takes.",
          "body_too_large", "The body is larger than this server takes."),
    415: ("UnsupportedMediaType", "The body is not declared to be application/json.",
          "unsupported_media_type", "Send the body as JSON, with the header Content-Type: application/json."),
    422: ("UnprocessableContent", "JSON of the wrong shape or types, or a query parameter that is not known.",
          "invalid_request", "At features[2]: Send a number, not a string."),
    429: ("TooManyRequests", "The client's quota is used up; Retry-After says when there is enough for this request.",
          "quota_exceeded", "This client's quota of 100 requests a second is used up; try again in 0.4 seconds."),
    431: ("HeadersTooLarge", "The request line and headers are larger than this server takes.",
          "headers_too_large", "The request line and headers are larger than this server takes."),
    500: ("ModelFailed", "The model failed on this request; the log says why.",
          "model_failed", "The model failed on this request."),
    503: ("Unavailable", "Not ready, too busy, or draining; Retry-After says when to try again.",
          "queue_full", "The model's queue is full."),
    504: ("OutOfTime", "The request's deadline passed before the model could answer.",
          "deadline_exceeded", "The request's deadline passed before the model could answer."),
}  # fmt: skip
"""For each status a name, a description, and a code and a sentence for the example."""

ALWAYS = (405, 408, 431)
"""What any path may answer, before it is even looked at."""

HEADERS: dict[str, Schema] = {
    "X-Request-ID": {"description": "The request's id, as sent or made here.", "schema": {"type": "string"}},
    "Server-Timing": {"description": "Milliseconds in the queue and in the model.", "schema": {"type": "string"}},
    "X-Cache": {
        "description": "Where answers are kept: whether all rows of this one were, or the client wanted none of them.",
        "schema": {"type": "string", "enum": ["hit", "miss", "bypass"]},
    },
    "X-Cache-Rows": {
        "description": "Where answers are kept: how many rows of the batch were, as 3/10.",
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}},
    "RateLimit-Policy": {
        "description": "Where the client has quotas: how much in how many seconds.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "Of these, what is left, and the seconds until more comes.",
        "schema": {"type": "string"},
    },
    "Allow": {"description": "The methods that the path takes.", "schema": {"type": "string"}},
}
QUOTA_HEADERS = ("RateLimit-Policy", "RateLimit")
OWN_HEADERS = {405: ("Allow",), 429: ("Retry-After", *QUOTA_HEADERS), 503: ("Retry-After",)}

PARAMETERS: dict[str, Schema] = {
    "Probabilities": {
        "name": "probabilities",
        "in": "query",
        "description": "Whether to answer the probability of each of `classes` in GET /models/{name} as well, "
        "or of the likeliest `top_k` where the model has that.",
        "schema": {"type": "boolean", "default": False},
    },
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "An id of yours for the logs: at most 128 letters, digits and ._:+/=@-. Others are replaced.",
        "schema": {"type": "string"},
    },
    "Timeout": {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "description": "Milliseconds that the answer may take. After that it is a 504 and the model is not asked.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    },
    "Priority": {
        "name": "X-Priority",
        "in": "header",
        "description": "Requests of high priority go first, and others are refused before them.",
        "schema": {"type": "string", "enum": ["high", "low"], "default": "low"},
    },
    "Freshness": {
        "name": "Cache-Control",
        "in": "header",
        "description": "no-cache has the model asked, whatever is kept; no-store also has nothing kept of the answer.",
        "schema": {"type": "string"},
    },
}


def components() -> dict[str, dict[str, Schema]]:
    return {
        "schemas": {"Error": ERROR, "InvalidRequest": INVALID},
        "headers": {name: dict(header) for name, header in HEADERS.items()},
        "parameters": {name: dict(parameter) for name, parameter in PARAMETERS.items()},
        "responses": {name: _response(status) for status, (name, *_) in RESPONSES.items()},
    }


def errors(*statuses: int) -> dict[str, Schema]:
    """The answers of these statuses, for an operation's `responses`."""
    return {str(status): {"$ref": f"#/components/responses/{RESPONSES[status][0]}"} for status in sorted(statuses)}


def parameter(name: str) -> Schema:
    return {"$ref": f"#/components/parameters/{name}"}


def headers(*names: str) -> dict[str, Schema]:
    """These headers and the request's id, for an answer's `headers`."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *names)}


def success(description: str, schema: Schema, *, also: Iterable[str] = (), example: Any = None) -> Schema:
    """An answer of JSON."""
    content: Schema = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"description": description, "headers": headers(*also), "content": {"application/json": content}}


def _response(status: int) -> Schema:
    _, description, code, detail = RESPONSES[status]
    example: dict[str, Any] = {"detail": detail, "code": code, "request_id": "checkout-7f3a"}
    if status == 422:
        example["errors"] = [{"loc": ["features", 2], "msg": "Send a number, not a string."}]
    schema = {"$ref": f"#/components/schemas/{'InvalidRequest' if status == 422 else 'Error'}"}
    return success(description, schema, also=OWN_HEADERS.get(status, ()), example=example)
