"""A compiled estimator behind the host's port: its graph answers as the estimator did."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import ModelFailed
from penstock.host.labels import Labels, chosen
from penstock.host.model import Column, Outputs
from penstock.host.runtimes.onnx_graph import open_session
from penstock.host.runtimes.onnx_inputs import feeder
from penstock.model.control import Artifact
from penstock.model.signature import Output, Signature

LABELS, STATED = 0, 1  # the outputs of a graph that skl2onnx made of a classifier

GAP = "\ue000"  # in the place of a text that is missing: a character that no text has


class Compiled:
    """The graph that an estimator of this signature was compiled to."""

    runtime = "onnxruntime"
    device = "cpu"

    def __init__(
        self,
        graph: bytes,
        signature: Signature,
        artifact: Artifact,
        trained_with: dict[str, str],
        beside: Mapping[str, str] | None = None,
    ) -> None:
        self.inputs, self.named, self.unused = signature.inputs, signature.named, signature.unused
        self.beside = beside or {}
        self.trained_with = trained_with
        session = open_session(graph, {}, artifact)
        self._feed = feeder(session.get_inputs(), signature.inputs, GAP)
        self._run = session.run
        self._output = signature.output
        by_place = session.get_outputs()[LABELS].type == "tensor(int64)"
        self._labels = tuple(
            Labels(range(len(classes)) if by_place and isinstance(classes[0], str) else classes)
            for field in signature.output.fields
            if (classes := field.classes) is not None
        )
        self._names = [node.name for node in session.get_outputs()][: 1 + signature.output.probabilities]

    def typical(self) -> Sequence[float] | None:
        """Nothing: the estimator is not there any more."""
        return None

    def probe(self, tensors: Sequence[Column], rows: int) -> Output:
        self.predict(tensors, rows, True)
        return self._output

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs:
        answers = self._run(self._names, self._feed(tensors))
        if not self._labels:
            return Outputs((answers[0],))
        if len(self._labels) > 1:
            return Outputs([labels.indices(column) for labels, column in _columns(self._labels, answers[LABELS], rows)])
        labels = self._labels[0]
        indices = labels.indices(answers[LABELS].reshape(-1))
        if not self._output.probabilities:
            return Outputs((indices,))
        stated: NDArray[Any] = answers[STATED]
        if stated.shape != (rows, len(labels)):
            raise ModelFailed(f"the graph states probabilities of shape {stated.shape} for {rows} rows")
        return Outputs((indices,), chosen(stated, indices), np.asarray(stated, np.float64) if probabilities else None)


def _columns(labels: Sequence[Labels], answer: NDArray[Any], rows: int) -> list[tuple[Labels, NDArray[Any]]]:
    if answer.shape != (rows, len(labels)):
        raise ModelFailed(f"the graph answers labels of shape {answer.shape} for {rows} rows")
    return list(zip(labels, answer.T, strict=True))
