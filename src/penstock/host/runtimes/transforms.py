"""Fitted transforms that a manifest names: read as the model is, under the same trust, and put in front of it."""

from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple

from msgspec import structs

from penstock.errors import UnsupportedArtifact
from penstock.host import source
from penstock.host.columns import remembered
from penstock.host.runtimes.estimator import Estimator, demand_predict
from penstock.model.control import Artifact, Transform


class Part(NamedTuple):
    """A transform, or the model, and the file that it comes from."""

    file: str
    fitted: Any


class Transforms(NamedTuple):
    """The transforms of an artifact in order, and the sha256 of each one's file by its path."""

    parts: tuple[Part, ...]
    digests: dict[str, str]

    def pipeline(self, *model: Part) -> Any:
        """One pipeline of all that was fitted already, the model last. Raises UnsupportedArtifact for other widths."""
        from sklearn.pipeline import Pipeline  # which a pickle without transforms may do without

        parts = (*self.parts, *model)
        _demand_widths(parts)
        return Pipeline([(f"step_{number}", _estimator(part.fitted)) for number, part in enumerate(parts, 1)])


class Foreign:
    """An object that is no estimator of scikit-learn as a fitted one, which is what a pipeline takes."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def fit(self, *_: Any) -> "Foreign":
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        from sklearn.base import BaseEstimator

        return BaseEstimator().__sklearn_tags__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _estimator(fitted: Any) -> Any:
    return fitted if hasattr(fitted, "fit") and hasattr(fitted, "__sklearn_tags__") else Foreign(fitted)


def with_transforms(model: Any, artifact: Artifact) -> Estimator:
    """The estimator `model` behind the artifact's transforms, as one pipeline; by itself where there are none."""
    if not artifact.transforms:
        return Estimator(model, artifact)
    demand_predict(model, artifact)
    transforms = read_transforms(artifact)
    estimator = Estimator(transforms.pipeline(Part(artifact.path, model)), artifact)
    estimator.beside = transforms.digests
    return estimator


def read_transforms(artifact: Artifact) -> Transforms:
    """Reads what the manifest names. Raises ArtifactError; for a pickle that nobody vouched for UntrustedArtifact."""
    parts: list[Part] = []
    digests: dict[str, str] = {}
    for transform in artifact.transforms:
        found = source.read(transform.path, artifact.beside.get(transform.path))
        runtime = import_module(f"penstock.host.runtimes.{transform.format}")
        fitted = runtime.read(found, structs.replace(artifact, path=transform.path, format=transform.format))
        _demand_transform(fitted, transform)
        parts.append(Part(transform.path, fitted))
        digests[transform.path] = found.sha256
    return Transforms(tuple(parts), digests)


def width_of(fitted: Any) -> int | None:
    """How many columns a fitted transform gives, if it says so."""
    try:
        return len(fitted.get_feature_names_out())
    except Exception:  # noqa: BLE001  # other people's code, which need not know
        return None


def _demand_transform(fitted: Any, transform: Transform) -> None:
    if callable(getattr(fitted, "transform", None)) and not isinstance(fitted, type):
        return
    kind = type(fitted)
    raise UnsupportedArtifact(
        f"{transform.path} is named as a transform and holds a {kind.__module__}.{kind.__qualname__}, which has no "
        "`transform`: save the fitted transformer itself, or remove it from `transform:` in model.yaml"
    )


def _demand_widths(parts: Sequence[Part]) -> None:
    """Raises UnsupportedArtifact where one part gives another number of columns than the next one takes."""
    for part, following in pairwise(parts):
        given, taken = width_of(part.fitted), remembered(following.fitted, "n_features_in_")
        if given is not None and taken is not None and given != taken:
            raise misfit(part.file, given, following.file, taken)


def misfit(giving: str, given: int, taking: str, taken: int) -> UnsupportedArtifact:
    """What is said of two files of which the second does not take what the first gives."""
    return UnsupportedArtifact(
        f"{giving} gives {given} columns, and {taking}, which follows it, takes {taken}: name the transforms that the "
        "model was trained behind, in their order, as `transform:` in model.yaml"
    )
