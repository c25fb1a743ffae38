"""The figures of all processes: the fronts' as they report them, and the supervisor's own."""

import platform
from collections.abc import Callable, Collection, Mapping
from typing import Any

import penstock
from penstock.model.certificate import Certificate
from penstock.observability import catalog
from penstock.observability.latency import latency_stats
from penstock.observability.logs import Log
from penstock.observability.metrics import Figures, Metric, Snapshot, merge, retire, without_version
from penstock.observability.processes import ProcessMeter


class Ledger:
    """Adds up what every process counts. What a front counted before it ended stays counted."""

    def __init__(self, log: Log) -> None:
        self._own = Figures()
        self._fronts: dict[int, Snapshot] = {}
        self._retired = self._told = merge([])
        self._meter = ProcessMeter(self._own)
        self._hosts_live = self._own.gauge(catalog.HOSTS_LIVE)
        self._host_restarts = self._own.counter(catalog.HOST_RESTARTS)
        self._front_restarts = self._own.counter(catalog.FRONT_RESTARTS).child()
        self._reloads = self._own.counter(catalog.RELOADS)
        self._administered = self._own.counter(catalog.ADMINISTERED)
        self._breaches = self._own.counter(catalog.GUARD_BREACHES)
        self._model_refusals = self._own.counter(catalog.MODEL_REFUSALS)
        self._model_load = self._own.gauge(catalog.MODEL_LOAD)
        self._model_compiled = self._own.gauge(catalog.MODEL_COMPILED)
        self._model_row = self._own.gauge(catalog.MODEL_ROW)
        self._quota_shared = self._own.counter(catalog.QUOTA_SHARED).child()
        self._own.counter(catalog.LINES_DROPPED).child("supervisor").watch(lambda: log.dropped)
        self._own.gauge(catalog.BUILD).child(penstock.__version__, platform.python_version()).set(1)

    def report(self, front: int, figures: Snapshot) -> None:
        """What front number `front` has counted since it started."""
        self._fronts[front] = figures

    def front_ended(self, front: int) -> None:
        self._retired = merge([self._retired, retire(self._fronts.pop(front, merge([])))])

    def front_restarted(self) -> None:
        self._front_restarts.inc()

    def host_restarted(self, model: str, version: str, reason: str) -> None:
        """`reason` is one of few words: signal, exit, hung, slow_start, refused, spawn."""
        self._host_restarts.child(model, version, reason).inc()

    def reloaded(self, result: str) -> None:
        """What has changed on the disk was read: "taken" or "refused"."""
        self._reloads.child(result).inc()

    def administered(self, model: str, action: str, result: str) -> None:
        """What an administrator ordered was "done" or "refused"."""
        self._administered.child(model, action, result).inc()

    def model_refused(self, model: str, version: str, code: str) -> None:
        self._model_refusals.child(model, version, code).inc()

    def model_loaded(self, model: str, version: str, seconds: float, certificate: Certificate | None = None) -> None:
        """It took so many seconds; `certificate` says whether it runs compiled, where that was asked."""
        self._model_load.child(model, version).set(seconds)
        if certificate is not None:
            self._model_compiled.child(model, version).set(certificate.verdict == "compiled")
            for form, microseconds in (("original", certificate.original_us), ("compiled", certificate.compiled_us)):
                if microseconds is not None:
                    self._model_row.child(model, version, form).set(microseconds / 1e6)

    def model_unloaded(self, model: str, version: str) -> None:
        for gauge in (self._hosts_live, self._model_load, self._model_compiled):
            gauge.forget(model, version)
        for form in ("original", "compiled"):
            self._model_row.forget(model, version, form)

    def forget(self, model: str, version: str) -> None:
        """Nothing more is to be told of a version that is gone."""
        self._own.forget_version(model, version)
        for front, figures in self._fronts.items():
            self._fronts[front] = without_version(figures, catalog.METRICS, model, version)
        self._retired = without_version(self._retired, catalog.METRICS, model, version)
        self._told = without_version(self._told, catalog.METRICS, model, version)

    def hosts_live(self, model: str, version: str, hosts: int) -> None:
        self._hosts_live.child(model, version).set(hosts)

    def quota_buckets(self, count: Callable[[], int]) -> None:
        """How many clients are kept count of is what `count` says."""
        self._own.gauge(catalog.QUOTA_BUCKETS).child().watch(count)

    def quota_shared(self) -> None:
        """An address was counted with others."""
        self._quota_shared.inc()

    def merged(self, processes: Mapping[str, int]) -> Snapshot:
        """All figures; `processes` are the ids, by name, of those whose use of the machine is measured."""
        self._meter.measure(processes)
        return merge([self._retired, *self._fronts.values(), self._own.snapshot()])

    def guard_begun(self, model: str, version: str) -> None:
        """A canary is held to its guard: what counts its breaches is there from the first on, or nobody sees that it
        grows."""
        for limit in catalog.LIMITS:
            self._breaches.child(model, version, limit)

    def guard_breached(self, model: str, version: str, limit: str) -> None:
        """A canary was found worse than its guard allows."""
        self._breaches.child(model, version, limit).inc()

    def counted(self, metrics: Collection[Metric]) -> Snapshot:
        """What the fronts have counted of some metrics alone."""
        names = {metric.name for metric in metrics}
        return merge(_only(names, figures) for figures in (self._retired, *self._fronts.values()))

    def statistics(self) -> dict[str, Any] | None:
        """What requests took since this was last asked; None where there were none."""
        before, self._told = self._told, merge([self._retired, *self._fronts.values()])
        return latency_stats(before, self._told)


def _only(names: Collection[str], figures: Snapshot) -> Snapshot:
    return {
        kind: {name: series for name, series in families.items() if name in names} for kind, families in figures.items()
    }
