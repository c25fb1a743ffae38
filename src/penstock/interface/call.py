"""One HTTP request on its way through the lane."""

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from itertools import count
from typing import Any

from penstock.config import Limits
from penstock.errors import (
    BadDeadline,
    BadPriority,
    BodyTooLarge,
    ClientGone,
    UnsupportedMediaType,
)
from penstock.inference.checks import Findings
from penstock.inference.rows import Rows
from penstock.inference.served import ServedVersion
from penstock.inference.ticket import Freshness, Result
from penstock.interface.access import Shown
from penstock.interface.claim import Claim
from penstock.interface.client_quota import ClientQuota
from penstock.interface.completed import Completed
from penstock.interface.query import NO_QUERY, Query, read
from penstock.interface.scope import ARRIVED, FIELDS, REFUSED, clock
from penstock.model.key import Key

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
PRIORITIES = (None, b"low", b"high")
LONGEST_DEADLINE_MS = 86_400_000.0
MILLISECONDS = re.compile(rb"\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,3})?")
SANE_ID = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")

_process = os.urandom(8).hex()
_numbers = count(1)


def request_id(given: bytes | None) -> str:
    """The client's own id if it is sane, else a new one, unique across processes and restarts."""
    if given is not None and SANE_ID.fullmatch(given):
        return given.decode("ascii")
    return f"{_process}{next(_numbers):08x}"


@lru_cache(1024)
def _milliseconds(text: bytes) -> float:
    """What a client means by a header that most of its requests have; 0 for what is no time."""
    return min(float(text), LONGEST_DEADLINE_MS) if MILLISECONDS.fullmatch(text) else 0.0


def too_large(limits: Limits) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than the {limits.body} bytes that this server takes.")


class Call:
    """A request and what became of it.

    First its scope, what its connection has shown before, its headers by lower-case name, its id and when it arrived
    (time.perf_counter); then, as they come to be known, whose key it has, its client's quota and what it waits for
    because of that, the version that serves it, what stores completed it with, its rows and what they weigh, and the
    error or the result. The log and the figures read all of this when the answer is out.
    """

    __slots__ = (
        "arrived", "claim", "completed", "decode_s", "encode_s", "error", "findings", "headers", "key", "model",
        "nbytes", "prediction", "query", "queue_s", "quota", "request_id", "result", "rows", "scope", "served",
        "shown",
    )  # fmt: skip

    def __init__(self, scope: Scope, shown: Shown | None = None) -> None:
        self.scope = scope
        self.shown = shown
        self.headers: dict[bytes, bytes] = scope.get(FIELDS) or dict(scope["headers"])
        self.request_id = request_id(self.headers.get(b"x-request-id"))
        arrived = scope.get(ARRIVED)
        self.arrived: float = clock() if arrived is None else arrived
        self.key: Key | None = None
        self.quota: ClientQuota | None = None
        self.claim: Claim | None = None
        self.query = NO_QUERY
        self.model = ""
        self.served: ServedVersion | None = None
        self.rows: Rows | None = None
        self.nbytes = 0
        self.decode_s = 0.0
        self.encode_s = 0.0
        self.queue_s = 0.0
        self.completed: Completed | None = None
        self.findings: Findings | None = None
        self.result: Result | None = None
        self.prediction: Any = None
        self.error: BaseException | None = None

    def elapsed(self) -> float:
        """Seconds since the request arrived."""
        return clock() - self.arrived

    def require_json(self) -> None:
        """Raises UnsupportedMediaType for a body that is not declared to be plain JSON in UTF-8."""
        declared = self.headers.get(b"content-type")
        if declared != JSON:
            media, _, parameters = (declared or b"").lower().partition(b";")
            charset = parameters.strip().replace(b'"', b"")
            if media.strip() != JSON or charset not in (b"", b"charset=utf-8"):
                raise UnsupportedMediaType
        if self.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise UnsupportedMediaType("Send the body without a content encoding.")

    def require_length(self, limits: Limits) -> None:
        """Raises BodyTooLarge where the header already says so."""
        if int(self.headers.get(b"content-length", b"0")) > limits.body:
            raise too_large(limits)

    async def body(self, receive: Receive, limits: Limits) -> bytes:
        """The whole body. Raises BodyTooLarge, ClientGone, and the protocol's own refusal of the rest."""
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if (refused := self.scope.get(REFUSED)) is not None:
                raise refused
            parts.append(message["body"])
            size += len(parts[-1])
            if size > limits.body:
                raise too_large(limits)
            more = message.get("more_body", False)
        return b"".join(parts)

    def deadline_s(self) -> float | None:
        """What the client leaves for the answer, in seconds from now, or None. Raises BadDeadline."""
        text = self.headers.get(b"x-request-timeout-ms")
        if text is None:
            return None
        given = _milliseconds(text)
        if not given:
            raise BadDeadline
        return given / 1000 - self.elapsed()

    def is_high(self, *, by_key: bool) -> bool:
        """Whether it goes before others: because its key does, or, where that is not asked, because the client says so
        and its key is none of low priority. Raises BadPriority."""
        key = self.key
        if by_key:
            return key is not None and key.priority == "high"
        said = self.headers.get(b"x-priority")
        if said not in PRIORITIES:
            raise BadPriority
        return said == b"high" and (key is None or key.priority != "low")

    def freshness(self) -> Freshness:
        """Whether the client takes an answer that was kept, and lets its own be kept."""
        said = b",".join([value for name, value in self.scope["headers"] if name == b"cache-control"])  # of all lines
        directives = [directive.strip() for directive in said.lower().split(b",")]
        if b"no-store" in directives:
            return Freshness.UNKEPT
        return Freshness.NEW if b"no-cache" in directives else Freshness.ANY

    def read_query(self) -> Query:
        """The query string. Raises InvalidRequest for what cannot be meant."""
        return read(self.scope["query_string"], self.headers.get(b"x-model-version"))
