"""Makes the cache of a model version, where its settings ask for one."""

from functools import partial

from penstock.config import Cache as CacheSettings
from penstock.config import Model
from penstock.inference.alarm import Timer
from penstock.inference.batcher import Batcher
from penstock.inference.cache import Cache
from penstock.inference.orders import Soon
from penstock.inference.redis import Redis
from penstock.inference.ring_store import PLACE_BYTES, RingStore
from penstock.inference.row_answers import row_bytes
from penstock.inference.row_format import RowFormat
from penstock.inference.row_keys import RowKeys
from penstock.inference.row_store import RowStore
from penstock.inference.shared_store import SharedStore, identity
from penstock.inference.weighed_store import WeighedStore
from penstock.inference.worth import Judge, Worth
from penstock.model.control import Loaded
from penstock.model.signature import Signature
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
        keys = RowKeys(loaded.signature.tensors())
        store = self._store(wanted, keys, loaded.signature, meter)
        meter.watch(worth.saved_s, store.__len__, lambda: store.nbytes)
        shared = None
        if wanted.store == "redis" and self._redis is not None:
            form = RowFormat(loaded.signature)
            shared = SharedStore(self._redis, identity(model, version, loaded), wanted.ttl_s, form, meter)
        cache = Cache(keys, store, batcher, shared=shared, timer=self._timer, soon=self._soon, meter=meter, worth=worth)
        if wanted.mode == "auto":
            cache.judge = Judge(worth, meter, self._timer, partial(self._switch, cache, meter, model, version))
        return cache

    def _store(self, wanted: CacheSettings, keys: RowKeys, signature: Signature, meter: CacheMeter) -> RowStore:
        clock, row = self._timer.time, row_bytes(signature)
        if keys.nbytes is None or row is None:
            return WeighedStore(wanted.rows, wanted.memory, wanted.ttl_s, clock=clock, evictions=meter.evictions)
        entry = keys.nbytes + PLACE_BYTES + row
        rows = min(wanted.rows, wanted.memory // entry)
        return RingStore(rows, entry, wanted.ttl_s, clock=clock, evictions=meter.evictions)

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
