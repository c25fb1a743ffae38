"""Which version of which model a request means: a pure choice."""

from collections.abc import Mapping

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
    """The version asked for, else the one that the model's route names. Raises UnknownVersion, listing those loaded."""
    if version is None or version == model.default:
        return model.default
    loaded = [state.version for state in model.versions if state.loaded is not None]
    if version in loaded:
        return version
    raise UnknownVersion(f"That version of {model.name} is not loaded. Versions: {', '.join(loaded[:20]) or 'none'}.")
