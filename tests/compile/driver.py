"""Certifies models as the compiler does, and runs what it certified."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from penstock.compile.certify import Trial, certify
from penstock.host.cache import Entry
from penstock.host.rows import batch
from penstock.host.runtimes.compiled import Compiled
from penstock.model.control import Artifact
from tests.host.driver import pickled


def certified(model: Any, folder: Path, **said: Any) -> Entry:
    """What the compiler finds, however fast either is."""
    with mock.patch.object(Trial, "_demand_faster", return_value=(2.0, 1.0)):
        return certify(pickled(model, folder, compile="auto", **said))


def demand_double(entry: Entry) -> None:
    """Compiled in double precision, and the same but for last digits."""
    certificate = entry.certificate
    assert certificate.form == "ONNX in float64", certificate.reason
    assert certificate.largest_difference is not None
    assert certificate.largest_difference < 1e-11


def run(entry: Entry, *tensors: Any) -> list[Any]:
    """What the compiled form answers: labels, confidence, probabilities or values."""
    compiled = Compiled(entry.graph, entry.signature, Artifact(path="", format="pickle", root=""), {})
    outputs = compiled.predict(tensors, len(tensors[0]), True)
    return [*outputs.values, outputs.confidence, outputs.probabilities]


def same(entry: Entry, model: Any, rows: Any) -> None:
    """Demands that the compiled form answers these rows, a matrix, a table or texts, as the model does."""
    got = run(entry, *batch(entry.signature.tensors(), entry.signature.inputs, _listed(rows, entry)))
    said = np.asarray(model.predict(rows))
    field = entry.signature.output.fields[0]
    if field.classes is None:
        assert np.allclose(np.ravel(got[0]), said.ravel(), rtol=1e-9, atol=1e-9)
        return
    assert [field.classes[index] for index in np.asarray(got[0]).tolist()] == said.tolist()
    if entry.signature.output.probabilities:
        assert np.allclose(got[2], model.predict_proba(rows), rtol=0, atol=1e-9)


def _listed(rows: Any, entry: Entry) -> Sequence[Any]:
    if isinstance(rows, list):
        return [[text] for text in rows]
    if isinstance(rows, np.ndarray):
        return list(rows.tolist())
    table = rows[[field.name for field in entry.signature.inputs]].to_numpy(object).tolist()
    return [[None if value != value else value for value in row] for row in table]  # as JSON has a gap
