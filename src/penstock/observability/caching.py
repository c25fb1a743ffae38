"""What is counted of the answers that are kept for one model version."""

from collections.abc import Callable

from penstock.observability import catalog
from penstock.observability.metrics import Figures, Number


class CacheMeter:
    """Rows that were kept (`hits`), that the model has answered, whoever still waited (`misses`), that are the same as
    one of those or as one that was being computed (`shared`), and those of clients that wanted no answer which is kept
    (`bypassed`).

    `evictions` went before their time for want of room. What a store of several machines held was `rejected` where it
    was no answer of this model, and `failures` counts requests for which it could not be asked. Answers were not given
    to it where it was `away` or `behind`, or they were too `large`.
    """

    def __init__(self, figures: Figures, model: str, version: str) -> None:
        rows = figures.counter(catalog.CACHE_ROWS)
        self.hits, self.misses, self.shared, self.bypassed = (
            rows.child(model, version, result) for result in catalog.CACHE_RESULTS
        )
        self.evictions = figures.counter(catalog.CACHE_EVICTIONS).child(model, version)
        self.rejected = figures.counter(catalog.CACHE_REJECTED).child(model, version)
        self.failures = figures.counter(catalog.CACHE_FAILURES).child(model, version)
        unkept = figures.counter(catalog.CACHE_UNKEPT)
        self.away, self.behind, self.large = (
            unkept.child(model, version, reason) for reason in catalog.CACHE_UNKEPT_REASONS
        )
        self._on = figures.gauge(catalog.CACHE_LIVE)
        self._saved = figures.counter(catalog.CACHE_SAVED).child(model, version)
        self._held = [figures.gauge(metric) for metric in (catalog.CACHE_HELD_ROWS, catalog.CACHE_HELD_BYTES)]
        self._labels = (model, version)
        self.switched(on=True)

    @property
    def looked_up(self) -> Number:
        """Rows that were looked up and answered."""
        return self.hits.value + self.misses.value + self.shared.value

    @property
    def spared(self) -> Number:
        """Rows that the model was not asked for."""
        return self.hits.value + self.shared.value

    def switched(self, *, on: bool) -> None:
        """Answers are kept from now on, or are not."""
        self._on.child(*self._labels).set(int(on))

    def watch(self, saved_s: Callable[[], float], *held: Callable[[], int]) -> None:
        """Where the seconds that were saved are to be read, and the rows and bytes that are held."""
        before = self._saved.numbers()[0]
        self._saved.watch(lambda: before + saved_s())
        for gauge, read in zip(self._held, held, strict=False):
            gauge.child(*self._labels).watch(read)

    def close(self) -> None:
        """Nothing is held any more."""
        saved = self._saved.numbers()[0]
        self._saved.watch(lambda: saved)
        for gauge in (self._on, *self._held):
            gauge.forget(*self._labels)
