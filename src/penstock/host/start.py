"""From a file to a model that is ready: read, vouch, load, warm up, replay."""

import resource
import warnings
from collections.abc import Callable
from pathlib import PurePath
from time import perf_counter
from typing import TYPE_CHECKING

from penstock.errors import ArtifactError, UnreadableArtifact, UntrustedArtifact
from penstock.host import examples, libraries, runtimes, source
from penstock.host.inputs import refusing_zeros
from penstock.host.model import Model
from penstock.host.reference import sample_of
from penstock.host.rehearsal import Rehearsal
from penstock.host.shaping import shaped
from penstock.host.source import Source
from penstock.model.context import demand_fit
from penstock.model.control import Artifact, Comparison, Loaded, Progress
from penstock.model.formats import RUNS_CODE

if TYPE_CHECKING:
    from penstock.host.compiler import Compilation

MOST_TRIED = 10  # rows of the training data, where plausible ones are refused

Report = Callable[[Progress], None]


def start(artifact: Artifact, report: Report) -> tuple[Model, Loaded]:
    """Loads the artifact and proves that it works. Raises ArtifactError, or whatever the artifact's code raises."""
    started = perf_counter()
    _limit_memory(artifact.memory)
    report(Progress("reading"))
    found = source.read(artifact.path, artifact.pinned)
    _demand_trust(artifact, found.sha256)
    model, caught, compilation, modules = _model(found, artifact, report)
    loaded_at = perf_counter()
    report(Progress("warming"))
    beside = dict(getattr(model, "beside", {}))
    golden: list[examples.Example] = []
    if artifact.examples:
        golden, beside[artifact.examples] = examples.read(artifact.examples, artifact.beside.get(artifact.examples))
    sample = sample_of(artifact, model.inputs)
    beside |= sample.beside
    rehearsal = Rehearsal(model, [*(example.features for example in golden), *sample.rows[:MOST_TRIED]])
    warm_at = perf_counter()
    demand_fit(artifact.context, rehearsal.signature, artifact.path)
    if artifact.examples:
        report(Progress("replaying"))
        examples.replay(artifact.examples, golden, rehearsal.answer)
    replayed_at = perf_counter()
    return model, Loaded(
        signature=refusing_zeros(rehearsal.signature, artifact),
        context=artifact.context,
        sha256=found.sha256,
        bytes=len(found.data),
        runtime=model.runtime,
        device=model.device,
        transforms=tuple(PurePath(each.path).name for each in artifact.transforms),
        chain=tuple(beside[each.path] for each in artifact.transforms),
        beside=beside,
        modules=modules,
        libraries=libraries.present(),
        trained_with=model.trained_with or libraries.trained_with(caught),
        warnings=tuple(dict.fromkeys([*libraries.told(caught), *(compilation.warnings if compilation else ())])),
        examples=len(golden),
        load_s=loaded_at - started,
        warmup_s=warm_at - loaded_at,
        certificate=compilation.certificate if compilation else None,
        example_us=round((replayed_at - warm_at) / len(golden) * 1e6, 1) if golden else None,
        comparison=_compared(artifact, rehearsal),
    )


def _compared(artifact: Artifact, rehearsal: Rehearsal) -> Comparison | None:
    """What the model makes of the examples of the version whose place it may take, if there are any."""
    if artifact.others is None:
        return None
    try:
        others, _ = examples.read(artifact.others.path, artifact.others.sha256)
    except ArtifactError:  # they have gone, or are others now: nothing can be said
        return None
    return examples.compare(others, rehearsal.answer) if others else None


def _limit_memory(most: int | None) -> None:
    """Beyond `most` bytes of data, allocation fails: the model raises MemoryError instead of starving the machine."""
    if most is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _demand_trust(artifact: Artifact, digest: str) -> None:
    """Before anything else looks at it: the compiler would run it too."""
    if artifact.format in RUNS_CODE and not artifact.trusted:
        raise UntrustedArtifact(
            f"{artifact.path} runs code when it is loaded, and nobody vouched for it (sha256 {digest[:12]}…): "
            f"if you trust it, pin it with `penstock lock {artifact.root}`"
        )
    for transform in artifact.transforms:
        if transform.format in RUNS_CODE and transform.path not in artifact.beside:
            raise UntrustedArtifact(
                f"{transform.path} runs code when it is loaded, and nobody vouched for it: "
                f"if you trust it, pin it with `penstock lock {artifact.root}`"
            )


def _model(
    found: Source, artifact: Artifact, report: Report
) -> tuple[Model, list[warnings.WarningMessage], "Compilation | None", dict[str, str]]:
    """The model in its compiled form, if it may have one, or as it is; the warnings that loading it gave, and what of
    its own code was loaded.

    Whoever finds the compiled form in the cache never loads the original.
    """
    loading = Progress("loading", found.sha256)  # from here on the artifact's code may run
    compilation = None
    if artifact.compile != "off":
        from penstock.host.compiler import compiled

        def about_to_compile() -> None:
            report(loading)
            report(Progress("compiling"))

        compilation = compiled(artifact, found.sha256, about_to_compile)
        if compilation.entry and compilation.graph:
            from penstock.host.runtimes.compiled import Compiled

            entry, beside = compilation.entry, compilation.beside
            compiled_model = Compiled(entry.graph, entry.signature, artifact, entry.trained_with, beside)
            return shaped(compiled_model, artifact), [], compilation, {}
    report(loading)
    model, caught, modules = _load(found, artifact)
    return model, caught, compilation, modules


def _load(found: Source, artifact: Artifact) -> tuple[Model, list[warnings.WarningMessage], dict[str, str]]:
    """The model, the warnings that loading it gave, and the sha256 of the modules of its own code."""
    modules: dict[str, str] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if artifact.code:
            from penstock.host.own_code import make_importable

            modules = make_importable(artifact.code, artifact.code_pins, artifact.trusted)
        try:
            return runtimes.load(found, artifact), caught, modules
        except UnreadableArtifact as error:
            versions = libraries.other_version(caught)
            if versions is None:
                raise
            raise UnreadableArtifact(
                f"{artifact.path} was trained with scikit-learn {versions[0]} and does not load with {versions[1]}: "
                f"pip install scikit-learn=={versions[0]}, or train it again"
            ) from error
