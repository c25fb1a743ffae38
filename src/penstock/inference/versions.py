"""The model versions that this front serves: what the supervisor says is loaded, each with its queue and its hosts."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from penstock.config import Settings
from penstock.errors import NotReady
from penstock.inference.batcher import Batcher
from penstock.inference.caches import Caches
from penstock.inference.forecast import Capacity
from penstock.inference.hosts import Host, HostLink
from penstock.inference.router import Share, canary_share, choose_model, choose_version, loaded_versions
from penstock.inference.served import ServedVersion
from penstock.inference.stores.registry import Stores
from penstock.inference.trials import Trials
from penstock.model.control import HostOf, ModelState
from penstock.model.stamp import Stamp
from penstock.observability import catalog
from penstock.observability.batches import BatchMeter
from penstock.observability.metrics import Figures


class LoopTimer:
    """The time of the running event loop, as an alarm wants it, at the full resolution of the system's clock."""

    time = staticmethod(time.monotonic)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call_later = loop.call_later


def unloading(models: Sequence[ModelState]) -> set[tuple[str, str]]:
    """The versions that finish what they hold."""
    return {(model.name, state.version) for model in models for state in model.versions if state.state == "unloading"}


class Split(NamedTuple):
    """Where the requests go that name no version."""

    share: Share
    default: ServedVersion
    canary: ServedVersion


class Versions:
    """What is loaded, by model and version. `hung` is told the id of a host that overran; `released` of a version that
    was unloaded, once no request is held for it.

    A request keeps the version that it entered, whatever the routes become.
    """

    def __init__(
        self,
        settings: Settings,
        figures: Figures,
        hung: Callable[[int], None],
        released: Callable[[str, str, ServedVersion | None], None],
        caches: Caches,
        stores: Stores,
    ) -> None:
        self.settings = settings
        self.models: dict[str, ModelState] = {}
        self.figures = figures
        self._hung = hung
        self._released = released
        self._caches = caches
        self._stores = stores
        self._served: dict[tuple[str, str], ServedVersion] = {}
        self._leaving: dict[tuple[str, str], ServedVersion] = {}
        self._usual: dict[str | None, ServedVersion] = {}  # what those get who name no version
        self._splits: dict[str | None, Split] = {}  # or one of two
        self._trials = Trials(figures, LoopTimer(asyncio.get_running_loop()), settings.server.workers)
        self._early: dict[tuple[str, str], list[tuple[HostOf, socket.socket, Stamp]]] = {}

    def update(self, models: Sequence[ModelState]) -> None:
        """Takes over the supervisor's word on what is loaded."""
        self.models = {model.name: model for model in models}
        self._usual.clear()
        self._splits.clear()
        loaded = {(model.name, version): model for model in models for version in loaded_versions(model)}
        for key in self._served.keys() - loaded.keys():
            self._leaving[key] = self._served.pop(key)
            self._let_go(self._leaving[key])
        for key in self._early.keys() & unloading(models):
            self._turn_away(key)
        for key in loaded.keys() & self._leaving.keys():
            self._served[key] = self._leaving.pop(key)  # it does not leave after all
        for key, model in loaded.items():
            if key not in self._served:
                self._served[key] = self._serve(model, key[1])
                for early in self._early.pop(key, ()):
                    self.attach(*early)
        self._trials.update(self.models, self._served)

    def attach(self, host: HostOf, sock: socket.socket, stamp: Stamp) -> None:
        """A host of some version can be reached over `sock`, which is ours from now on as its `stamp` is."""
        key = host.model, host.version
        served = self._served.get(key) or self._leaving.get(key)
        if served is None:
            self._early.setdefault((host.model, host.version), []).append((host, sock, stamp))
            return
        served.batcher.attach(HostLink(host.host, sock, stamp, served.signature, served.batcher))

    def enter(
        self, name: str | None, version: str | None, headers: Mapping[bytes, bytes], request_id: str
    ) -> ServedVersion:
        """The version that a request gets, which has to `leave` it. Raises UnknownModel, UnknownVersion, NotReady.

        The headers, by their names in lower case, and the id say on which side of a canary's share it falls.
        """
        served = self._usual.get(name) if version is None else None
        if served is None:
            served = self._find(name, version, headers, request_id)
        served.calls += 1
        return served

    def leave(self, served: ServedVersion) -> None:
        """A request that entered is answered."""
        served.calls -= 1
        if not served.calls and served is self._leaving.get((served.model, served.version)):
            self._let_go(served)

    def _let_go(self, served: ServedVersion) -> None:
        """Forgets a version that leaves, once nobody is in it."""
        if not served.calls:
            del self._leaving[served.model, served.version]
            served.close()
            self.figures.gauge(catalog.QUEUE_ROWS).forget(served.model, served.version)
            self._released(served.model, served.version, served)

    def _turn_away(self, key: tuple[str, str]) -> None:
        """Its hosts came, and it left again, before it was ever served here."""
        for _, sock, stamp in self._early.pop(key):
            sock.close()
            stamp.close()
        self._released(*key, None)

    def _find(
        self, name: str | None, version: str | None, headers: Mapping[bytes, bytes], request_id: str
    ) -> ServedVersion:
        if version is None and (split := self._splits.get(name)) is not None:
            share = split.share
            value = headers.get(share.sticky) if share.sticky is not None else None
            taken = split.canary.batcher.hosts > 0 and share.takes(value or request_id.encode())
            return split.canary if taken else split.default  # whom a canary without a process would harm
        model = choose_model(self.models, self.settings.default_model, name)
        served = self._served.get((model.name, choose_version(model, version)))
        if served is None:
            raise NotReady(f"{model.name} is not ready: see /models/{model.name}.")
        if version is not None:
            return served
        canary = self._served.get((model.name, model.canary.version or ""))
        if canary is None or not model.canary.percent:
            self._usual[name] = served
            return served
        self._splits[name] = Split(canary_share(model), served, canary)
        return self._find(name, version, headers, request_id)

    def holds(self, model: str, version: str) -> bool:
        """Whether it is served, or answers what it has."""
        return (model, version) in self._served or (model, version) in self._leaving

    def capacity(self, model: str, version: str) -> Capacity | None:
        """What the hosts of this version can do, as far as this front has seen of them."""
        served = self._served.get((model, version))
        return served.batcher.capacity() if served else None

    def close(self) -> None:
        """Lets go of every host; whoever still waits is refused."""
        for served in (*self._served.values(), *self._leaving.values()):
            served.close()

    def _serve(self, of: ModelState, version: str) -> ServedVersion:
        model, settings = of.name, of.settings
        loaded = next(state.loaded for state in of.versions if state.version == version and state.loaded)
        loop = asyncio.get_running_loop()
        batcher = Batcher(
            settings,
            timer=LoopTimer(loop),
            soon=loop.call_soon,
            meter=BatchMeter(self.figures, model, version, loaded.signature),
            hung=self._overran,
            load_s=loaded.load_s + loaded.warmup_s,
            fronts=self.settings.server.workers,
        )
        self.figures.gauge(catalog.QUEUE_ROWS).child(model, version).watch(lambda: batcher.queued_rows)
        cache = self._caches.of(model, version, loaded, settings, batcher)
        return ServedVersion(model, version, loaded, settings, batcher, cache, self._stores.completion(loaded))

    def _overran(self, host: Host) -> None:
        self._hung(host.id)
