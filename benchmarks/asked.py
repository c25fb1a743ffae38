"""What is asked of a server under overload: the requests as bytes, and what is a right answer to each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from connections import HEAD_END
from subjects import Subject

ECHOED = 20_000  # ids: more than can be under way at once, so that no two requests under way are the same
SLEEPER = Path(__file__).with_name("sleeper") / "predictor.py"
RETRY_AFTER = b"\r\nretry-after: "
RIGHT = "200"
WRONG = "wrong"
NONE = "unanswered"


def sleeper() -> Subject:
    """The model of 20 ms a batch. Own code has one form."""
    ids = list(range(ECHOED))
    return Subject("sleeper", SLEEPER, SLEEPER, [[i] for i in ids], ids, [None] * ECHOED)


class Asked(NamedTuple):
    """Requests of one row each, all with the same deadline; they are sent in turn."""

    subject: Subject
    deadline_s: float
    requests: Sequence[bytes]

    @classmethod
    def of(cls, subject: Subject, deadline_ms: int) -> "Asked":
        return cls(subject, deadline_ms / 1000, [request(row, deadline_ms) for row in subject.rows])

    def outcome(self, arrival: int, answer: bytes) -> str:
        """What came of it: `200`, a refusal as `503 queue_full`, `wrong` or `unanswered`.

        Wrong are an answer of another row, and a 503 that does not say when to come again.
        """
        if not answer:
            return NONE
        head, _, body = answer.partition(HEAD_END)
        status = int(head[9:12])
        if status == 200:
            document = json.loads(body)
            row = arrival % len(self.requests)
            return RIGHT if self.subject.is_right(row, document["prediction"], document["confidence"]) else WRONG
        if status == 503 and RETRY_AFTER not in head:
            return WRONG
        code = body.partition(b'"code":"')[2].partition(b'"')[0]
        return f"{status} {code.decode()}"


def request(row: Sequence[float], deadline_ms: int) -> bytes:
    body = json.dumps({"features": row}, separators=(",", ":")).encode()
    head = (
        "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-Request-Timeout-Ms: {deadline_ms}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
