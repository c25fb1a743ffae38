"""The card of a model: README.md, for whoever finds the directory."""

from collections.abc import Iterator, Sequence

import penstock
from penstock.cli.description import gives, latency, takes, versions
from penstock.cli.packing.contents import MEASURED, SUMS
from penstock.cli.packing.inquiry import Found
from penstock.cli.packing.shelf import Shelf
from penstock.cli.probe import Finding
from penstock.model.reference import REFERENCE
from penstock.model.source import EXAMPLES, ModelSource, risky_files


def card(shelf: Shelf, source: ModelSource, found: Found, artifact: str) -> str:
    """All of the card but what was measured. It depends on nothing but the model, the data and the libraries."""
    heads = ["field", "type", "values"]
    inputs = [(name, kind, values) for name, kind, _, values in map(takes, found.fields)]
    parts = [
        f"# {shelf.name} {shelf.version}",
        f"Packed by Penstock {penstock.__version__}. `sha256sum -c {SUMS}` checks the files.",
        _table(["", ""], list(_facts(source, found, artifact))),
        "## Takes",
        _table(heads, inputs),
        "## Gives",
        _table(heads, [gives(field) for field in found.loaded.signature.output.fields]),
        "## Use",
        f"In the directory that holds `{shelf.home.absolute().name}/`:",
        _commands(shelf, locked=bool(risky_files(source.artifact))),
    ]
    return "\n\n".join(parts) + "\n"


def measured(finding: Finding) -> str:
    """What was found when the packed model was loaded and asked: another thing on each machine."""
    assert finding.loaded is not None
    loaded = finding.loaded
    facts = [("runtime", f"{loaded.runtime} on {loaded.device}")]
    if loaded.certificate:
        facts.append(("compiled", loaded.certificate.summary))
    facts += [(f"{each.rows} row{'' if each.rows == 1 else 's'}", latency(each)) for each in finding.latency]
    return f"{MEASURED}\nOn the machine that packed it, from another process and back:\n\n{_table(['', ''], facts)}\n"


def _facts(source: ModelSource, found: Found, artifact: str) -> Iterator[tuple[str, str]]:
    loaded, data = found.loaded, found.reference
    yield "format", source.artifact.format
    yield "artifact", f"`{artifact}`, {loaded.bytes:,} bytes"
    yield "sha256", f"`{loaded.sha256}`"
    if loaded.transforms:
        yield "transforms", f"{', then '.join(f'`{name}`' for name in loaded.transforms)}, before the model"
    if loaded.trained_with:
        yield "trained with", versions(loaded.trained_with)
    yield "packed with", versions(loaded.libraries)
    if source.artifact.trusted_types:
        yield "needs", f"`--trusted-types {','.join(source.artifact.trusted_types)}`"
    if data:
        yield "training data", f"{data.rows:,} rows; `{REFERENCE}` holds {len(data.sample)} of them"
    if found.agreement:
        yield "target", found.agreement.summary
    yield "examples", f"`{EXAMPLES}`: rows with the answers that the model gave when it was packed"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "&#124;") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _commands(shelf: Shelf, locked: bool) -> str:
    lock = [f"lock {shelf.home.absolute().name}"] if locked else []
    commands = (*lock, f"check {shelf.named}", f"serve {shelf.named}")
    return "```console\n" + "".join(f"$ penstock {command}\n" for command in commands) + "```"
