"""`penstock check`: loads a model as `penstock serve` would, and shows what it is, what it takes and how fast it is."""

from collections.abc import Iterator, Sequence
from typing import Any

from penstock.cli.arguments import Parser, add_settings, configuration_of, split_paths
from penstock.cli.complaint import complain
from penstock.cli.description import gives, latency, takes, versions
from penstock.cli.probe import Finding, probe
from penstock.cli.progress import progress
from penstock.cli.table import table
from penstock.errors import ConfigurationError
from penstock.model.context import Context
from penstock.model.control import Loaded
from penstock.model.formats import COMPILABLE, RUNS_CODE
from penstock.model.repository import resolve
from penstock.model.signature import Signature
from penstock.model.source import ModelSource
from penstock.option import EVERY_MODEL

EXAMPLES = """\
examples:
  penstock check model.pkl
  penstock check models/                        the newest version of each model of a repository
  penstock check net.pt --inputs 3x224x224      an artifact that does not say what it takes
  penstock check model.onnx --json | jq .       one document a model

Exit code 1, with the reason, where a model cannot be served.
"""
OF_MODELS = (
    "device",
    "predict_timeout_s",
    "start_timeout_s",
    "compile",
    "compile_timeout_s",
    "inputs",
    "code_path",
    "trusted_types",
)
SETTINGS = ("lock", *(f"{EVERY_MODEL}{name}" for name in OF_MODELS))
MOST_FIELDS = 40  # that a person is shown


def run(words: Sequence[str]) -> int:
    """Checks each model that is named; returns the exit code."""
    parser = Parser("check", "[NAME=]PATH… | penstock.yaml  [options]", "Load a model and show what it is.", EXAMPLES)
    parser.add_argument("paths", metavar="[NAME=]PATH", nargs="*", help="an artifact, a directory, or a penstock.yaml")
    parser.add_argument("--json", action="store_true", help="print JSON, one document a model")
    add_settings(parser, only=SETTINGS)
    namespace = parser.read(words)
    arguments, file = split_paths(namespace.paths)
    resolved = resolve(arguments, configuration_of(namespace, file))
    if not resolved.sources:
        raise ConfigurationError("nothing to check: name an artifact, a directory of models, or a penstock.yaml")
    for notice in resolved.notices:
        complain(notice)
    good = [_check(source, as_json=namespace.json) for source in resolved.sources]
    return int(not all(good))


def _check(source: ModelSource, *, as_json: bool) -> bool:
    """Prints what there is to say of one model; returns whether it can be served."""
    with progress() as tell:
        finding = probe(source, tell)
    print(_json(source, finding) if as_json else "\n".join(_text(source, finding)), flush=True)
    if finding.refused:
        complain(f"cannot serve {source.name}: {finding.refused.message}")
    return finding.refused is None


def trust(source: ModelSource) -> str:
    """Why this may be loaded."""
    artifact = source.artifact
    if artifact.pinned or any(each.format in RUNS_CODE for each in artifact.transforms):
        return "pinned in the lock"
    return "named on the command line: loading it runs its code" if artifact.trusted else "loading it runs no code"


def _json(source: ModelSource, finding: Finding) -> str:
    import msgspec

    facts: dict[str, Any] = {
        "model": source.name,
        "version": source.version,
        "path": source.path,
        "format": source.artifact.format,
        "trust": None if source.refusal else trust(source),
        "servable": finding.refused is None,
    }
    return msgspec.json.encode(facts | msgspec.to_builtins(finding)).decode()


def _text(source: ModelSource, finding: Finding) -> Iterator[str]:
    yield f"{source.name} {source.version}  {source.path}"
    if source.refusal:
        return
    facts = [("format", source.artifact.format), ("trust", trust(source))]
    if finding.loaded:
        facts += _facts(source, finding.loaded)
    facts += [(f"{each.rows} row{'' if each.rows == 1 else 's'}", latency(each)) for each in finding.latency]
    yield table(facts, indent="  ")
    if finding.loaded:
        yield "\n  takes"
        yield from _some([takes(field) for field in finding.loaded.signature.inputs])
        if finding.loaded.signature.unused:
            yield f"    not used, and not taken: {', '.join(finding.loaded.signature.unused[:MOST_FIELDS])}"
        if finding.loaded.signature.all_zero == "refuse":
            yield "    and refuses a row whose numbers are all zero"
        yield from (f"    {line}" for line in _stored(finding.loaded.context))
        yield "\n  gives"
        yield from _some([gives(field) for field in finding.loaded.signature.output.fields])
        yield from (f"    {line}" for line in _decisions(finding.loaded.signature))
        yield from (f"\n  warning: {warning}" for warning in finding.loaded.warnings)
    yield ""


def _facts(source: ModelSource, loaded: Loaded) -> Iterator[tuple[str, str]]:
    yield "sha256", loaded.sha256
    yield "size", f"{loaded.bytes:,} bytes"
    if loaded.transforms:
        yield "transforms", f"{', then '.join(loaded.transforms)}, before the model"
    yield "runtime", f"{loaded.runtime} on {loaded.device}"
    yield "libraries", versions(loaded.libraries)
    if loaded.trained_with:
        yield "trained with", versions(loaded.trained_with)
    if loaded.certificate:
        yield "compiled", loaded.certificate.summary
        if loaded.certificate.differing_row:
            yield "differs on", loaded.certificate.differing_row
    elif source.artifact.format in COMPILABLE:
        yield "compiled", "no, off by setting"
    yield "load", f"{loaded.load_s:.2f} s"
    yield "warm-up", f"{loaded.warmup_s:.2f} s"
    yield "examples", f"{loaded.examples} answered as they should" if loaded.examples else "none"


def _some(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield table(rows[:MOST_FIELDS], indent="    ")
    if len(rows) > MOST_FIELDS:
        yield f"    … and {len(rows) - MOST_FIELDS} more"


def _stored(contexts: Sequence[Context]) -> Iterator[str]:
    for context in contexts:
        names = [feature.name for feature in context.features]
        more = ", …" if len(names) > MOST_FIELDS else ""
        yield f"by {context.key}, from {context.source}: {', '.join(names[:MOST_FIELDS])}{more}"


def _decisions(signature: Signature) -> Iterator[str]:
    output = signature.output
    if output.threshold is not None:
        yield f"{(output.fields[0].classes or ('', 'the second'))[1]} from {output.threshold:g} on"
    if output.top_k is not None:
        yield f"probabilities of the likeliest {output.top_k}"
