"""The stores of a front: those of the configuration, and the tables that lie beside models."""

from collections.abc import Mapping
from pathlib import Path

from penstock.config import Store
from penstock.inference.context import Completion
from penstock.inference.redis import Redis
from penstock.inference.stores import Nowhere, Source
from penstock.inference.stores.content import unlinked
from penstock.inference.stores.hashes import Hashes
from penstock.inference.stores.own import NotThere, OwnStore, made, where
from penstock.inference.stores.room import Room
from penstock.inference.stores.table import Table
from penstock.model.context import Context
from penstock.model.control import Loaded
from penstock.observability.logs import Log

MOST_BESIDE = 2**30  # bytes that all tables beside models may take in a front


class Stores:
    """Opens what it is told of. What cannot be opened is away, which its line of the log explains."""

    def __init__(self, settings: Mapping[str, Store], log: Log, redis: Redis | None) -> None:
        self._log = log
        self._redis = redis
        self._room = Room(MOST_BESIDE)
        self._beside: dict[tuple[Path, str], Table] = {}
        self._named = {name: self._opened(name, store) for name, store in settings.items()}

    def completion(self, loaded: Loaded) -> Completion | None:
        """What the look-ups of a version need; None where nothing comes from a store."""
        if not loaded.context:
            return None
        sources = [self._source(context) for context in loaded.context]
        owned = [source for context, source in zip(loaded.context, sources, strict=True) if context.file is not None]
        return Completion(loaded.context, loaded.signature, sources, owned)

    def close(self) -> None:
        for source in self._named.values():
            source.close()

    def _source(self, context: Context) -> Source:
        if context.file is not None:
            return self._beside_model(Path(context.file), context)
        source = self._named.get(context.source)
        return source or self._nowhere(
            context.source, "it was configured after the service was started: start it again"
        )

    def _beside_model(self, path: Path, context: Context) -> Table:
        """The table, which versions and look-ups share. Nobody has vouched for it."""
        self._beside = {place: table for place, table in self._beside.items() if not table.closed}
        if (table := self._beside.get((path, context.key))) is not None:
            return table.shared()
        table = Table(context.source, path, context.key, self._log, unlinked, self._room)
        self._beside[path, context.key] = table
        return table

    def _opened(self, name: str, store: Store) -> Source:
        if store.file is not None and store.key is not None:
            return Table(name, Path(store.file), store.key, self._log)
        if store.python is not None:
            try:
                return OwnStore(name, made(store.python), store.timeout_ms / 1000, self._log)
            except NotThere as error:
                return self._nowhere(name, f"{error} (stores.{name}.python)")
            except Exception as error:  # noqa: BLE001 # it is somebody's own code
                return self._nowhere(name, f"{store.python} cannot be made: {where(error)}")
        assert self._redis is not None  # as the configuration has seen to
        assert store.prefix is not None
        return Hashes(name, self._redis, store.prefix, store.timeout_ms / 1000, self._log)

    def _nowhere(self, name: str, reason: str) -> Source:
        self._log.error("store_failed", store=name, reason=reason)
        return Nowhere()
