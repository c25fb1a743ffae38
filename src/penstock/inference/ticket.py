"""One request's rows, from admission to answer."""

from asyncio import Future
from typing import Any, NamedTuple

from penstock.errors import RequestError
from penstock.inference.rows import Rows


class Result(NamedTuple):
    """The answer to a request's rows.

    `outputs` holds one list for each field of the signature's output, with one value (or index of a class) a row;
    `confidence` and `probabilities` a float and a list of floats a row, or None. Times in seconds.
    """

    outputs: list[list[Any]]
    confidence: list[float] | None
    probabilities: list[list[float]] | None
    queue_s: float
    inference_s: float


class Ticket:
    """A place in the queue. Whoever waits, waits for `future`; whoever settles it first wins."""

    __slots__ = ("deadline", "future", "nbytes", "probabilities", "queued", "queued_at", "rows", "sent_at")

    def __init__(
        self, rows: Rows, *, probabilities: bool, deadline: float, queued_at: float, future: "Future[Result]"
    ) -> None:
        self.rows = rows
        self.nbytes = rows.nbytes
        self.probabilities = probabilities
        self.deadline = deadline
        self.queued = False
        self.queued_at = queued_at
        self.sent_at = queued_at
        self.future = future

    @property
    def settled(self) -> bool:
        return self.future.done()

    def fail(self, error: RequestError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def answer(self, result: Result) -> None:
        if not self.future.done():
            self.future.set_result(result)
