"""An ONNX graph behind the host's port, run by ONNX Runtime on the CPU or a CUDA device."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from penstock.errors import ModelFailed, UnavailableDevice
from penstock.host.inputs import settle
from penstock.host.labels import Labels, are_probabilities, chosen
from penstock.host.model import Column, Outputs
from penstock.host.onnx_checker import Verdict
from penstock.host.runtimes.onnx_inputs import feeder, fields, row_shape
from penstock.model.control import Artifact
from penstock.model.signature import DType, Output, OutputField

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
FATAL_ONLY = 4  # what else goes wrong is raised


def open_session(data: bytes, weights: Mapping[str, bytes], artifact: Artifact) -> Any:
    """A session of ONNX Runtime, set for serving. Raises UnavailableDevice, or whatever ONNX Runtime raises."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = artifact.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = FATAL_ONLY
    if weights:
        contents = list(weights.values())
        options.add_external_initializers_from_files_in_memory(list(weights), contents, list(map(len, contents)))
    session = onnxruntime.InferenceSession(data, options, providers=_providers(artifact.device))
    if artifact.device.startswith("cuda") and session.get_providers()[0] != CUDA:
        raise _unavailable(artifact.device, "ONNX Runtime could not start it")
    return session


def _providers(device: str) -> list[Any]:
    there = CUDA in onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and not there):
        return [CPU]
    if not there:
        raise _unavailable(device, "this ONNX Runtime has no CUDA")
    return [(CUDA, {"device_id": device.partition(":")[2] or "0"}), CPU]


def _unavailable(device: str, reason: str) -> UnavailableDevice:
    return UnavailableDevice(
        f"device {device} is not available ({reason}): "
        "pip install onnxruntime-gpu where there is a GPU, or say `device: cpu`"
    )


class Graph:
    """A session that answers batches.

    A graph whose first two outputs are labels and probabilities is a classifier; any other answers its outputs as
    they are. One that only takes a fixed number of rows is given the batch in parts of that number.
    """

    runtime = "onnxruntime"

    def __init__(self, session: Any, verdict: Verdict, artifact: Artifact, beside: Mapping[str, str]) -> None:
        self.beside = beside
        nodes = session.get_inputs()
        found, named = fields(nodes, verdict.widths | _declared_width(nodes, verdict, artifact))
        self.inputs, self.named = settle(artifact, found, named)
        self.device = (
            "cuda:" + (artifact.device.partition(":")[2] or "0") if session.get_providers()[0] == CUDA else "cpu"
        )
        self.trained_with = {verdict.producer: verdict.producer_version} if verdict.producer else {}
        self._feed = feeder(nodes, self.inputs)
        self._run = session.run
        self._nodes = session.get_outputs()
        self._names = [node.name for node in self._nodes]
        self._part = next((node.shape[0] for node in nodes if isinstance(node.shape[0], int)), None)
        self._known = verdict.classes
        self._labels: Labels | None = None
        self._states = False

    def typical(self) -> Sequence[float] | None:
        """Nothing: a graph does not remember what it saw."""
        return None

    def probe(self, tensors: Sequence[Column], rows: int) -> Output:
        answers = self._answers(tensors, rows)
        for name, answer in zip(self._names, answers, strict=True):
            if np.ndim(answer) == 0 or len(answer) != rows:
                raise ModelFailed(
                    f"its output {name} has {np.shape(answer)} for {rows} rows, which is not one for each row"
                )
        self._labels = _labels(answers, self._known)
        if self._labels is None:
            free = any(None in field.shape for field in self.inputs)
            pairs = zip(self._nodes, answers, strict=True)
            return Output(fields=tuple(_value_field(node, answer, free) for node, answer in pairs))
        stated = _matrix(answers[1], self._labels.keys) if len(answers) == 2 else None
        self._states = stated is not None and are_probabilities(stated)
        field = OutputField(name=self._names[0], dtype="int32", classes=self._labels.classes)
        return Output(fields=(field,), probabilities=self._states)

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs:
        answers = self._answers(tensors, rows)
        labels = self._labels
        if labels is None:
            return Outputs(answers)
        indices = labels.indices(answers[0].reshape(-1))
        if not self._states:
            return Outputs((indices,))
        stated = _matrix(answers[1], labels.keys)
        if stated.shape != (rows, len(labels)) or len(indices) != rows:
            raise ModelFailed(
                f"the model answered {len(indices)} labels and {len(stated)} probabilities for {rows} rows"
            )
        return Outputs((indices,), chosen(stated, indices), np.asarray(stated, np.float64) if probabilities else None)

    def _answers(self, tensors: Sequence[Column], rows: int) -> list[Any]:
        feed = self._feed(tensors)
        if self._part is None:
            answers: list[Any] = self._run(self._names, feed)
            return answers
        parts = [self._answer_part(feed, start, min(self._part, rows - start)) for start in range(0, rows, self._part)]
        return [_joined(answers) for answers in zip(*parts, strict=True)]

    def _answer_part(self, feed: Mapping[str, NDArray[Any]], start: int, rows: int) -> list[Any]:
        """Rows from `start`; the last row stands for those that are missing to make the number full."""
        take = np.minimum(np.arange(start, start + (self._part or 0)), start + rows - 1)
        answers = self._run(self._names, {name: array[take] for name, array in feed.items()})
        return [answer[:rows] for answer in answers]


def _declared_width(nodes: Sequence[Any], verdict: Verdict, artifact: Artifact) -> dict[str, int]:
    """How many columns an only input has where the graph leaves it open and scalars are declared."""
    declared = artifact.inputs
    scalars = declared and all(field.shape == () for field in declared)
    if len(nodes) == 1 and scalars and row_shape(nodes[0], verdict.widths) == (None,):
        return {nodes[0].name: len(declared)}
    return {}


def _joined(answers: Sequence[Any]) -> Any:
    if isinstance(answers[0], list):
        return [row for answer in answers for row in answer]
    return answers[0] if len(answers) == 1 else np.concatenate(answers)


def _labels(answers: Sequence[Any], known: Sequence[Any] | None) -> Labels | None:
    """The classes where the graph is a classifier: as it knows them, or as the keys of its maps, or 0, 1, …"""
    first = answers[0]
    if not isinstance(first, np.ndarray) or first.dtype.kind not in "iOU" or first.size != len(first):
        return None
    second = answers[1] if len(answers) == 2 else None
    if isinstance(second, list):
        known = known or (list(second[0]) if isinstance(second[0], dict) else None)
    elif second is not None and known is None and _agree(first, second):
        known = range(second.shape[1])
    if known is None or (isinstance(second, np.ndarray) and second.shape != (len(first), len(known))):
        return None
    labels = Labels(known)
    return labels if all(label in labels for label in first.ravel().tolist()) else None


def _agree(labels: NDArray[Any], scores: NDArray[Any]) -> bool:
    """Whether each label is the position of its row's largest score."""
    if labels.dtype.kind != "i" or scores.ndim != 2 or scores.shape[1] < 2 or scores.dtype.kind != "f":
        return False
    return bool(np.array_equal(scores.argmax(axis=1), labels.ravel()))


def _matrix(stated: Any, keys: Sequence[Any]) -> NDArray[Any]:
    """Probabilities as a matrix ordered as the classes, also where the graph gives a map for each row (ZipMap)."""
    if isinstance(stated, list):
        return np.array([[row[key] for key in keys] for row in stated], dtype=np.float64)
    matrix: NDArray[Any] = stated
    return matrix


def _value_field(node: Any, answer: Any, free: bool) -> OutputField:
    """The field of an output. `free`: inputs may differ in length, and so may outputs that do not state theirs."""
    if not isinstance(answer, np.ndarray):
        raise ModelFailed(f"its output {node.name} is a {node.type}, which is not served")
    named: DType = "string" if answer.dtype.kind in "OUS" else answer.dtype.name
    shape = answer.shape[1:]
    stated = row_shape(node, {})
    if free and len(stated) == len(shape):
        shape = tuple(length if known is not None else None for length, known in zip(shape, stated, strict=True))
    return OutputField(name=node.name, dtype=named, shape=() if shape == (1,) else shape)
