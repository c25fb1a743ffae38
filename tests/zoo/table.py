"""docs/zoo.md: what became of each animal. `python -m tests.zoo.table` writes it anew."""

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from penstock.compile.certify import Trial
from penstock.errors import ArtifactError
from penstock.model.certificate import Certificate
from tests.zoo.keeper import keep, precision, untimed
from tests.zoo.menagerie import Animal, animals
from tests.zoo.pipelines import BOOSTERS, PIPELINES

PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"
RANKS = ("refused", "original", "float32", "float64")  # the best one last
REASONS = {
    r"differs on an? ": "differs on a probe row",
    r"refuses an? ": "answers what the original refuses",
    r"answers no batch": "the graph fails on probe rows",
    r"\[ONNXRuntimeError\]": "the graph does not load",
    r"MissingShapeCalculator|not converted|NotImplementedError|not supported|not implemented": "no converter",
}
"""Why there is no compiled form, shortly, by what the certificate says of one."""
ROW = re.compile(r"^\| (?P<name>.+?) \| (?P<data>.+?) \| (?P<verdict>\w+) \| (?P<reason>.*?) ?\|$", re.MULTILINE)
HEAD = """\
# The zoo

Every classifier and regressor that scikit-learn ships, everything else of it that predicts, pipelines as people build
them, and the boosters of other libraries. A test trains each on half of the data named here, serves it with no
configuration and compares 200 answers with the estimator's own: where it is *original* they are the same to the bit;
*float64* and *float32* say in which precision it runs [compiled](compiling.md), with the same labels, and with numbers
within 1e-9 or 1e-5.

This page is written by `python -m tests.zoo.table`, and the test fails when a model falls back behind it. It looks at
answers alone: a compiled form that is equal and turns out to be no faster is not used either.
"""


class Row(NamedTuple):
    """A row of the table. `reason` says why an animal is not compiled, and is empty where it is."""

    name: str
    data: str
    verdict: str
    reason: str = ""


def row_of(animal: Animal, found: Certificate | ArtifactError) -> Row:
    """What was found of the animal, in words that do not change with the machine."""
    if isinstance(found, ArtifactError):
        return Row(animal.name, animal.feed().name, "refused", found.code.replace("_", " "))
    verdict = precision(found) or "original"
    return Row(animal.name, animal.feed().name, verdict, _shortly(found.reason or ""))


def _shortly(reason: str) -> str:
    """The reasons of both forms, once where they are the same."""
    forms = re.findall(r"ONNX in (\w+): (.*?)(?=; ONNX in |$)", reason) or [("both", reason)] * bool(reason)
    told = {
        form: next((short for long, short in REASONS.items() if re.search(long, why)), "the conversion fails")
        for form, why in forms
    }
    if len(set(told.values())) <= 1:
        return next(iter(told.values()), "")
    return ", ".join(f"{form}: {why}" for form, why in told.items())


def read() -> dict[str, Row]:
    """The rows of the page, by the animal's name."""
    return {row["name"]: Row(*row.groups()) for row in ROW.finditer(PAGE.read_text()) if row["verdict"] in RANKS}


def written(groups: Iterable[tuple[str, Iterable[Row]]]) -> Iterator[str]:
    yield HEAD
    for title, rows in groups:
        yield f"\n## {title}\n\n| model | data | served | why not compiled |\n|---|---|---|---|\n"
        yield from (f"| {row.name} | {row.data} | {row.verdict} | {row.reason} |\n" for row in rows)


def _found(animal: Animal) -> Row:
    print(animal.name, file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return row_of(animal, keep(animal, Path(folder)).certificate)
        except ArtifactError as error:
            return row_of(animal, error)


def main() -> None:
    groups = {"scikit-learn's own": animals(), **{title: group() for title, group in PIPELINES.items()}}
    groups |= {f"Models of {library}": group() for library, group in BOOSTERS.items()}
    with tempfile.TemporaryDirectory() as cache, mock.patch.object(Trial, "_demand_faster", untimed):
        os.environ["PENSTOCK_CACHE"] = cache
        text = "".join(written((title, list(map(_found, group))) for title, group in groups.items()))
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
