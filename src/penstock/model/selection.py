"""Which versions of a model are to be loaded, and which of them takes the traffic: rules, without any processes."""

from collections.abc import Collection, Container, Iterable, Iterator
from typing import NamedTuple

from penstock.config import Canary, Route, Shadow
from penstock.model.versions import version_key

LATEST = "latest"
LABELS = (LATEST, "stable", "canary")
"""Names that stand for some version, whichever it is."""


def selected(load: str, versions: Iterable[str], failed: Container[str] = ()) -> list[str]:
    """The versions that `load` means of those there are, in their order: "all", "latest:2", or a list such as "1,3".

    In the place of the newest that have `failed` older ones are loaded, so that there is always one to fall back on.
    """
    ordered = sorted(versions, key=version_key)
    if load == "all":
        return ordered
    if load.startswith("latest:"):
        count = int(load.removeprefix("latest:"))
        return [version for version in ordered if version not in failed][-count:]
    return [version for version in ordered if version in listed(load)]


def listed(load: str) -> list[str]:
    """The versions that `load` names one by one."""
    return [] if load == "all" or load.startswith("latest:") else load.split(",")


def newest(versions: Iterable[str]) -> str | None:
    """The last of them in their order."""
    return max(versions, key=version_key, default=None)


def named(route: Route) -> list[str]:
    """The versions that a route names."""
    said = (route.default, route.canary.version, route.shadow.version)
    return [version for version in said if version is not None and version != LATEST]


class Fault(NamedTuple):
    """What cannot be meant by a part of a route, "canary" or "shadow"; `remedy` is a clause that says what to do."""

    part: str
    remedy: str


def faults(route: Route, default: str | None) -> Iterator[Fault]:
    """What cannot be meant by `route`, where `default` is the version that its default stands for, if that is known."""
    for part, said, none in (("canary", route.canary, Canary()), ("shadow", route.shadow, Shadow())):
        if said.version is None:
            if said != none:  # it would be kept, and count for whichever is named next
                yield Fault(part, f"name the version that is to be the {part}")
        elif said.version in LABELS:
            yield Fault(part, f"name the version that is to be the {part}: '{said.version}' is a label, and no version")
        elif said.version == default:
            yield Fault(part, f"the {part} has to be another version than the default one")


class Choice(NamedTuple):
    """`default` takes the requests that name no version; None where there is no version at all. `needed` are to be
    loaded."""

    default: str | None
    needed: frozenset[str]


def choose(
    load: str,
    route: Route,
    *,
    there: Collection[str],
    failed: Collection[str],
    passed: Collection[str],
    now: str | None,
    also: Collection[str] = (),
    held: Collection[str] = (),
) -> Choice:
    """What is to be loaded of the versions that are `there`, `also` these, and which is to take the traffic.

    `passed` are loaded and checked, `failed` will not be. A version that is not yet through takes no traffic from the
    one that has it `now`, and neither does one that fails; one that is `held` does where it is named alone. What has
    the traffic stays loaded, even if it is there no more, and so do those whose place a new one is to take. At the
    start the newest is waited for, so that nobody is answered by an older one until it is there.
    """
    wanted = {version for version in (*named(route), *also) if version in there}
    wanted.update(selected(load, there, failed), selected(load, set(passed) & set(there)))
    hopeful = newest(wanted - set(failed)) or newest(there)
    if route.default == LATEST and now in passed:
        fit = {version for version in passed if version in there and (version not in held or version == now)}
        default = newest(fit) or now
    elif route.default in passed:
        default = route.default
    elif now in passed:
        default = now
    else:
        default = route.default if route.default in there else hopeful
    if default is not None and default in passed:
        wanted.add(default)
    return Choice(default, frozenset(wanted))
