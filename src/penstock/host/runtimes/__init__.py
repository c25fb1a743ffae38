"""The runtimes: one module a format, imported when a model of that format is loaded."""

from functools import partial
from importlib import import_module
from typing import Protocol, cast

from penstock.host.model import Model
from penstock.host.shaping import shaped
from penstock.host.source import Source
from penstock.model.control import Artifact

RUNTIMES = {
    "pickle": "penstock.host.runtimes.pickle:load",
    "skops": "penstock.host.runtimes.skops:load",
    "onnx": "penstock.host.runtimes.onnx:load",
    "torchscript": "penstock.host.runtimes.torchscript:load",
    "predictor": "penstock.host.runtimes.predictor:load",
}

CHAINED = ("pickle", "skops")  # formats whose loaders make one pipeline of the transforms and the model


class Loader(Protocol):
    """Makes a model of the bytes of `source`. Raises ArtifactError, or whatever the artifact's own code raises."""

    def __call__(self, source: Source, artifact: Artifact) -> Model: ...


def load(source: Source, artifact: Artifact) -> Model:
    """Loads `source` with the runtime of the artifact's format, and gives its answers the shape that is declared.

    Raises as a Loader does, and ImportError where the runtime is not installed.
    """
    module, _, name = RUNTIMES[artifact.format].partition(":")
    loader = cast(Loader, getattr(import_module(module), name))
    if artifact.transforms and artifact.format not in CHAINED:
        from penstock.host.runtimes.transformed import load_behind

        model = load_behind(partial(loader, source), artifact)
    else:
        model = loader(source, artifact)
    return shaped(model, artifact)
