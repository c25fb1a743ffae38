"""The repository: from what the operator named to what is to be served."""

import os
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec

from penstock.config import Model, Settings
from penstock.configuration import MODEL_NAME, Configuration
from penstock.errors import ArtifactError, ConfigurationError
from penstock.model.key import Key
from penstock.model.keyring import read_keys
from penstock.model.layout import ONLY_VERSION, Place, Shape, places, shape_of
from penstock.model.manifest import MANIFEST
from penstock.model.quota import demand_rates
from penstock.model.selection import LABELS, LATEST, choose, faults, listed
from penstock.model.source import ModelSource, Warrant, refused, source_of, with_stores
from penstock.model.trust import LOCK_NAME, Lock, read_lock
from penstock.model.versions import VERSION_NAME, version_key
from penstock.values import did_you_mean

ALPHABET = "letters, digits, '_', '-' and '.', 64 at most"


class Named(NamedTuple):
    """Something that the operator named: on the command line, where `said` is the words, or in penstock.yaml."""

    name: str | None
    path: Path
    said: str
    settings: Model
    warrant: Warrant
    configured: bool


class Found(NamedTuple):
    """A version of a model, which may be loaded or not, and what led to it."""

    source: ModelSource
    named: Named


class Resolved(NamedTuple):
    """What is there: `settings` has an entry for each model, and `models` its versions, in their order. `notices` are
    for the operator to read. All of it is told by the files and directories `watched`."""

    settings: Settings
    models: dict[str, tuple[ModelSource, ...]]
    notices: tuple[str, ...]
    watched: tuple[Path, ...]
    found: tuple[Found, ...]
    shapes: dict[Path, Shape]
    keys: tuple[Key, ...] | None = None

    @property
    def tables(self) -> frozenset[str]:
        """Files beside models that the fronts look after themselves."""
        sources = (source for versions in self.models.values() for source in versions)
        return frozenset(each.file for source in sources for each in source.artifact.context if each.file is not None)

    @property
    def sources(self) -> list[ModelSource]:
        """The versions that are to be loaded at first."""
        return [source for versions in self.models.values() for source in _chosen(versions)]


def resolve(arguments: Sequence[str], configuration: Configuration, before: Resolved | None = None) -> Resolved:
    """The versions of each model that the command line (`[NAME=]PATH`) and the configuration name.

    What is wrong with one version is said in its `refusal`. Raises ConfigurationError for what concerns the service,
    where a route cannot be meant, and where a version is to answer or to be loaded that is not there. With what was
    found `before`, this is done again: then each directory has the shape that it had, and where nothing can be made of
    it any more, all of it stays as it was.
    """
    shapes = {} if before is None else dict(before.shapes)
    found, notices = find(arguments, configuration, shapes, () if before is None else before.found)
    found = [each._replace(source=with_stores(each.source, configuration.settings.stores)) for each in found]
    _demand_distinct(found)
    models: dict[str, tuple[ModelSource, ...]] = {}
    for name, group in groupby(found, key=lambda each: each.source.name):
        versions = sorted((each.source for each in group), key=lambda source: version_key(source.version))
        models[name] = tuple(versions)
        _demand_route(versions[-1])
        if before is None:
            _demand_versions(versions)
            notices += _missing(versions)
        notices += _left_out(name, versions)
    settings = configuration.settings
    _demand_default(settings.default_model, list(models))
    demand_rates(settings.quota, "quota")
    slices = {name: versions[-1].settings for name, versions in models.items()}
    watched = _watched(found, configuration)
    home = configuration.file.absolute().parent if configuration.file else Path.cwd()
    settings = msgspec.structs.replace(settings, models=slices, state_dir=str(home / settings.state_dir))
    keys = read_keys(Path(settings.keys)) if settings.keys is not None else None
    return Resolved(settings, models, tuple(notices), watched, tuple(found), shapes, keys)


def _watched(found: Sequence[Found], configuration: Configuration) -> tuple[Path, ...]:
    """Where to look for changes. A file that was named by itself is one version for good."""
    named = {each.named.path: each.named for each in found}
    trees = {path: each for path, each in named.items() if each.configured or path.is_dir()}
    locks = {each.warrant.lock.path for each in trees.values()}
    keys = configuration.settings.keys
    files = [*([configuration.file.absolute()] if configuration.file else []), *([Path(keys)] if keys else [])]
    return (*trees, *locks, *files)


def _chosen(versions: Sequence[ModelSource]) -> list[ModelSource]:
    settings = versions[-1].settings
    names = [source.version for source in versions]
    choice = choose(settings.load, settings.route, there=names, failed=(), passed=(), now=None)
    return [source for source in versions if source.version in choice.needed]


def _left_out(name: str, versions: Sequence[ModelSource]) -> Iterator[str]:
    loaded = [source.version for source in _chosen(versions)]
    if others := [source.version for source in versions if source.version not in loaded]:
        load = versions[-1].settings.load
        yield f"{name}: loading version {', '.join(loaded)}, and not {', '.join(others)} (load is {load})"


def find(
    arguments: Sequence[str],
    configuration: Configuration,
    shapes: dict[Path, Shape] | None = None,
    before: Sequence[Found] = (),
) -> tuple[list[Found], list[str]]:
    """Every version of every model that is named, and notices of what was passed over. Raises ConfigurationError.

    `shapes` are those of the directories, as far as they are known, and are added to; what was found `before` stands
    for what can be found no more.
    """
    shapes = {} if shapes is None else shapes
    found: list[Found] = []
    notices: list[str] = []
    for named in (*_configured(configuration), *_spoken(arguments, configuration)):
        try:
            fit, passed_over = _fit(_places(named, shapes), named)
            sources = [source_of(place, named.settings, named.warrant) for place in fit]
            notices += [*passed_over, *_alone(fit)]
        except (ArtifactError, ConfigurationError) as error:
            if known := [each for each in before if each.named.path == named.path]:
                notices.append(f"{error}: it stays as it was")
                found += known
                continue
            if isinstance(error, ConfigurationError) and not named.configured:
                raise
            nowhere = Place(named.name or named.path.name, ONLY_VERSION, named.path, named.path)
            sources = [refused(nowhere, named.settings, error)]
        found += [Found(source, named) for source in sources]
    return found, notices


def lock_path(configuration: Configuration, beside: Path) -> Path:
    """The lock of what lies in the directory `beside`, unless one is named for everything."""
    lock = configuration.settings.lock
    return Path(lock) if lock else beside / LOCK_NAME


def _places(named: Named, shapes: dict[Path, Shape]) -> list[Place]:
    path = named.path
    if not path.exists():
        remedy = "; nothing is fetched: download it first" if "://" in named.said else _near(path)
        raise ConfigurationError(f"{_spelt(named)}: no such file or directory{remedy}")
    if path.is_dir():
        _demand_outside(named.warrant.lock.path, path)
        one_model = named.configured or named.name is not None
        shape = shapes.setdefault(path, shape_of(path, one_model=one_model))
        return places(path, named.name, one_model=named.configured, shape=shape)
    return [Place(named.name or path.stem, ONLY_VERSION, path, path.parent.resolve())]


def _fit(places: Sequence[Place], named: Named) -> tuple[list[Place], list[str]]:
    """The places whose names can be served, and what is wrong with the others. Raises ConfigurationError if all are."""
    wrong = {place: problem for place in places if (problem := _misnomer(place, named))}
    if wrong and len(wrong) == len(places):
        raise ConfigurationError(next(iter(wrong.values())))
    return [place for place in places if place not in wrong], [f"passed over: {each}" for each in wrong.values()]


def _alone(places: Sequence[Place]) -> Iterator[str]:
    """A word on files that were named by themselves and lie beside a manifest, which might well name a transform."""
    for place in places:
        if not place.path.is_dir() and place.path.with_name(MANIFEST).exists():
            yield f"{place.name}: {MANIFEST} beside it is not read; to have what it says, name {place.path.parent}"


def _misnomer(place: Place, named: Named) -> str | None:
    if not MODEL_NAME.fullmatch(place.name):
        choose = f"; choose one: my_model={shlex.quote(_spelt(named))}" if place.path == named.path else ""
        return f"{place.name!r} is no name for a model ({ALPHABET}){choose}"
    if place.version in LABELS:
        return f"'{place.version}' is a label, and no name for a version of {place.name}"
    if not VERSION_NAME.fullmatch(place.version):
        return f"{place.version!r} is no name for a version of {place.name} (letters, digits, '.', '_', '-' and '+')"
    return None


def _configured(configuration: Configuration) -> Iterator[Named]:
    """The models of penstock.yaml, beside which the lock lies."""
    file = configuration.file
    if file is None:
        return
    lock = read_lock(lock_path(configuration, file.absolute().parent))
    for name, settings in configuration.settings.models.items():
        code = configuration.models[name].get("code_path")
        named = code is not None and code.origin != file.name
        warrant = Warrant(lock, _remedy(configuration, str(file)), code_named=named)
        yield Named(name, Path(settings.path), str(file), settings, warrant, configured=True)


def _spoken(arguments: Sequence[str], configuration: Configuration) -> Iterator[Named]:
    """What the command line names. The lock of a directory lies beside it; a file needs none, but `--lock` counts."""
    for argument in arguments:
        name, said = _split(argument)
        path = Path(os.path.abspath(said))
        pinned = path.is_dir() or configuration.settings.lock is not None
        beside = lock_path(configuration, path.parent)
        warrant = Warrant(
            read_lock(beside) if pinned else Lock(beside, {}),
            _remedy(configuration, said),
            file_named=not path.is_dir(),
            code_named=True,
        )
        yield Named(name, path, said, configuration.model(str(path)), warrant, configured=False)


def _split(argument: str) -> tuple[str | None, str]:
    """NAME=PATH, unless there is a file of the whole name."""
    if not argument:
        raise ConfigurationError("an empty name names no model")
    name, equals, path = argument.partition("=")
    if not equals or Path(argument).exists():
        return None, argument
    if not MODEL_NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name for a model: use {ALPHABET}")
    if not path:
        raise ConfigurationError(f"{argument}: say where the model is: {name}=PATH")
    return name, path


def _remedy(configuration: Configuration, said: str) -> str:
    """The command that pins what was named by `said`, with the lock where only a flag told of it."""
    lock = configuration.service.get("lock")
    option = ["--lock", os.path.relpath(lock.value)] if lock and lock.origin == "--lock" else []
    return shlex.join(["penstock", "lock", *option, said])


def _demand_outside(lock: Path, tree: Path) -> None:
    if lock.resolve().is_relative_to(tree.resolve()):
        raise ConfigurationError(
            f"{lock} lies within {tree}, where whoever can exchange a model could vouch for it: keep the lock outside"
        )


def _demand_distinct(found: Sequence[Found]) -> None:
    """Raises ConfigurationError where two things that were named hold models of one name."""
    first: dict[str, Named] = {}
    for source, named in found:
        other = first.setdefault(source.name, named)
        if other is not named:
            raise ConfigurationError(
                f"two models are called '{source.name}' ({other.said} and {named.said}): "
                f"give one of them another name, {source.name}_2={shlex.quote(named.said)} say"
            )


def _demand_route(source: ModelSource) -> None:
    """Raises ConfigurationError where the route of a model cannot be meant, whichever versions there are."""
    route = source.settings.route
    for part, remedy in faults(route, None if route.default == LATEST else route.default):
        raise ConfigurationError(f"{source.name}: route.{part}.version: {remedy}")


def _demand_versions(versions: Sequence[ModelSource]) -> None:
    """Raises ConfigurationError where the settings have a version answer or be loaded that is not there."""
    settings = versions[-1].settings
    default = settings.route.default
    said = {"load": listed(settings.load), "route.default": [default] if default != LATEST else []}
    for setting, wanted in said.items():
        for version in wanted:
            if (absence := _absence(version, setting, versions)) is not None:
                raise ConfigurationError(absence)


def _missing(versions: Sequence[ModelSource]) -> Iterator[str]:
    """A word on a canary and a shadow that are not there: nobody waits for their answers."""
    route = versions[-1].settings.route
    for part, version in (("canary", route.canary.version), ("shadow", route.shadow.version)):
        if version is not None and (absence := _absence(version, f"route.{part}.version", versions)) is not None:
            yield f"{absence}: there is no {part} until it is there"


def _absence(version: str, setting: str, versions: Sequence[ModelSource]) -> str | None:
    """What to say of a version that `setting` names and that is not there."""
    names = [source.version for source in versions]
    if version in names:
        return None
    there = did_you_mean(version, names) or f", only {', '.join(names)}"
    return f"{versions[0].name}: {setting}: there is no version '{version}'{there}"


def _demand_default(name: str | None, names: Sequence[str]) -> None:
    if name is not None and name not in names:
        others = did_you_mean(name, names) or f", only {', '.join(names)}"
        raise ConfigurationError(f"default_model: there is no model '{name}'{others}")


def _spelt(named: Named) -> str:
    return str(named.path) if named.configured else named.said


def _near(path: Path) -> str:
    """A name in the same directory that is nearly this one."""
    try:
        return did_you_mean(path.name, sorted(os.listdir(path.parent)))
    except OSError:
        return ""
