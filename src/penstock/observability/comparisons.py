"""What is counted of versions that are tried beside the one that has the traffic."""

from collections.abc import Mapping
from math import inf
from typing import Protocol

from penstock.observability import catalog
from penstock.observability.metrics import OTHER, Counter, Figures

NOTICEABLE_S = 0.001
"""A host that was idle is slower by less than that, and nobody notices."""
MOST_FLIPS = 100  # pairs of labels of one meter; the rest are counted together


class Difference(Protocol):
    """What came of some rows; see `inference.comparison`."""

    @property
    def rows(self) -> int: ...

    @property
    def agreed(self) -> int: ...

    @property
    def firsts(self) -> list[bool]: ...

    @property
    def flips(self) -> Mapping[tuple[object, object], int]: ...

    @property
    def largest(self) -> float: ...

    def values(self) -> bytes:
        """The differences between numbers, as native float64s."""


class ComparisonMeter:
    """Counts what a version of a model answers to the rows that the one it is compared `against` has answered. It may
    take `ratio` times as long."""

    def __init__(self, figures: Figures, model: str, version: str, against: str, ratio: float = 1.0) -> None:
        labels = (model, version, against)
        rows, requests = figures.counter(catalog.COMPARED_ROWS), figures.counter(catalog.COMPARED_REQUESTS)
        seconds = figures.counter(catalog.COMPARED_SECONDS)
        self._rows = {outcome: rows.child(*labels, outcome) for outcome in catalog.OUTCOMES}
        self._agreed, self._differed = (requests.child(*labels, outcome) for outcome in ("agreed", "differed"))
        batches = figures.counter(catalog.COMPARED_BATCHES)
        self._slower, self._in_time = (batches.child(*labels, result) for result in ("slower", "in_time"))
        self._ratio = ratio
        self._of_this, self._of_against = (seconds.child(*labels, of) for of in ("this", "against"))
        self._apart = figures.histogram(catalog.ANSWER_DIFFERENCE).child(*labels)
        self._largest = figures.maximum(catalog.LARGEST_DIFFERENCE).child(*labels)
        self._flips = figures.counter(catalog.LABEL_FLIPS)
        self._pairs: dict[tuple[object, object], Counter] = {}
        self._labels = labels

    def compared(self, difference: Difference) -> None:
        """Some rows were answered by both."""
        agreed = sum(difference.firsts)
        self._rows["agreed"].value += difference.agreed
        self._rows["differed"].value += difference.rows - difference.agreed
        self._agreed.value += agreed
        self._differed.value += len(difference.firsts) - agreed
        self._apart.observe_many(difference.values())
        self._largest.observe(difference.largest)
        for pair, n in difference.flips.items():
            self._flip(pair).value += n

    def timed(self, seconds: float, against_s: float) -> None:
        """What a batch took, and one of as many rows the other version."""
        is_slower = seconds > self._ratio * against_s + NOTICEABLE_S
        (self._slower if is_slower else self._in_time).value += 1
        self._of_this.value += seconds
        self._of_against.value += against_s

    def missed(self, result: str, rows: int) -> None:
        """Some rows were not compared."""
        self._rows[result].value += rows

    def _flip(self, pair: tuple[object, object]) -> Counter:
        if pair not in self._pairs:
            if len(self._pairs) >= MOST_FLIPS:
                return self._flips.child(*self._labels, OTHER, OTHER)
            self._pairs[pair] = self._flips.child(*self._labels, *pair)
        return self._pairs[pair]


class TrialMeter:
    """Counts one arm of a canary's trial: the requests that it got, or those that the default version got meanwhile."""

    def __init__(self, figures: Figures, model: str, version: str, arm: str) -> None:
        requests = figures.counter(catalog.TRIAL_REQUESTS)
        self._ok, self._failed, self._refused, self._gone = (
            requests.child(model, version, arm, result) for result in catalog.RESULTS
        )
        self._latency = figures.histogram(catalog.TRIAL_DURATION).child(model, version, arm)
        self._is_tried = arm == "canary"

    def answered(self, status: int, latency_s: float, *, in_batch: bool = True) -> None:
        """A request was answered, or nobody waited for the answer any more.

        One of which not all rows went to the model in a batch says nothing of how long that takes: the version that has
        been there for longer has more answers to keep.

        Of an answer that never came it is known that it would have taken longer still: what favours the canary is
        taken for true, so that it is not sent away for what is not known.
        """
        if status == 200:
            self._ok.value += 1
            if in_batch:
                self._latency.observe(latency_s)
        elif status == 422:
            self._refused.value += 1
        elif status >= 499:
            (self._gone if status == 499 else self._failed).value += 1
            self._latency.observe(latency_s if self._is_tried else inf)
