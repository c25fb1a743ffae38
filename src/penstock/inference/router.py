"""Which version of which model a request means: a pure choice."""

from collections.abc import Mapping
from hashlib import blake2b

from penstock.errors import UnknownModel, UnknownVersion
from penstock.model.control import ModelState


def default_model(models: Mapping[str, ModelState], configured: str | None) -> str | None:
    """The model that requests without a name mean: the configured one, else the only one."""
    if configured is not None:
        return configured
    return next(iter(models)) if len(models) == 1 else None


def choose_model(models: Mapping[str, ModelState], configured: str | None, name: str | None) -> ModelState:
    """The model called `name`, or the default one. Raises UnknownModel, listing the names."""
    wanted = name if name is not None else default_model(models, configured)
    if wanted is not None and wanted in models:
        return models[wanted]
    names = ", ".join(sorted(models)[:20]) or "none"
    what = "There is no model of that name" if name is not None else "Name a model: there is no default one"
    raise UnknownModel(f"{what}. Models: {names}.")


def choose_version(model: ModelState, version: str | None) -> str:
    """The version asked for, by its name or as "stable" or "canary", else the default one. Raises UnknownVersion,
    listing those that are loaded."""
    if version is None or version == model.default:
        return model.default
    loaded = loaded_versions(model)
    if version in loaded:
        return version
    labels = {"stable": model.default, "canary": model.canary.version}
    if (meant := labels.get(version)) is not None:
        return meant
    name = model.name
    what = f"There is no canary of {name} now" if version == "canary" else f"That version of {name} is not loaded"
    raise UnknownVersion(f"{what}. Versions: {', '.join(loaded[:20]) or 'none'}.")


def loaded_versions(model: ModelState) -> list[str]:
    """The versions that take requests, in their order."""
    return [state.version for state in model.versions if state.loaded is not None and state.state != "unloading"]


class Share:
    """A part of the requests without a version: `percent` of the values of the header `sticky`, or of their ids.

    Every front decides alike, and whoever is in it at some percentage is in it at every larger one. Shares of other
    `purpose`s are others.
    """

    def __init__(self, purpose: str, percent: float, sticky: str | None = None) -> None:
        self.sticky = sticky.lower().encode("ascii") if sticky else None
        self.is_everyone = percent >= 100
        self._salt = blake2b(purpose.encode(), digest_size=16).digest()
        self._upto = round(percent / 100 * 2**64)

    def takes(self, value: bytes) -> bool:
        """Whether who has this value is in it."""
        place = blake2b(value, digest_size=8, key=self._salt).digest()
        return int.from_bytes(place, "big") < self._upto


def canary_share(model: ModelState) -> Share:
    """Whom the canary answers."""
    canary = model.canary
    return Share(f"{model.name}/{canary.version}", canary.percent, canary.sticky)
