"""What is counted of each request: one call when its answer is out."""

from penstock.observability import catalog
from penstock.observability.metrics import OTHER, Counter, Figures, Metric

MOST_FEATURES = 100  # of one meter; the rest are counted together


class RequestMeter:
    """Counts the requests that one route answers: of one model version, or without any.

    `route` is a template, such as "/models/{name}/predict". Model and version stay empty for routes that need none,
    and for requests that name one that is not there.
    """

    def __init__(self, figures: Figures, route: str, model: str = "", version: str = "") -> None:
        self._figures = figures
        self._labels = (route, model, version)
        self._latency = figures.histogram(catalog.LATENCY).child(*self._labels)
        self._statuses: dict[int, Counter] = {}
        self._codes: dict[str, Counter] = {}

    def answered(self, status: int, latency_s: float) -> None:
        """The answer is out, `latency_s` seconds after the request arrived."""
        if status not in self._statuses:
            self._statuses[status] = self._figures.counter(catalog.REQUESTS).child(*self._labels, status)
        self._statuses[status].value += 1
        self._latency.observe(latency_s)

    def failed(self, status: int, latency_s: float, code: str) -> None:
        """As `answered`, with an error of this code."""
        self.answered(status, latency_s)
        if code not in self._codes:
            self._codes[code] = self._figures.counter(catalog.ERRORS).child(*self._labels, code)
        self._codes[code].value += 1


class PredictionMeter(RequestMeter):
    """Counts the predictions that one route makes with one model version."""

    def __init__(self, figures: Figures, route: str, model: str, version: str) -> None:
        super().__init__(figures, route, model, version)
        stages = figures.histogram(catalog.STAGES)
        self._ok = figures.counter(catalog.REQUESTS).child(*self._labels, 200)
        self._decode, self._queue, self._inference, self._encode = (
            stages.child(model, version, stage) for stage in ("decode", "queue", "inference", "encode")
        )
        self._features: dict[tuple[str, str], Counter] = {}
        self._stored: dict[tuple[str, ...], Counter] = {}

    def predicted(
        self,
        latency_s: float,
        queue_s: float,
        inference_s: float,
        decode_s: float | None = None,
        encode_s: float | None = None,
    ) -> None:
        """A request was answered with 200, and where its time went, as far as that is known."""
        self._ok.value += 1
        self._latency.observe(latency_s)
        self._queue.observe(queue_s)
        self._inference.observe(inference_s)
        if decode_s is not None:
            self._decode.observe(decode_s)
        if encode_s is not None:
            self._encode.observe(encode_s)

    def completed(self, seconds: float) -> None:
        """An answered request had waited so long for its stores."""
        self._figures.histogram(catalog.STAGES).child(*self._labels[1:], "context").observe(seconds)

    def looked_up(self, store: str, result: str, n: int) -> None:
        """Of `n` features that were looked up, this was the result."""
        self._store(catalog.CONTEXT_VALUES, store, result).value += n

    def defaulted(self, store: str, n: int) -> None:
        """For `n` features the default was taken."""
        self._store(catalog.CONTEXT_DEFAULTS, store).value += n

    def _store(self, metric: Metric, store: str, *result: str) -> Counter:
        counter = self._stored.get((store, *result))
        if counter is None:
            counter = self._figures.counter(metric).child(*self._labels[1:], store, *result)
            self._stored[store, *result] = counter
        return counter

    def missing(self, feature: str, n: int) -> None:
        """`n` values of `feature` were null."""
        self._feature(catalog.MISSING, feature, n)

    def out_of_range(self, feature: str, n: int) -> None:
        """`n` values of `feature` were outside its range."""
        self._feature(catalog.OUT_OF_RANGE, feature, n)

    def unknown(self, feature: str, n: int) -> None:
        """`n` values of `feature` were of no known category."""
        self._feature(catalog.UNKNOWN, feature, n)

    def _feature(self, metric: Metric, feature: str, n: int) -> None:
        counter = self._features.get((metric.name, feature))
        if counter is None:
            label = feature if len(self._features) < MOST_FEATURES else OTHER
            counter = self._figures.counter(metric).child(*self._labels[1:], label)
            self._features[metric.name, feature] = counter
        counter.value += n
