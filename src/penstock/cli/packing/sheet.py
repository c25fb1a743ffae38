"""The training data: a CSV file of which the columns that the model takes are read, strictly."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from penstock.cli.packing.cells import reader
from penstock.errors import ConfigurationError
from penstock.model.signature import Field
from penstock.values import Unfit, did_you_mean

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


class Place(NamedTuple):
    """Where a field's values stand: the column's position and its name. `called` is what the field is called then."""

    field: Field
    position: int
    column: str
    called: str


class Sheet(NamedTuple):
    """The columns of the data as the model takes them: values by field, in the order of the fields; None is missing."""

    fields: tuple[Field, ...]
    columns: tuple[list[Any], ...]

    @property
    def rows(self) -> int:
        return len(self.columns[0])

    def row(self, number: int) -> list[Any]:
        return [column[number] for column in self.columns]


def header(path: Path) -> list[str]:
    """The names of the columns. Raises ConfigurationError where there are none to go by."""
    _, names = next(_lines(path), (1, []))
    if not names:
        raise ConfigurationError(f"{path}: it is empty: the first line names the columns")
    for separator, word in SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            raise ConfigurationError(f"{path}: line 1: its columns are separated by {word}: write it with commas")
    for number, name in enumerate(names, 1):
        if not name.strip():
            index = "; pandas leaves its index out with to_csv(…, index=False)" if number == 1 else ""
            raise ConfigurationError(f"{path}: line 1: column {number} has no name{index}")
        if names.index(name) < number - 1:
            raise ConfigurationError(f"{path}: line 1: two columns are called '{name}'")
    if all(map(_is_number, names)):
        raise ConfigurationError(f"{path}: line 1 holds numbers: put a line before it that names the columns")
    return names


def places(path: Path, fields: Sequence[Field], *, named: bool, target: str | None) -> list[Place]:
    """The column of each field: by name where the model's names are its own, else by position.

    Raises ConfigurationError where a column is missing, or there are more than the model takes.
    """
    names = header(path)
    if target is not None and target not in names:
        raise ConfigurationError(f"--target: {path} has no column '{target}'{_instead(target, names)}")
    if shaped := [field.name for field in fields if field.shape]:
        raise ConfigurationError(f"{path}: no column of a CSV file can hold the tensor {shaped[0]}: leave --data out")
    left = [(position, name) for position, name in enumerate(names) if name != target]
    if named and len(left) == len(fields) == 1:  # nobody called the only text of a model by a name
        return [Place(fields[0], *left[0], fields[0].name)]
    if named:
        return _by_name(path, fields, {name: position for position, name in left})
    if len(left) != len(fields):
        said = "" if target else ", or name the answer with --target"
        raise ConfigurationError(
            f"{path} has {len(left)} columns ({', '.join(name for _, name in left[:10])}), and the model takes "
            f"{len(fields)} without names: leave the others out of the file{said}"
        )
    return [Place(field, *column, column[1]) for field, column in zip(fields, left, strict=True)]


def learnt(path: Path, target: str | None) -> list[Place]:
    """The column of the target, whose cells stay texts; none where none was named."""
    return [] if target is None else [Place(Field(name=target, dtype="string"), header(path).index(target), target, "")]


def read(path: Path, where: Sequence[Place]) -> Sheet:
    """The data in those columns. Raises ConfigurationError, which names the line and the column."""
    width = len(header(path))
    columns: list[list[Any]] = [[] for _ in where]
    cells = [
        (place.position, place.column, reader(place.field), column.append)
        for place, column in zip(where, columns, strict=True)
    ]
    lines = _lines(path)
    next(lines)
    for line, row in lines:
        if len(row) != width:
            raise ConfigurationError(f"{path}: line {line}: it has {len(row)} cells, and the header has {width}")
        for position, name, value, append in cells:
            try:
                append(value(row[position]))
            except Unfit as unfit:
                raise ConfigurationError(f"{path}: line {line}, column {name}: {unfit}") from None
    if not columns[0]:
        raise ConfigurationError(f"{path}: there is no row below the header")
    return Sheet(tuple(place.field for place in where), tuple(columns))


def _by_name(path: Path, fields: Sequence[Field], known: dict[str, int]) -> list[Place]:
    missing = [field.name for field in fields if field.name not in known]
    if missing:
        raise ConfigurationError(
            f"{path} lacks the column '{missing[0]}', which the model takes{_instead(missing[0], list(known))}"
        )
    return [Place(field, known[field.name], field.name, field.name) for field in fields]


def _instead(name: str, names: Sequence[str]) -> str:
    return did_you_mean(name, names) or f": it has {', '.join(names[:10])}{', …' if len(names) > 10 else ''}"


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each line that is not empty, by the number of its last line. Raises ConfigurationError, OSError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            for row in rows:
                if row:
                    yield rows.line_num, row
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path}: after line {rows.line_num}: it is not UTF-8 text") from None
        except csv.Error as error:
            raise ConfigurationError(f"{path}: line {rows.line_num}: {error}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
