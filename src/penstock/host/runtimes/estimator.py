"""scikit-learn estimators, and whatever else has `predict`: how they are called and what they answer."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import ModelFailed, UnavailableDevice, UnsupportedArtifact
from penstock.host.answers import as_array
from penstock.host.boosters import demand_plain_rows
from penstock.host.columns import describe
from penstock.host.estimators import decides_otherwise, everything, means, missing_as_none, stranger
from penstock.host.inputs import settle
from penstock.host.labels import Labels, chosen
from penstock.host.model import Column, Outputs
from penstock.host.one_pass import PROBES, is_one_pass
from penstock.host.probes import WIDEST, probe_rows
from penstock.host.rows import batch
from penstock.host.runtimes.tables import arranger
from penstock.model.control import Artifact
from penstock.model.signature import DType, Output, OutputField, Signature

KINDS: dict[str, DType] = {"f": "float64", "i": "int64", "u": "int64", "b": "bool"}


class Estimator:
    """A fitted estimator behind the host's port.

    Its answer is the estimator's own `predict`, and the largest probability only where the two were shown to be one.
    """

    runtime = "sklearn"
    device = "cpu"

    def __init__(self, estimator: Any, artifact: Artifact) -> None:
        demand_predict(estimator, artifact)
        demand_plain_rows(estimator, artifact)
        if artifact.device.startswith("cuda"):
            raise UnavailableDevice(
                f"{artifact.path} runs on the CPU only: `device: {artifact.device}` is for ONNX and TorchScript; "
                "say `device: cpu`"
            )
        limit_threads(estimator, artifact.threads)
        columns = describe(estimator)
        if not columns.fields and not artifact.inputs:
            _demand_fitted(estimator)
        self.inputs, self.named = settle(artifact, columns.fields, columns.named)
        self.unused = columns.unused
        self.trained_with: dict[str, str] = {}
        self.beside: Mapping[str, str] = {}
        self.estimator = estimator
        self._predict: Callable[[Any], Any] = estimator.predict
        self._state: Callable[[Any], Any] | None = None
        self._labels: tuple[Labels, ...] = ()
        self._one_pass = False
        self._arrange = arranger(self.inputs, columns.frame, None if missing_as_none(estimator) else np.nan)

    def typical(self) -> Sequence[float] | None:
        """The means that a scaler at the model's entrance learnt, or a row that the model remembers."""
        learnt = means(self.estimator, len(self.inputs))
        rows = getattr(self.estimator, "_fit_X", None)  # of neighbours, some of which answer only where there are any
        if learnt is None and isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == len(self.inputs):
            return [float(value) for value in rows[0]]
        return learnt

    def probe(self, tensors: Sequence[Column], rows: int) -> Output:
        table = self._arrange(tensors)
        answer = _dense(self._predict(table))
        if answer.ndim == 0 or len(answer) != rows:
            raise ModelFailed(f"predict answered an array of shape {answer.shape} for {rows} rows")
        self._labels = _labels(getattr(self.estimator, "classes_", None), answer)
        if not self._labels:
            return Output(fields=(_value_field(answer),))
        if len(self._labels) == 1:
            self._state = self._probabilities(table)
            self._one_pass = self._state is not None and self._shows_one_pass(self._state)
            return Output(fields=(_class_field("prediction", self._labels[0]),), probabilities=self._state is not None)
        fields = (_class_field(f"prediction_{i}", labels) for i, labels in enumerate(self._labels))
        return Output(fields=tuple(fields))

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs:
        table = self._arrange(tensors)
        if self._state is not None and self._one_pass:
            stated = self._stated(self._state, table, rows)
            best = stated.argmax(axis=1).astype(np.int32)
            return Outputs((best,), chosen(stated, best), stated if probabilities else None)
        answer = _dense(self._predict(table))
        if not self._labels:
            return Outputs((answer,))
        if len(answer) != rows:
            raise ModelFailed(f"predict answered {len(answer)} rows of {rows}")
        if len(self._labels) > 1:
            columns = zip(self._labels, answer.T, strict=True)
            return Outputs([labels.indices(column) for labels, column in columns])
        indices = self._labels[0].indices(answer.reshape(rows))
        if self._state is None:
            return Outputs((indices,))
        stated = self._stated(self._state, table, rows)
        return Outputs((indices,), chosen(stated, indices), stated if probabilities else None)

    def _stated(self, state: Callable[[Any], Any], table: Any, rows: int) -> NDArray[np.float64]:
        stated = np.asarray(state(table), dtype=np.float64)
        if stated.shape != (rows, len(self._labels[0])):
            raise ModelFailed(f"predict_proba answered an array of shape {stated.shape} for {rows} rows")
        return stated

    def _shows_one_pass(self, state: Callable[[Any], Any]) -> bool:
        if len(self.inputs) > WIDEST or decides_otherwise(self.estimator) or stranger(self.estimator):
            return False
        layout = Signature(inputs=self.inputs, output=Output(fields=())).tensors()
        try:
            rows = probe_rows(self.estimator, self.inputs, self.typical(), [], PROBES)
        except Exception:  # noqa: BLE001  # other people's estimators: what cannot be shown is not so
            return False
        return is_one_pass(
            self.inputs,
            rows,
            lambda part: self._arrange(batch(layout, self.inputs, part)),
            self._predict,
            state,
            self._labels[0],
        )

    def _probabilities(self, table: Any) -> Callable[[Any], Any] | None:
        """`predict_proba` where there is one that works: some have it and then refuse (a hard vote, say)."""
        try:
            stated: Callable[[Any], Any] = self.estimator.predict_proba
            shape = np.shape(stated(table))
        except Exception:  # noqa: BLE001  # whatever it is, the model's labels can still be served
            return None
        return stated if len(shape) == 2 and shape[1] == len(self._labels[0]) else None


def limit_threads(model: Any, threads: int) -> None:
    """Keeps estimators that ask for more processors than the host was given (`n_jobs=-1`) within its share."""
    for estimator in everything(model):
        if getattr(estimator, "n_jobs", None) not in (None, 1):
            estimator.n_jobs = threads
    threadpools = sys.modules.get("threadpoolctl")
    if threadpools is not None:
        threadpools.threadpool_limits(limits=threads)


def demand_predict(model: Any, artifact: Artifact) -> None:
    """Raises UnsupportedArtifact where `model` is none, and says what it is."""
    if callable(getattr(model, "predict", None)) and not isinstance(model, type):
        return
    kind = type(model)
    inside = "an array of numbers" if isinstance(model, np.ndarray) else f"a {kind.__module__}.{kind.__qualname__}"
    if kind.__module__ == "builtins":
        inside = f"a {kind.__name__}"
    if isinstance(model, type):
        inside = f"the class {model.__name__}: save a fitted instance of it"
    if isinstance(model, dict):
        held = [str(key) for key, value in model.items() if hasattr(value, "predict")]
        inside += f", and its {held[0]!r} is the model: save that by itself" if held else ""
    elif callable(getattr(model, "transform", None)) and not isinstance(model, type):
        inside += ", which transforms and does not predict: save the pipeline that ends in the model"
    raise UnsupportedArtifact(f"{artifact.path} holds no model but {inside} (a model is an object with `predict`)")


def _demand_fitted(model: Any) -> None:
    """Raises NotFittedError where a model does not know its input for that reason.

    Only scikit-learn's own estimators keep its rules on how that is told; others may learn and not show it.
    """
    estimators = list(everything(model))
    if estimators and all(type(each).__module__.startswith("sklearn.") for each in estimators):
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(model)


def _dense(answer: Any) -> NDArray[Any]:
    return as_array(answer.toarray() if hasattr(answer, "toarray") else answer)


def _labels(classes: Any, answer: NDArray[Any]) -> tuple[Labels, ...]:
    """The classes of each output; none where the answers are values. 0 and 1 for each label of a multi-label model."""
    if classes is None:
        return ()
    columns = answer.shape[1] if answer.ndim == 2 else 1
    if isinstance(classes, list) and len(classes) == columns and columns > 1:
        return tuple(map(Labels, classes))
    if columns > 1:
        return (Labels([0, 1]),) * columns if set(np.unique(answer).tolist()) <= {0, 1} else ()
    labels = Labels(classes[0] if isinstance(classes, list) else classes)
    try:
        labels.indices(answer.reshape(len(answer)))
    except ModelFailed:  # an outlier detector in front of a classifier, say: its answers are its own
        return ()
    return (labels,)


def _class_field(name: str, labels: Labels) -> OutputField:
    return OutputField(name=name, dtype="int32", classes=labels.classes)


def _value_field(answer: NDArray[Any]) -> OutputField:
    shape = answer.shape[1:]
    return OutputField(
        name="prediction", dtype=KINDS.get(answer.dtype.kind, "string"), shape=() if shape == (1,) else shape
    )
