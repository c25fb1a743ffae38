"""What the log tells of a model's route: each thing once, until it is another."""

from collections.abc import Container, Sequence

from msgspec.structs import asdict

from penstock.config import Canary, Route, Shadow, Slice
from penstock.model.selection import LATEST, listed
from penstock.observability.logs import Log


class RouteLog:
    """Of one model."""

    def __init__(self, log: Log, model: str) -> None:
        self._log = log
        self._model = model
        self._route: Route | None = None
        self._unfit: dict[str, tuple[str | None, str | None]] = {}
        self._missing: set[tuple[str, str]] = set()

    def route(self, route: Route, *, by_hand: bool) -> None:
        """Where requests are to go."""
        if route != self._route:
            self._route = route
            said = {"by_hand": True} if by_hand else {}
            self._log.info("route", model=self._model, default=route.default, **_said(route), **said)

    def shadow_unfit(self, version: str | None, reason: str | None) -> None:
        """Why the shadow is not asked what the default version is, if it is not."""
        if self._is_news("shadow", version, reason):
            self._log.warning("shadow_unfit", model=self._model, version=version, reason=reason)

    def canary_unfit(self, version: str | None, reason: str | None) -> None:
        """Likewise of a canary that is to agree with the default version."""
        if self._is_news("canary", version, reason):
            self._log.warning("canary_unfit", model=self._model, version=version, reason=reason)

    def _is_news(self, what: str, version: str | None, reason: str | None) -> bool:
        before, self._unfit[what] = self._unfit.get(what), (version, reason)
        return reason is not None and before != (version, reason)

    def missing(self, route: Route, load: str, there: Container[str]) -> None:
        """Complains of versions that are named and not there: all stays as it was where it can."""
        said: Sequence[tuple[str, str | None]] = [
            ("route.default", route.default),
            ("route.canary.version", route.canary.version),
            ("route.shadow.version", route.shadow.version),
            *(("load", version) for version in listed(load)),
        ]
        named = [(setting, version) for setting, version in said if version is not None and version != LATEST]
        before, self._missing = self._missing, {each for each in named if each[1] not in there}
        for setting, version in named:
            if (setting, version) in self._missing - before:
                self._log.error("version_missing", model=self._model, version=version, setting=setting)


def _said(route: Route) -> dict[str, object]:
    """The canary and the shadow, as far as there are any, and what two answers may differ by where that matters."""
    parts: dict[str, Canary | Shadow] = {"canary": route.canary, "shadow": route.shadow}
    tried = {part: slice_ for part, slice_ in parts.items() if slice_.version is not None}
    said = {f"{part}_{name}": value for part, slice_ in tried.items() for name, value in _set(slice_).items()}
    guard = {"canary_guard": _set(route.canary.guard)} if "canary" in tried and route.canary.guard.limits else {}
    return said | guard | ({"tolerance": route.tolerance} if tried else {})


def _set(slice_: Slice) -> dict[str, object]:
    return {name: value for name, value in asdict(slice_).items() if value is not None and name != "guard"}
