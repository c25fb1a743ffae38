"""The inquiry: what a model says of itself, how its training data lies, and what it answers to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from penstock.cli.hosted import Hosted, hosted
from penstock.cli.packing import distribution, golden, sheet
from penstock.cli.packing.agreement import Agreement, agreement
from penstock.cli.packing.sheet import Place, Sheet
from penstock.cli.packing.wire import Answered, Row
from penstock.errors import ArtifactError, ConfigurationError
from penstock.model.control import Loaded, Refused
from penstock.model.reference import Reference
from penstock.model.signature import Field
from penstock.model.source import ModelSource

JUDGED = 1000  # rows on which the answers are compared with the target


class Data(NamedTuple):
    """The training data: a CSV file, the column that is no input, and how many rows may be kept."""

    path: Path
    target: str | None
    sample: int


class Found(NamedTuple):
    """What was found. `names` are those of the fields where they mean anything, `agreement` is that with the target,
    and `notices` are for people.
    """

    loaded: Loaded
    fields: tuple[Field, ...]
    names: list[str] | None
    examples: list[Answered]
    reference: Reference | None = None
    agreement: Agreement | None = None
    notices: tuple[str, ...] = ()


def inquire(source: ModelSource, data: Data | None, progress: Callable[[str], object]) -> Found:
    """Loads the model in a process of its own and asks it. Raises ArtifactError, ConfigurationError, HostLost."""
    if data:
        sheet.header(data.path)  # before anything takes its time
    with hosted(source, progress) as model:
        if isinstance(model, Refused):
            raise ArtifactError(f"cannot pack {source.name}: {model.message}")
        progress("asking it")
        return _with_data(model, data) if data else _without(model)


def _without(model: Hosted) -> Found:
    signature = model.loaded.signature
    answers = golden.ask(model, golden.plausible(signature.inputs))
    names = [field.name for field in signature.inputs] if signature.named else None
    return Found(model.loaded, signature.inputs, names, golden.chosen(answers.given, signature))


def _with_data(model: Hosted, data: Data) -> Found:
    signature = model.loaded.signature
    where = sheet.places(data.path, signature.inputs, named=signature.named, target=data.target)
    raw = sheet.read(data.path, [*where, *sheet.learnt(data.path, data.target)]).columns
    fields = tuple(map(distribution.described, where, raw))
    table = Sheet(fields, raw[: len(where)])
    order = distribution.complete(table)
    if not order:
        raise ConfigurationError(f"{data.path}: no row has every value that the model needs: {_gaps(table)[0]}")
    rows = {number: table.row(number) for number in order[: golden.MOST_ROWS]}
    answers = golden.ask(model, list(rows.values()), JUDGED if data.target else golden.USUAL)
    agrees = agreement(data.target, signature.output, _told(answers, rows, raw[-1])) if data.target else None
    return Found(
        model.loaded,
        fields,
        [field.name for field in fields],
        golden.chosen(answers.given, signature),
        distribution.reference(table, sorted(order[: data.sample])),
        agrees,
        (*_unused(data, where), *_gaps(table), *_failures(answers), *_doubts(agrees)),
    )


def _told(answers: golden.Answers, rows: Mapping[int, Row], truth: Sequence[Any]) -> list[tuple[Any, str | None]]:
    """Each answer beside the target of its row. Rows are told apart by identity: two of them may be equal."""
    numbers = {id(row): number for number, row in rows.items()}
    return [(each.prediction, truth[numbers[id(each.row)]]) for each in answers.given]


def _unused(data: Data, where: Sequence[Place]) -> Iterator[str]:
    used = {place.column for place in where} | {data.target}
    if left := [name for name in sheet.header(data.path) if name not in used]:
        yield f"left out, as the model has no such fields: {', '.join(left[:10])}{', …' if len(left) > 10 else ''}"


def _gaps(table: Sheet) -> list[str]:
    """The fields that have missing values of which the model can make nothing."""
    gaps = [
        (field.name, column.count(None))
        for field, column in zip(table.fields, table.columns, strict=True)
        if not field.nullable
    ]
    return [
        f"{name} is missing in {count} of {table.rows} rows, and the model takes no missing value there: "
        "they are in no example"
        for name, count in gaps
        if count
    ]


def _failures(answers: golden.Answers) -> Iterator[str]:
    if answers.failed:
        asked = answers.failed + len(answers.given)
        yield f"the model fails on {answers.failed} of {asked} rows ({answers.problem or 'its answer is not finite'})"


def _doubts(agrees: Agreement | None) -> Iterator[str]:
    if agrees and agrees.warning:
        yield agrees.warning
