"""Makes the cache of a model version, where its settings ask for one."""

from functools import partial

from penstock.config import Model
from penstock.inference.alarm import Timer
from penstock.inference.batcher import Batcher
from penstock.inference.cache import Cache, Soon
from penstock.inference.redis import Redis
from penstock.inference.row_answers import row_weigher
from penstock.inference.row_format import RowFormat
from penstock.inference.row_keys import RowKeys
from penstock.inference.row_store import RowStore
from penstock.inference.shared_store import SharedStore, identity
from penstock.inference.worth import Judge, Worth
from penstock.model.control import Loaded
from penstock.observability.caching import CacheMeter
from penstock.observability.logs import Log
from penstock.observability.metrics import Figures


class Caches:
    """What the caches of one front have in common."""

    def __init__(self, figures: Figures, log: Log, timer: Timer, soon: Soon, redis: Redis | None = None) -> None:
        self._figures = figures
        self._log = log
        self._timer = timer
        self._soon = soon
        self._redis = redis

    def of(self, model: str, version: str, loaded: Loaded, settings: Model, batcher: Batcher) -> Cache | None:
        """The cache of this version. It dies with it: what another version answers, or another artifact of the same
        name, is never looked up in it."""
        wanted = settings.cache
        if wanted.mode == "off":
            return None
        meter = CacheMeter(self._figures, model, version)
        worth = Worth(meter, batcher.forecast.row_s)
        store = RowStore(
            wanted.rows,
            wanted.memory,
            wanted.ttl_s,
            clock=self._timer.time,
            weigh=row_weigher(loaded.signature),
            evictions=meter.evictions,
        )
        meter.watch(worth.saved_s, store.__len__, lambda: store.nbytes)
        keys = RowKeys(loaded.signature.tensors())
        shared = None
        if wanted.store == "redis" and self._redis is not None:
            form = RowFormat(loaded.signature)
            shared = SharedStore(self._redis, identity(model, version, loaded), wanted.ttl_s, form, meter)
        cache = Cache(keys, store, batcher, shared=shared, timer=self._timer, soon=self._soon, meter=meter, worth=worth)
        if wanted.mode == "auto":
            cache.judge = Judge(worth, meter, self._timer, partial(self._switch, cache, meter, model, version))
        return cache

    def _switch(
        self, cache: Cache, meter: CacheMeter, model: str, version: str, on: bool, saved_s: float, spent_s: float
    ) -> None:
        cache.switch(on=on)
        meter.switched(on=on)
        if on:
            self._log.info("cache_on", model=model, model_version=version)
        else:
            balance = {"saved_ms": round(saved_s * 1000, 3), "spent_ms": round(spent_s * 1000, 3)}
            self._log.info("cache_off", model=model, model_version=version, **balance)
