"""What administrators have changed while the service runs: kept in a file, and laid over the configuration.

All of it is plain data and rules on it; the supervisor carries it out.
"""

import os
from collections.abc import Collection
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.config import Canary, Route, Shadow
from penstock.errors import ConfigurationError, Conflict
from penstock.model.control import Breach, Order
from penstock.model.selection import LATEST, faults, named
from penstock.model.versions import version_key

STATE = "state.json"
MOST_CHANGES = 200  # of one model that are remembered


class Change(Struct, frozen=True, kw_only=True):
    """One entry of a model's history: when, by which key, what, from which default version and route to which, and
    why; what a canary had done that was sent away."""

    at: str
    by: str
    action: str
    version: str | None = None
    default_before: str | None = None
    default_after: str | None = None
    route_before: Route
    route_after: Route
    why: str | None = None
    breach: Breach | None = None


class Overlay(Struct, frozen=True, kw_only=True):
    """What counts for one model instead of its configuration.

    `load` are versions that are loaded besides; `over` is the route of the configuration when this was laid over it:
    where that has changed since, the overlay is out of date.
    """

    route: Route
    load: tuple[str, ...] = ()
    over: Route


class Kept(Struct, frozen=True, kw_only=True):
    """The content of the file, by model."""

    overlays: dict[str, Overlay] = {}
    history: dict[str, tuple[Change, ...]] = {}

    def with_change(self, model: str, overlay: Overlay | None, change: Change | None = None) -> "Kept":
        """With another overlay for a model, or none, and one more entry in its history."""
        overlays = {name: each for name, each in self.overlays.items() if name != model}
        history = dict(self.history)
        if overlay is not None:
            overlays[model] = overlay
        if change is not None:
            history[model] = (*history.get(model, ()), change)[-MOST_CHANGES:]
        return Kept(overlays=overlays, history=history)


def read(directory: Path) -> Kept:
    """What is kept in `directory`; nothing where there is no file. Raises ConfigurationError where it is damaged."""
    file = directory / STATE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except (OSError, msgspec.MsgspecError) as problem:
        raise ConfigurationError(
            f"{file}: what administrators changed cannot be read ({problem}): move it away"
        ) from None


def write(directory: Path, kept: Kept) -> None:
    """Exchanges the file in one move, so that it is whole whatever happens. Raises OSError."""
    directory.mkdir(mode=0o700, exist_ok=True)
    staging = directory / f".{STATE}"
    with staging.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(kept)))
        file.flush()
        os.fsync(file.fileno())
    staging.replace(directory / STATE)


def ordered(
    order: Order,
    now: Overlay,
    *,
    there: Collection[str],
    loaded: Collection[str],
    default: str | None,
    before: str | None,
) -> Overlay:
    """The overlay after `order`. `default` has the traffic, `before` had it before. Raises Conflict.

    `there` are the versions that could be loaded, `loaded` those that are.
    """
    if order.action == "load":
        version = _here(_named(order), there)
        return replace(now, load=(*(each for each in now.load if each != version), version))
    if order.action == "unload":
        return replace(now, load=_without(_named(order), now, loaded, default))
    route = _route(order, now.route, there, before)
    if order.action == "route":
        for fault in faults(route, default if route.default == LATEST else route.default):
            raise Conflict(f"{fault.remedy[0].upper()}{fault.remedy[1:]}.")
    for version in named(route):
        _here(version, there)
    return replace(now, route=route)


def _route(order: Order, now: Route, there: Collection[str], before: str | None) -> Route:
    """Where requests are to go. What is rolled back is the canary, or else the last change of the default version; a
    shadow that is not there is in nobody's way."""
    match order.action:
        case "promote":
            return _alone(_named(order), now)
        case "rollback" if now.canary.version is not None:
            return replace(now, canary=Canary(), shadow=now.shadow if now.shadow.version in there else Shadow())
        case "rollback" if before is not None:
            return _alone(before, now)
        case "rollback":
            raise Conflict("There is no version to go back to: promote the one that is to have the traffic.")
    if order.route is None:
        raise Conflict("Say where the requests are to go.")
    return order.route


def _alone(version: str, now: Route) -> Route:
    """All requests go to one version, and none is tried beside it."""
    return replace(now, default=version, canary=Canary(), shadow=Shadow())


def _named(order: Order) -> str:
    if order.version is None:
        raise Conflict("Name a version.")
    return order.version


def _here(version: str, there: Collection[str]) -> str:
    if version not in there:
        raise Conflict(f"There is no version {version}. Versions: {_some(there)}.")
    return version


def _some(versions: Collection[str]) -> str:
    return ", ".join(sorted(versions, key=version_key)[-20:]) or "none"


def _without(version: str, now: Overlay, loaded: Collection[str], default: str | None) -> tuple[str, ...]:
    if version not in loaded:
        raise Conflict(f"Version {version} is not loaded. Versions: {_some(loaded)}.")
    if version in (default, *named(now.route)):
        raise Conflict("Requests go to that version: change the route first.")
    if version not in now.load:
        raise Conflict("That version is loaded because the configuration says so (load): change it there.")
    return tuple(each for each in now.load if each != version)
