"""What is told of batches, for the figures."""

from collections.abc import Mapping
from typing import Protocol


class Meter(Protocol):
    """What hears of batches."""

    def batch(self, rows: int, seconds: float, raw: Mapping[str, memoryview], /) -> None:
        """One was answered: its rows, the model's seconds, and the raw outputs by name."""

    def busy(self, seconds: float, /) -> None:
        """The model worked for so long, whatever came of it."""

    def waited(self, expected_s: float, waited_s: float, /) -> None:
        """How long the first request of a batch was expected to wait for its answer, and how long it did."""

    def split(self) -> None:
        """A batch failed and is tried again in halves."""

    def left(self, reason: str, /) -> None:
        """A request left the queue and was never computed: it "expired", was "cancelled" or "gave_way"."""
