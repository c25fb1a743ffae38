"""The versions of one model: those that are loaded, the one that takes the traffic, and those that leave."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from penstock.config import Canary, Model, Route, Shadow
from penstock.model.control import Breach, ModelState, Order, VersionState
from penstock.model.fitness import comparison_of, context_misfit_of, misfit_of, strangeness_of
from penstock.model.overlay import Overlay
from penstock.model.selection import LATEST, Choice, choose, named
from penstock.model.source import ModelSource
from penstock.model.versions import version_key
from penstock.supervisor.departures import Departures
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.hosts import Host
from penstock.supervisor.replicas import Replicas
from penstock.supervisor.route_log import RouteLog

FORGET_S = 121.0  # after the fronts did, so that nothing of a version comes back with their next report
BODY_S = 10.0  # that a body may take to come, by default
OVERTIME_S = 5.0
"""Beyond the longest that a request and its batch may take by the model's settings, for who holds on to a version."""

TOUCHED = "its files have changed; what is loaded serves on: put what is new into a version of its own"


def _longest_s(settings: Model) -> float:
    """What a request may take, from its head to its answer."""
    return BODY_S + settings.deadline_ms / 1000 + settings.predict_timeout_s + OVERTIME_S


def _differ(one: ModelSource, other: ModelSource) -> bool:
    """Whether another artifact would be loaded, or one that could not be loaded might."""
    return (one.artifact, one.refusal) != (other.artifact, other.refusal)


class Owner(Protocol):
    """Who knows the fronts."""

    def host_ready(self, host: Host) -> None:
        """It is to be attached to the fronts."""

    def changed(self) -> None:
        """`state()` is another than before, or a process has ended."""

    def connect(self, host: Host, fronts: Collection[int]) -> None:
        """It is to be attached to the fronts with these numbers."""

    def fronts(self) -> set[int]:
        """The numbers of those that know of the model, and may hold requests for any version of it."""


class Trial(NamedTuple):
    """A canary that is held to its guard, beside the default version."""

    default: str
    version: str
    canary: Canary


class Lineup:
    """Loads what is wanted of the versions that are there, and lets go of the others once nobody needs them.

    A version takes the traffic when it has passed its checks. Until then, and if it does not, the one before serves on.
    """

    def __init__(
        self,
        equipment: Equipment,
        sources: Sequence[ModelSource],
        owner: Owner,
        overlay: Overlay | None = None,
        past: Sequence[str] = (),
        breach: Breach | None = None,
    ) -> None:
        self.name = sources[0].name
        self._equipment = equipment
        self._owner = owner
        self._settings: Model = sources[-1].settings
        self._sources = {source.version: source for source in sources}
        self._replicas: dict[str, Replicas] = {}
        self._leaving = Departures(equipment.loop, self._overdue, self.changed)
        self.default: str | None = None
        """The version that takes the traffic."""
        self.overlay = overlay
        self.breach = breach
        """Why the canary was sent away, until the route is another again."""
        self._route_log = RouteLog(equipment.log, self.name)
        self._past = list(past)  # the versions that had the traffic before, the last one last
        self._compared: set[str] = set()
        self._held: dict[str, str] = {}  # the versions that do not take the traffic by themselves, and why
        self._goes_back = False
        self._advancing = False
        self._stopping = False
        self.removed = False
        """Whether the model is no more, and only waits for what it still holds."""

    # ------------------------------------------------------------------ what is there to be said
    @property
    def route(self) -> Route:
        """Where requests are to go."""
        return self.configured if self.overlay is None else self.overlay.route

    @property
    def configured(self) -> Route:
        """Where they would go if nobody had changed that."""
        return self._settings.route

    @property
    def trial(self) -> Trial | None:
        """The canary that is held to something, and has a share of the traffic."""
        canary = self.route.canary
        if self.default is None or not canary.percent or not canary.guard.limits:
            return None
        if canary.version is None or canary.version == self.default:
            return None
        is_on = {canary.version, self.default} <= self._passed()
        return Trial(self.default, canary.version, canary) if is_on else None

    @property
    def unfit(self) -> str | None:
        """Why the shadow cannot be asked what the default version is, once both are loaded."""
        return self._misfit(self.route.shadow.version)

    def _misfit(self, version: str | None) -> str | None:
        """Why a version could not be asked what the default one is, and compared, once both are loaded."""
        default, other = self._replicas.get(self.default or ""), self._replicas.get(version or "")
        ours, theirs = default and default.loaded, other and other.loaded
        return strangeness_of(ours.signature, theirs.signature) if ours and theirs else None

    @property
    def before(self) -> str | None:
        """The version that had the traffic before this one, of those that are still there."""
        return next((version for version in reversed(self._past) if version in self._sources), None)

    @property
    def there(self) -> Collection[str]:
        """The versions that could be loaded."""
        return self._sources.keys()

    @property
    def loaded(self) -> Collection[str]:
        """The versions that are loaded."""
        return self._passed()

    @property
    def patience_s(self) -> float:
        """What an order may take at the most."""
        settings = self._settings
        return settings.start_timeout_s + settings.compile_timeout_s + _longest_s(settings) + OVERTIME_S

    def needed(self, overlay: Overlay | None) -> Collection[str]:
        """The versions that would be loaded with this laid over the configuration."""
        return self._choice(overlay).needed

    def verdict(self, order: Order) -> bool | str:
        """Whether what was ordered is so; why not, where it will not be."""
        if order.action == "unload":
            return order.version not in self._replicas and order.version not in self._leaving
        route = self.route
        needed = [order.version] if order.action == "load" else named(route)
        for version in sorted(filter(None, needed)):
            if version not in self._sources:
                return f"There is no version {version} any more."
            replicas = self._replicas.get(version)
            if (broken := self._broken(version)) is not None:
                return broken
            if replicas is None or not replicas.ready():
                return False
        tried = all(each.has_passed or each.refused for each in self._replicas.values())
        return tried if route.default == LATEST else self.default == route.default

    def broken(self, route: Route) -> str | None:
        """Why a version that the route names cannot answer, of those that were loaded: it was there, and is not."""
        was_there = [version for version in named(route) if version in self._passed()]
        return next(filter(None, map(self._broken, was_there)), None)

    def _broken(self, version: str) -> str | None:
        replicas = self._replicas.get(version)
        if replicas is None or (state := replicas.state()).state not in ("refused", "restarting"):
            return None
        return f"Version {version} is {state.state}: {state.reason}"

    @property
    def refused(self) -> bool:
        """Whether nothing of the model could be loaded at all."""
        return bool(self._replicas) and all(version.refused for version in self._replicas.values())

    @property
    def reason(self) -> str | None:
        """Why its newest version is not served, if it is not."""
        newest = max(self._replicas, key=version_key, default=None)
        return self._replicas[newest].state().reason if newest is not None else None

    @property
    def running(self) -> int:
        """Processes that have not ended yet."""
        return sum(version.running for version in self._all())

    def ready(self) -> list[Host]:
        """The hosts that new requests may go to."""
        return [host for version in self._replicas.values() for host in version.ready()]

    def live(self) -> dict[str, int]:
        """How many hosts each loaded version has."""
        return {version: len(replicas.ready()) for version, replicas in self._replicas.items()}

    def processes(self) -> dict[str, int]:
        """The ids of the processes, each by a name for the metrics."""
        return {name: pid for version in self._all() for name, pid in version.processes().items()}

    def state(self) -> ModelState:
        """As the fronts are told."""
        passed = self._passed()
        canary, shadow = self.route.canary, self.route.shadow
        return ModelState(
            name=self.name,
            default=self.default or "",
            canary=canary if canary.version in passed - {self.default} else Canary(),
            shadow=shadow if shadow.version in passed - {self.default} and self.unfit is None else Shadow(),
            route=self.route,
            breach=self.breach,
            unfit=self.unfit,
            canary_unfit=self._misfit(canary.version),
            settings=self._settings,
            versions=tuple(self._state(version) for version in self._known()),
        )

    # ------------------------------------------------------------------ what is wanted
    def start(self) -> None:
        """Begins to load."""
        self._route_log.missing(self.route, self._settings.load, self._sources)
        self.changed()

    def lay(self, overlay: Overlay | None, *, back: bool = False, breach: Breach | None = None) -> None:
        """This counts from now on instead of the configuration. `back`: it leads back to the version before; `breach`:
        why the canary has to go."""
        before, self.overlay = self.route, overlay
        if breach is not None or self.route != before:
            self.breach = breach
        self._goes_back = back
        self.changed()

    def update(self, sources: Sequence[ModelSource], touched: Collection[str], overlay: Overlay | None) -> None:
        """What is there now, with the model's settings; `touched` are the versions whose files have changed.

        What is loaded stays as it is. What failed and is another one now gets another chance.
        """
        settings = sources[-1].settings
        route = self.route
        self._settings = replace(self._settings, load=settings.load, route=settings.route)
        self.overlay = overlay
        if self.route != route:
            self.breach = None
        for source in sources:
            version, tried = source.version, self._replicas.get(source.version)
            if tried is None:
                continue
            before = self._sources.get(version, source)
            if tried.refused and (version in touched or _differ(source, before)):
                del self._replicas[version]
            elif version in touched and tried.has_passed and not tried.ready():
                tried.hurry()
            elif version in touched and tried.has_passed:
                self._equipment.log.warning("version_touched", model=self.name, version=version, detail=TOUCHED)
        self._sources = {source.version: replace(source, settings=self._settings) for source in sources}
        self._route_log.missing(self.route, self._settings.load, self._sources)
        self.changed()

    def retry(self, order: Order) -> None:
        """Somebody wants it by name: what could not be loaded gets another chance."""
        route = order.route or Route()
        for version in filter(None, (order.version, *named(route))):
            if (tried := self._replicas.get(version)) is not None and tried.refused:
                del self._replicas[version]

    def remove(self) -> None:
        """The model is no more: lets go of all its versions."""
        self.removed = True
        self._stopping = True
        for version in list(self._replicas):
            self._leave(version)
        self._sources.clear()
        self.default = None
        self._owner.changed()

    def knows(self, version: str) -> bool:
        """Whether this version was there before."""
        return version in self._sources

    def hung(self, host: int) -> None:
        """A front says that host number `host` does not answer."""
        for version in self._all():
            version.hung(host)

    def released(self, version: str, front: int) -> None:
        """A front holds no request for a version that leaves."""
        if version in self._leaving:
            self._leaving.released(version, front)
        elif (replicas := self._replicas.get(version)) is not None:  # it was taken back in the meantime
            for host in replicas.ready():
                self._owner.connect(host, {front})

    def front_gone(self, front: int) -> None:
        """It holds nothing any more."""
        self._leaving.front_gone(front)

    def stop(self) -> None:
        """Asks every host to end, and starts no other."""
        self._stopping = True
        for version in self._all():
            version.stop()

    def kill(self) -> None:
        self._stopping = True
        for version in self._all():
            version.kill()

    # ------------------------------------------------------------------ what the versions have to say
    def host_ready(self, host: Host) -> None:
        self._compare(host.version)
        self._owner.host_ready(host)
        self.changed()

    def _compare(self, version: str) -> None:
        """A version has been loaded: says how it differs from the one that serves, and holds it back where requests
        that the one takes would be refused by the other."""
        came, serving = self._replicas.get(version), self._replicas.get(self.default or "")
        new = came.loaded if came is not None else None  # one that leaves may have been restarted
        old = serving.loaded if serving is not None else None
        if new is None or old is None or self.default is None or version in self._compared:
            return
        if version_key(version) <= version_key(self.default):
            return
        self._compared.add(version)
        misfit = misfit_of(old.signature, new.signature) or context_misfit_of(old, new)
        told = comparison_of(old, new)
        self._tell("version_compared", version, with_version=self.default, **told)
        if misfit is not None:
            self._held[version] = f"{misfit}: it takes the traffic when it is promoted"
            self._equipment.log.warning("version_held", model=self.name, version=version, reason=self._held[version])

    def changed(self) -> None:
        """Something is other than it was: takes the steps that follow from it."""
        if not self._advancing:
            self._tell_route()
            self._advancing = True
            try:
                while self._advance():
                    pass
            finally:
                self._advancing = False
            self._owner.changed()

    def _tell_route(self) -> None:
        if not self._stopping:
            self._route_log.route(self.route, by_hand=self.overlay is not None)
            self._route_log.shadow_unfit(self.route.shadow.version, self.unfit)
            if (canary := self.route.canary).guard.compares:
                self._route_log.canary_unfit(canary.version, self._misfit(canary.version))

    def _advance(self) -> bool:
        """Takes a step; False where there is none to take."""
        for version in self._leaving.forget_ended():
            self._held.pop(version, None)
            self._compared.discard(version)
            self._equipment.ledger.model_unloaded(self.name, version)
            self._equipment.loop.later(FORGET_S, partial(self._forget, version))
            self._tell("version_unloaded", version)
        if self._stopping:
            return False
        choice = self._choice(self.overlay)
        if choice.default != self.default:
            self._switch(choice.default)
        for version in sorted(choice.needed - self._replicas.keys(), key=version_key):
            if (departure := self._leaving.of(version)) is None:
                self._load(version)
                return True
            if not departure.ended:
                self._take_back(version)
                return True
        failed = self._failed()
        for version in failed - self._sources.keys():
            del self._replicas[version]
        superfluous = self._replicas.keys() - choice.needed - failed
        for version in sorted(superfluous, key=version_key):
            self._leave(version)
        return bool(superfluous)

    def _choice(self, overlay: Overlay | None) -> Choice:
        return choose(
            self._settings.load,
            self._settings.route if overlay is None else overlay.route,
            there=self._sources,
            failed=self._failed(),
            passed=self._passed(),
            now=self.default,
            also=() if overlay is None else overlay.load,
            held=self._held,
        )

    def _take_back(self, version: str) -> None:
        """One that was leaving is wanted again: the fronts that have let go of it get its hosts anew."""
        departure = self._leaving.take_back(version)
        self._replicas[version] = departure.replicas
        for host in departure.replicas.ready():
            self._owner.connect(host, self._owner.fronts() - departure.fronts)
        self._tell("version_taken_back", version)

    def _switch(self, default: str | None) -> None:
        before, self.default = self.default, default
        self._held.pop(default or "", None)  # whoever named it has seen to that
        if before is None or default is None or before not in self._passed():
            return
        if self._goes_back and default in self._past:
            while self._past.pop() != default:
                pass
        else:
            self._past.append(before)
        self._goes_back = False
        self._tell("version_switched", default, before=before)

    def _load(self, version: str) -> None:
        serving = self._replicas.get(self.default or "")
        others = serving.examples if serving is not None else None
        self._replicas[version] = replicas = Replicas(self._equipment, self._sources[version], self, others)
        replicas.start()

    def _leave(self, version: str) -> None:
        replicas = self._replicas.pop(version)
        fronts = self._owner.fronts() if replicas.has_passed else set()
        departure = self._leaving.begin(version, replicas, fronts, _longest_s(self._settings))
        self._tell("version_unloading", version)
        departure.advance()

    def _overdue(self, version: str) -> None:
        self._equipment.log.warning(
            "version_cut", model=self.name, version=version, detail="requests that took too long were given up"
        )

    def _forget(self, version: str) -> None:
        if version not in self._replicas and version not in self._leaving:
            self._equipment.ledger.forget(self.name, version)

    # ------------------------------------------------------------------ its parts
    def _all(self) -> list[Replicas]:
        return [*self._replicas.values(), *self._leaving.replicas()]

    def _known(self) -> list[str]:
        return sorted({*self._sources, *self._replicas, *self._leaving}, key=version_key)

    def _failed(self) -> set[str]:
        return {version for version, replicas in self._replicas.items() if replicas.refused}

    def _passed(self) -> set[str]:
        return {version for version, replicas in self._replicas.items() if replicas.has_passed}

    def _state(self, version: str) -> VersionState:
        if (replicas := self._replicas.get(version)) is not None:
            return replace(replicas.state(), held=self._held.get(version))
        if (departure := self._leaving.of(version)) is not None:
            return replace(departure.replicas.state(), state="unloading")
        source = self._sources[version]
        return VersionState(version=version, state="available", path=source.path, format=source.artifact.format)

    def _tell(self, event: str, version: str, **fields: object) -> None:
        self._equipment.log.info(event, model=self.name, version=version, **fields)
