"""The reference pages: their tables list all that the declarations know, and nothing besides."""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import Struct

import penstock
from penstock import errors
from penstock.errors import PenstockError
from penstock.host.examples import Example
from penstock.interface.errors import SENTENCES, slug, status_of
from penstock.model.manifest import Manifest
from penstock.model.signature import DType, Field
from penstock.observability.logs import PredictionLine

DOCS = Path(__file__).parent.parent / "docs"
SOURCE = Path(penstock.__file__).parent
FAMILIES = {errors.RequestError, errors.Unavailable}
"""What stands for several errors and is never raised itself."""


def rows(page: str, section: str, table: int = 0) -> list[list[str]]:
    """The cells of a table below a heading of a page, without the table's own head."""
    text = (DOCS / page).read_text().split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    tables = [block for block in text.split("\n\n") if block.lstrip().startswith("|")]
    lines = tables[table].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def bare(cells: Iterable[str]) -> list[str]:
    return [cell.strip("`") for cell in cells]


def choices(annotation: Any) -> tuple[str, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def written(default: object) -> str | None:
    """A default as YAML has it; None where words say it better."""
    if default in (None, (), msgspec.NODEFAULT) or isinstance(default, Struct):
        return None
    return default if isinstance(default, str) else json.dumps(default)


@pytest.mark.parametrize(
    ("section", "table", "declared", "hidden"),
    [
        ("What a manifest says", 0, Manifest, set()),
        ("The fields of `inputs`", 1, Field, {"origin"}),
        ("Examples", 0, Example, set()),
    ],
)
def test_every_key_of_a_manifest_is_on_its_page(
    section: str, table: int, declared: type[Struct], hidden: set[str]
) -> None:
    told = {row[0].strip("`"): row for row in rows("manifest.md", section, table)}
    known = {field.name: field for field in msgspec.structs.fields(declared) if field.name not in hidden}
    hints = get_type_hints(declared)
    assert told.keys() == known.keys()
    for name, (_, takes, default, *_) in told.items():
        assert all(f"`{choice}`" in takes for choice in choices(hints[name]) if hints[name] != DType), name
        assert (value := written(known[name].default)) is None or f"`{value}`" in default, name


def test_every_dtype_is_on_the_page_of_manifests() -> None:
    told = [dtype for row in rows("manifest.md", "The fields of `inputs`", 2) for dtype in bare(row[0].split())]
    assert told == list(get_args(DType))


def below(kind: type[PenstockError]) -> Iterator[type[PenstockError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from below(each)


def test_every_code_that_a_request_may_be_answered_with_is_on_the_page_of_errors() -> None:
    told = {code.strip("`"): int(status) for code, status, *_ in rows("errors.md", "Answers to a request")}
    ours = {kind.code: status_of(kind()) for kind in below(errors.RequestError) if kind not in FAMILIES}
    assert told == ours | {slug(status): status for status in SENTENCES}


def test_every_reason_for_which_a_model_is_not_served_is_on_the_page_of_errors() -> None:
    told = {code.strip("`") for code, *_ in rows("errors.md", "Reasons of a model")}
    ours = {kind.code for kind in below(errors.ArtifactError)} - {errors.ArtifactError.code}
    assert told == ours | {errors.ConfigurationError.code, errors.HostLost.code}


EVENT = re.compile(r"[a-z_]+")
METHODS = {"info": 0, "warning": 0, "error": 0, "_tell": 0, "_complain": 0, "_line": 1}
"""What writes a line of the log, and which of its arguments is the event."""


def events() -> Iterator[str]:
    """The name of every event that is logged somewhere in the source."""
    yield next(str(field.default) for field in msgspec.structs.fields(PredictionLine) if field.name == "event")
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(ast.Attribute(attr=method), arguments) if len(arguments) > METHODS.get(method, 99):
                    name = arguments[METHODS[method]]
                    if isinstance(name, ast.Constant) and EVENT.fullmatch(str(name.value)):
                        yield str(name.value)


def test_every_event_is_on_the_page_of_logs() -> None:
    assert {event for row in rows("logs.md", "Events") for event in bare(row[0].split(", "))} == set(events())


@pytest.mark.parametrize("section", ["Answers to a request", "Reasons of a model"])
def test_every_error_has_a_meaning_and_something_to_do(section: str) -> None:
    for code, *cells in rows("errors.md", section):
        assert all(cells), code
