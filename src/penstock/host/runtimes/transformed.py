"""A graph, a program or own code behind fitted transforms, which make one matrix of numbers of its rows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from penstock.errors import ModelFailed, UnsupportedArtifact
from penstock.host.columns import describe
from penstock.host.estimators import means, missing_as_none
from penstock.host.inputs import made_up, settle
from penstock.host.model import Around, Column, Model, Outputs
from penstock.host.refusals import detail
from penstock.host.rows import batch, plausible
from penstock.host.runtimes.estimator import limit_threads
from penstock.host.runtimes.tables import arranger
from penstock.host.runtimes.transforms import Transforms, misfit, read_transforms, width_of
from penstock.model.control import Artifact
from penstock.model.formats import usual_dtype
from penstock.model.signature import Field, Output, Signature


def load_behind(load: Callable[[Artifact], Model], artifact: Artifact) -> Model:
    """What `load` makes of the artifact, behind its transforms. Raises ArtifactError."""
    before = Table(read_transforms(artifact), artifact)
    inputs = () if artifact.format == "onnx" else _numbers(before.width, artifact)  # a graph says itself what it takes
    return Transformed(before, load(structs.replace(artifact, inputs=inputs)), artifact)


class Table:
    """The transforms as one: what they take, and the matrix that they make of it."""

    def __init__(self, transforms: Transforms, artifact: Artifact) -> None:
        self.transforms = transforms
        self.last = artifact.transforms[-1].path
        first = artifact.transforms[0]
        self._pipeline = transforms.pipeline()
        limit_threads(self._pipeline, artifact.threads)
        columns = describe(self._pipeline)
        raw = structs.replace(artifact, path=first.path, format=first.format)
        self.inputs, self.named = settle(raw, columns.fields, columns.named)
        blank = None if missing_as_none(self._pipeline) else np.nan
        self._arrange = arranger(self.inputs, columns.frame, blank)
        self.width: int = width_of(transforms.parts[-1].fitted) or self._tried_width()

    def typical(self) -> Sequence[float] | None:
        return means(self._pipeline, len(self.inputs))

    def of(self, tensors: Sequence[Column]) -> NDArray[Any]:
        """The matrix, one row a row. Raises whatever a transform raises."""
        made: Any = self._pipeline.transform(self._arrange(tensors))
        matrix = np.asarray(made.toarray() if hasattr(made, "toarray") else made)
        if matrix.ndim != 2:
            raise ModelFailed(f"{self.last} gives an array of shape {matrix.shape} and no table")
        return matrix

    def _tried_width(self) -> int:
        failure: Exception | None = None
        layout = _layout(self.inputs)
        for row in plausible(self.inputs, self.typical()):
            try:
                return int(self.of(batch(layout, self.inputs, [row])).shape[1])
            except Exception as error:  # noqa: BLE001  # a transform's own; told below if no row fares better
                failure = failure or error
        raise UnsupportedArtifact(
            f"{self.last} transforms none of the rows it was tried with ({detail(failure or ModelFailed())}): "
            "declare what it takes as `inputs:` in model.yaml"
        )


class Transformed(Around):
    """A model that is given what the transforms make of the rows. Its inputs are those of the first transform."""

    def __init__(self, before: Table, model: Model, artifact: Artifact) -> None:
        super().__init__(model)
        layout = _layout(model.inputs)
        if len(layout) > 1 or layout[0].dtype == "string" or len(layout[0].shape) != 1:
            raise UnsupportedArtifact(
                f"{artifact.path} takes more than one table of numbers, which is what transforms give: "
                "remove `transform:` from model.yaml, and send what the model takes"
            )
        taken = layout[0].shape[0]
        if taken not in (None, before.width):
            raise misfit(before.last, before.width, artifact.path, taken or 0)
        self.inputs, self.named = before.inputs, before.named
        self.beside = {**self.beside, **before.transforms.digests}
        self._before = before
        self._dtype = np.dtype(layout[0].dtype)

    def probe(self, tensors: Sequence[Column], rows: int) -> Output:
        return self._model.probe(self._transformed(tensors), rows)

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs:
        return self._model.predict(self._transformed(tensors), rows, probabilities)

    def typical(self) -> Sequence[float] | None:
        return self._before.typical()

    def _transformed(self, tensors: Sequence[Column]) -> list[Column]:
        return [np.ascontiguousarray(self._before.of(tensors), self._dtype)]


def _layout(inputs: tuple[Field, ...]) -> tuple[Any, ...]:
    return Signature(inputs=inputs, output=Output(fields=())).tensors()


def _numbers(width: int, artifact: Artifact) -> tuple[Field, ...]:
    dtype = usual_dtype(artifact.format)
    return tuple(Field(name=made_up(i), dtype=dtype, origin="declared") for i in range(width))
