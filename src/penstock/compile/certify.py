"""The compiler's work: load the model, convert it, and certify a form that answers as the original does."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from msgspec import structs

from penstock.compile.conversion import Form, forms
from penstock.compile.parity import TOLERANCE, Difference, Reference, largest_difference, reference
from penstock.errors import PenstockError
from penstock.host import examples
from penstock.host.boundaries import boundary_rows
from penstock.host.cache import Entry, versions
from penstock.host.model import Model
from penstock.host.probes import WIDEST, probe_rows
from penstock.host.reference import sample_of
from penstock.host.refusals import detail
from penstock.host.rehearsal import Rehearsal
from penstock.host.rows import Row, batch, row_of
from penstock.host.runtimes.compiled import Compiled
from penstock.host.shaping import shaped
from penstock.host.start import start
from penstock.model.certificate import Certificate
from penstock.model.control import Artifact, Loaded
from penstock.model.shaping import Shaping

REPETITIONS = 30
BUDGET_S = 0.5  # for the repetitions of one measurement
SIZES = (1, 64)  # rows of the batches that are timed
LONGEST_REASON = 600


def certify(artifact: Artifact) -> Entry:
    """What may run in the artifact's place, or why nothing may. Raises whatever its loading raises."""
    began = perf_counter()
    plain = structs.replace(artifact, compile="off", output=Shaping(), examples=None)  # what is compiled is the model
    model, loaded = start(plain, lambda progress: None)
    trial = Trial(artifact, model, loaded)
    certificate, graph = trial.verdict()
    certificate = structs.replace(certificate, seconds=round(perf_counter() - began, 3), libraries=versions())
    return Entry(
        certificate=certificate,
        signature=loaded.signature,
        trained_with=loaded.trained_with,
        warnings=loaded.warnings,
        graph=graph,
        final=not trial.might_pass_another_time,
    )


def _golden(artifact: Artifact) -> list[examples.Example]:
    if artifact.examples is None:
        return []
    return examples.read(artifact.examples, artifact.beside.get(artifact.examples))[0]


def _problem(error: Exception) -> str:
    """Why a form will not do: our own words as they are, other people's with the name of their class."""
    if isinstance(error, Difference | PenstockError):
        return str(error)
    return f"not converted: {error}" if type(error) is NotImplementedError and str(error) else detail(error)


def _told(problems: Mapping[str, str]) -> str:
    """The problem of each form; that of all of them once."""
    if len(set(problems.values())) == 1:
        return next(iter(problems.values()))
    return "; ".join(f"{name}: {problem}" for name, problem in problems.items())


class NoFaster(Difference):
    """The two are equal, and compiling gains nothing."""


class Trial:
    """The original, its answers on the probe rows, and one form after the other beside it."""

    def __init__(self, artifact: Artifact, model: Model, loaded: Loaded) -> None:
        self._artifact = artifact
        self._model = model
        self._loaded = loaded
        self._signature = loaded.signature
        self._golden = _golden(artifact)
        self._sample = sample_of(artifact, self._signature.inputs).rows
        self._found: Reference | None = None
        self._near: list[Row] = []
        self.might_pass_another_time = False
        self._batch = partial(batch, self._signature.tensors(), self._signature.inputs)

    def verdict(self) -> tuple[Certificate, bytes]:
        """The first form that passes, and its graph; else why none did."""
        estimator = getattr(self._model, "estimator", None)
        if estimator is None:
            return Certificate(verdict="original", reason="it is no scikit-learn estimator"), b""
        if len(self._signature.inputs) > WIDEST:
            return Certificate(verdict="original", reason=f"it has more inputs than can be compared ({WIDEST})"), b""
        try:
            candidates = list(forms(estimator, self._signature))
        except NotImplementedError as error:
            return Certificate(verdict="original", reason=str(error)), b""
        problems: dict[str, str] = {}
        differing: list[str] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for form in candidates:
                try:
                    return self._passed(form, estimator)
                except Exception as error:  # noqa: BLE001  # converters raise what they like
                    problems[form.name] = _problem(error)
                    differing += [error.row] if isinstance(error, Difference) and error.row else []
                    self.might_pass_another_time |= isinstance(error, NoFaster | MemoryError | OSError)
        return Certificate(
            verdict="original",
            reason=_told(problems)[:LONGEST_REASON],
            differing_row=next(iter(differing), None),
            rows=len(self._found.rows) if self._found else 0,
            tolerance=TOLERANCE,
        ), b""

    def _reference(self, estimator: Any) -> Reference:
        """The original's answers; it is not asked before there is something to compare them with."""
        if self._found is None:
            inputs = self._signature.inputs
            rows = probe_rows(estimator, inputs, self._model.typical(), self._golden_rows(), sample=self._sample)
            found = reference(self._model, rows, self._batch, self._signature.output)
            near = self._near = self._boundaries(found)
            self._found = (
                found.with_more(reference(self._model, near, self._batch, self._signature.output)) if near else found
            )
        return self._found

    def _called(self, row: Row) -> str:
        """What a probe row is called in a certificate, which tells none of its values."""
        if row in self._golden_rows():
            return "an example"
        if list(row) in [list(each) for each in self._sample]:
            return "a row of the training data"
        return "a row between two classes" if row in self._near else "a probe row"

    def _boundaries(self, found: Reference) -> list[Row]:
        """Rows where the original's labels change."""
        if not any(field.classes for field in self._signature.output.fields):
            return []

        def ask(rows: Sequence[Row]) -> list[Any]:
            labels = self._model.predict(self._batch(rows), len(rows), False).values
            return [tuple(each) for each in np.stack([np.asarray(value) for value in labels], axis=1).tolist()]

        try:
            return boundary_rows(self._signature.inputs, found.rows, ask(found.rows), ask)
        except Exception:  # noqa: BLE001  # the original's own: it refuses what lies between
            return []

    def _golden_rows(self) -> list[Row]:
        rows = []
        for example in self._golden:
            try:
                rows.append(row_of(example.features, self._signature.inputs))
            except PenstockError:  # said when it is replayed
                continue
        return rows

    def _passed(self, form: Form, estimator: Any) -> tuple[Certificate, bytes]:
        """The certificate of a form that is equal and faster. Raises Difference, or whatever goes wrong."""
        graph = form.graph()
        compiled = Compiled(graph, self._signature, self._artifact, self._loaded.trained_with)
        found = self._reference(estimator)
        worst = largest_difference(found, compiled, self._batch, self._signature.output, self._called)
        if self._artifact.examples:
            rehearsal = Rehearsal(shaped(compiled, self._artifact), [])
            examples.replay(self._artifact.examples, self._golden, rehearsal.answer)
        original_us, compiled_us = self._demand_faster(compiled, found)
        certificate = Certificate(
            verdict="compiled",
            form=form.name,
            rows=len(found.rows) + len(found.refused),
            largest_difference=worst,
            tolerance=TOLERANCE,
            original_us=original_us,
            compiled_us=compiled_us,
            sha256=sha256(graph).hexdigest(),
        )
        return certificate, graph

    def _demand_faster(self, compiled: Model, found: Reference) -> tuple[float, float]:
        """Microseconds of both for one row. Raises NoFaster where neither one row nor many are faster compiled.

        Who requires the compiled form has it in any case.
        """
        ours, theirs = ([self._microseconds(model, found, rows) for rows in SIZES] for model in (self._model, compiled))
        required = self._artifact.compile == "require"
        if not required and all(
            compiled_us >= original_us for original_us, compiled_us in zip(ours, theirs, strict=True)
        ):
            raise NoFaster(f"equal, but no faster: {theirs[0]:g} µs a row, and the original {ours[0]:g} µs")
        return ours[0], theirs[0]

    def _microseconds(self, model: Model, found: Reference, rows: int) -> float:
        """The median time of a batch of so many rows that the original takes."""
        tensors = self._batch([found.rows[i % len(found.rows)] for i in range(rows)])
        taken: list[float] = []
        until = perf_counter() + BUDGET_S
        while len(taken) < REPETITIONS and (perf_counter() < until or not taken):
            began = perf_counter()
            model.predict(tensors, rows, False)
            taken.append(perf_counter() - began)
        return round(median(taken) * 1e6, 1)
