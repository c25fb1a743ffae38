"""Looks after one animal: has it compiled as a host would, and compares what it answers with the estimator itself."""

import hashlib
import os
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from penstock.compile import certify as compiler
from penstock.compile.parity import TOLERANCE
from penstock.host.cache import Cache, key_of, place
from penstock.host.responder import Responder
from penstock.host.start import start
from penstock.model.certificate import Certificate
from penstock.model.control import Artifact
from penstock.model.signature import Signature
from tests.zoo.feed import ASKED
from tests.zoo.menagerie import Animal
from tests.zoo.wire import ask, features

ALONE = 6  # rows that are asked one by one; the others in batches
SIZES = (60, 7)
PRECISE = 1e-9  # of a number's size: what is computed in double precision from beginning to end is no farther off


class Kept(NamedTuple):
    """A trained animal in the host, in the form that the compiler found for it."""

    model: Any
    certificate: Certificate
    signature: Signature
    responder: Responder


def precision(certificate: Certificate) -> str | None:
    """In which a compiled form runs, be it in one place alone; None where the original serves."""
    if certificate.form is None:
        return None
    double = "float64" in certificate.form and (certificate.largest_difference or 0.0) <= PRECISE
    return "float64" if double else "float32"


def untimed(*_: object) -> tuple[float, float]:
    """In the place of Trial._demand_faster: what the zoo finds must not depend on the machine's speed."""
    return 2.0, 1.0


def trained(animal: Animal, path: Path) -> Any:
    """The fitted model, which is pickled to `path` too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how well it was trained is no matter
        model = animal.trained()
        path.write_bytes(pickle.dumps(model))
        return model


def keep(animal: Animal, folder: Path) -> Kept:
    """Trains, pickles, certifies and starts it: what was found is put into the cache, where the host finds it."""
    path = folder / "model.pkl"
    model = trained(animal, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        artifact = Artifact(path=str(path), format="pickle", root=str(folder), trusted=True, compile="auto")
        entry = compiler.certify(artifact)
        directory = place(os.environ)
        assert directory is not None
        Cache(directory).put(key_of(artifact, hashlib.sha256(path.read_bytes()).hexdigest(), ()), entry)
        served, loaded = start(artifact, lambda progress: None)
    assert loaded.certificate == entry.certificate, "the host did not take what was put into the cache"
    return Kept(model, entry.certificate, loaded.signature, Responder(served, loaded.signature))


def compare(animal: Animal, kept: Kept) -> None:
    """Asks it 200 rows, alone and in batches, and compares with what the estimator says of the same batch."""
    rows = animal.feed().asked()
    allowed = {"float64": PRECISE, "float32": TOLERANCE, None: 0.0}[precision(kept.certificate)]
    names = [field.name for field in kept.signature.inputs]
    for portion in portions():
        some = rows.iloc[portion] if isinstance(rows, pd.DataFrame) else rows[portion]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = ask(kept.responder, kept.signature, features(some, names))
            said = np.asarray(_dense(kept.model.predict(some)))
            stated = kept.model.predict_proba(some) if kept.signature.output.probabilities else None
        _demand_equal(kept.signature, got, said, stated, allowed)


def portions() -> Iterator[slice]:
    yield from (slice(i, i + 1) for i in range(ALONE))
    at, turn = ALONE, 0
    while at < ASKED:
        yield slice(at, at + SIZES[turn % 2])
        at, turn = at + SIZES[turn % 2], turn + 1


def _demand_equal(
    signature: Signature, got: list[Any], said: NDArray[Any], stated: NDArray[Any] | None, allowed: float
) -> None:
    fields = signature.output.fields
    answers = said.reshape(len(said), -1) if fields[0].classes else said[:, None]
    for field, column, answer in zip(fields, got, answers.T if fields[0].classes else [said], strict=False):
        if field.classes is not None:
            labels = [field.classes[index] for index in np.asarray(column).tolist()]
            assert labels == answer.tolist(), f"{field.name}: {labels} where the estimator says {answer.tolist()}"
        else:
            _demand_close(np.asarray(column), answer.reshape(np.shape(column)), allowed)
    if stated is not None:
        confidence, probabilities = got[len(fields) :]
        _demand_close(probabilities, stated, allowed)
        assert np.array_equal(confidence, probabilities[np.arange(len(said)), got[0]])


def _demand_close(got: NDArray[Any], said: NDArray[Any], allowed: float) -> None:
    off = np.abs(got - said) / np.maximum(1.0, np.abs(said))
    assert off.max() <= allowed, f"{got.ravel()[off.argmax()]} where the estimator says {said.ravel()[off.argmax()]}"


def _dense(answer: Any) -> Any:
    return answer.toarray() if hasattr(answer, "toarray") else answer
