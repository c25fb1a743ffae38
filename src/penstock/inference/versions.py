"""The model versions that this front serves: what the supervisor says is loaded, each with its queue and its hosts."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence

from penstock.config import Model, Settings
from penstock.errors import NotReady
from penstock.inference.batcher import Batcher
from penstock.inference.checks import checks
from penstock.inference.forecast import Capacity
from penstock.inference.hosts import Host, HostLink
from penstock.inference.router import choose_model, choose_version
from penstock.inference.rows import Rows
from penstock.model.control import HostOf, Loaded, ModelState
from penstock.model.signature import Signature
from penstock.model.stamp import Stamp
from penstock.observability import catalog
from penstock.observability.batches import BatchMeter
from penstock.observability.metrics import Figures


class LoopTimer:
    """The time of the running event loop, as an alarm wants it, at the full resolution of the system's clock."""

    time = staticmethod(time.monotonic)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call_later = loop.call_later


class ServedVersion:
    """One version of a model, ready to be asked."""

    def __init__(self, model: str, version: str, loaded: Loaded, settings: Model, batcher: Batcher) -> None:
        self.model = model
        self.version = version
        self.sha256 = loaded.sha256
        self.signature: Signature = loaded.signature
        self.tensors = loaded.signature.tensors()
        self.deadline_s = settings.deadline_ms / 1000
        self.heeds_priority = settings.queue.priority == "header"
        self.check = checks(loaded.signature)
        self.batcher = batcher

    def row_shape(self, rows: Rows) -> tuple[int, ...]:
        """The shape of one of these rows: its number of features, or that of the one tensor it is."""
        inputs = self.signature.inputs
        return rows.shape(0, self.tensors[0]) if len(inputs) == 1 and inputs[0].shape else (len(inputs),)


class Versions:
    """What is loaded, by model and version. `hung` is told the id of a host that overran."""

    def __init__(self, settings: Settings, figures: Figures, hung: Callable[[int], None]) -> None:
        self.settings = settings
        self.models: dict[str, ModelState] = {}
        self.figures = figures
        self._hung = hung
        self._served: dict[tuple[str, str], ServedVersion] = {}
        self._usual: dict[str | None, ServedVersion] = {}  # what those get who name no version
        self._early: dict[tuple[str, str], list[tuple[HostOf, socket.socket, Stamp]]] = {}

    def update(self, models: Sequence[ModelState]) -> None:
        """Takes over the supervisor's word on what is loaded."""
        self.models = {model.name: model for model in models}
        loaded = {
            (model.name, state.version): state.loaded
            for model in models
            for state in model.versions
            if state.loaded is not None
        }
        for key in self._served.keys() - loaded.keys():
            self._served.pop(key).batcher.close()
        for key, what in loaded.items():
            if key not in self._served:
                self._served[key] = self._serve(*key, what)
                for early in self._early.pop(key, ()):
                    self.attach(*early)
        self._usual.clear()

    def attach(self, host: HostOf, sock: socket.socket, stamp: Stamp) -> None:
        """A host of some version can be reached over `sock`, which is ours from now on as its `stamp` is."""
        served = self._served.get((host.model, host.version))
        if served is None:
            self._early.setdefault((host.model, host.version), []).append((host, sock, stamp))
            return
        served.batcher.attach(HostLink(host.host, sock, stamp, served.signature, served.batcher))

    def find(self, name: str | None, version: str | None) -> ServedVersion:
        """The version that a request means. Raises UnknownModel, UnknownVersion, NotReady."""
        if version is None and (usual := self._usual.get(name)) is not None:
            return usual
        model = choose_model(self.models, self.settings.default_model, name)
        chosen = choose_version(model, version)
        served = self._served.get((model.name, chosen))
        if served is None:
            raise NotReady(f"{model.name} is not ready: see /models/{model.name}.")
        if version is None:
            self._usual[name] = served
        return served

    def capacity(self, model: str, version: str) -> Capacity | None:
        """What the hosts of this version can do, as far as this front has seen of them."""
        served = self._served.get((model, version))
        return served.batcher.capacity() if served else None

    def close(self) -> None:
        """Lets go of every host; whoever still waits is refused."""
        for served in self._served.values():
            served.batcher.close()

    def _serve(self, model: str, version: str, loaded: Loaded) -> ServedVersion:
        settings = self.settings.models.get(model) or Model(path="")
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
        return ServedVersion(model, version, loaded, settings, batcher)

    def _overran(self, host: Host) -> None:
        self._hung(host.id)
