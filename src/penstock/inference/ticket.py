"""One request's rows, from admission to answer."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple

from penstock.inference.rows import Rows

NOT_YET = Rows(1, ())
"""A row of which not all is known."""


class Result(NamedTuple):
    """The answer to a request's rows.

    `outputs` holds one list for each field of the signature's output, with one value (or index of a class) a row;
    `confidence` and `probabilities` a float and a list of floats a row, or None. `ranks` says of which classes the
    probabilities are where these are not all of them, in order. The model took `inference_s` for a batch of
    `batch_rows`, which is 0 where not all rows are of one batch: some were kept from before, `cached_rows` of them, or
    computed for another request. Times in seconds.
    """

    outputs: list[list[Any]]
    confidence: list[float] | None
    probabilities: list[list[float]] | None
    queue_s: float
    inference_s: float
    ranks: list[list[int]] | None = None
    batch_rows: int = 1
    cached_rows: int = 0


def throw(fault: Exception) -> None:
    """For a callback of its own, where the event loop tells of a fault that must not cost others their answers."""
    raise fault


class Freshness(Enum):
    """What a client wants of a cache."""

    ANY = "any"
    """What is kept will do."""
    NEW = "new"
    """The model is to be asked; the answer may be kept (`no-cache`)."""
    UNKEPT = "unkept"
    """The model is to be asked, and nothing kept of it (`no-store`)."""


class Ticket:
    """A place in the queue. It is settled once, by an answer or an error; `settled` is then called with it.

    `deadline` and `queued_at` are seconds of the monotonic clock; `expected_s` is how long it was expected to wait for
    its answer when it was queued. A `suspect` waited when a host died, or has rows of those that the host held,
    and goes alone.

    Three are for a cache that has the ticket compute its rows for others, too: their `keys`, the `guests` who wait for
    some of them, and `failed`, which is called instead of `settled` where there is an error. It is not `done` then if
    only who asked has left.
    """

    __slots__ = (
        "deadline", "done", "error", "expected_s", "failed", "freshness", "guests", "high", "keys", "nbytes",
        "probabilities", "queued", "queued_at", "result", "rows", "sent_at", "settled", "suspect",
    )  # fmt: skip
    keys: Sequence[bytes]

    def __init__(
        self,
        rows: Rows,
        settled: "Callable[[Ticket], object]",
        *,
        probabilities: bool = False,
        high: bool = False,
        deadline: float,
        queued_at: float,
    ) -> None:
        self.rows = rows
        self.nbytes = rows.nbytes
        self.settled = settled
        self.probabilities = probabilities
        self.high = high
        self.freshness = Freshness.ANY
        self.suspect = False
        self.expected_s = 0.0
        self.deadline = deadline
        self.queued = False
        self.queued_at = queued_at
        self.sent_at = queued_at
        self.done = False
        self.result: Result | None = None
        self.error: Exception | None = None
        self.failed: Callable[[Ticket], object] | None = None
        self.guests: dict[Any, Any] | None = None

    def fill(self, rows: Rows) -> None:
        """The rows, where they were not known when the ticket was made."""
        self.rows = rows
        self.nbytes = rows.nbytes

    def answer(self, result: Result) -> None:
        if not self.done:
            self.done = True
            self.result = result
            self.settled(self)

    def leave(self, error: Exception) -> None:
        """As `fail`, while a host computes it: what is of use to others goes on, and only who asked is told."""
        if self.failed is None:
            self.fail(error)
        elif not self.done and self.error is None:
            self.error = error
            self.failed(self)

    def fail(self, error: Exception) -> None:
        if not self.done:
            self.done = True
            self.error = error
            (self.failed or self.settled)(self)
