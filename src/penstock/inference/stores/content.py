"""What a table holds: a CSV or Parquet file as rows by their key, read whole and strictly."""

import csv
import io
import stat
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

MOST_BYTES = 64 * 2**20
MOST_DECODED = 4 * MOST_BYTES  # of a Parquet file, which is compressed


class BadTable(Exception):
    """A file that is no table of entities; the message says what to correct."""


class Content(NamedTuple):
    """Rows by their key, and where in a row each column is."""

    columns: dict[str, int]
    rows: dict[str, tuple[object, ...]]


def read_content(path: Path, key: str) -> Content:
    """The table at `path`, by its column `key`. Raises BadTable and OSError."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise BadTable("it is no regular file")
    size = found.st_size
    if size > MOST_BYTES:
        raise BadTable(f"it has {size} bytes, and a table may have {MOST_BYTES}: keep it in Redis")
    return _read_parquet(path, key) if path.suffix == ".parquet" else _read_csv(path.read_bytes(), key)


def _read_csv(data: bytes, key: str) -> Content:
    """Cells are text; one that is empty is missing."""
    try:
        text = data.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except UnicodeDecodeError:
        raise BadTable("it is not UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = _columns(next(reader, []), key)
        rows: dict[str, tuple[object, ...]] = {}
        lines: dict[str, int] = {}
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(columns):
                raise BadTable(f"line {reader.line_num} has {len(cells)} cells, and the header {len(columns)}")
            entity = cells[columns[key]]
            _add(rows, lines, entity, tuple([cell or None for cell in cells]), reader.line_num, "line")
    except csv.Error as error:
        raise BadTable(f"line {reader.line_num}: {error}") from None
    return Content(columns, rows)


def _read_parquet(path: Path, key: str) -> Content:
    try:
        from pyarrow import parquet
    except ImportError:
        raise BadTable("reading Parquet needs pyarrow: pip install 'penstock[parquet]'") from None
    try:
        with parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
            if sum(group.total_byte_size for group in groups) > MOST_DECODED:
                raise BadTable(f"it holds more than {MOST_DECODED} bytes: keep it in Redis")
            table = file.read()
        columns = _columns(table.column_names, key)
        cells: list[list[Any]] = [column.to_pylist() for column in table.columns]
    except (BadTable, OSError):
        raise
    except Exception as error:  # noqa: BLE001 # whatever pyarrow makes of a file that is none
        raise BadTable(f"it cannot be read as Parquet ({type(error).__name__})") from None
    return Content(columns, _keyed(zip(*cells, strict=True), columns[key]))


def _keyed(rows: Iterable[tuple[object, ...]], key: int) -> dict[str, tuple[object, ...]]:
    keyed: dict[str, tuple[object, ...]] = {}
    numbers: dict[str, int] = {}
    for number, row in zip(count(1), rows):  # they are as many as there are
        entity = row[key]
        if type(entity) is int:
            entity = str(entity)
        if not isinstance(entity, str):
            raise BadTable(f"row {number} has a key that is neither text nor an integer")
        _add(keyed, numbers, entity, row, number, "row")
    return keyed


def _columns(names: Sequence[str], key: str) -> dict[str, int]:
    columns = {name: i for i, name in enumerate(names)}
    if len(columns) != len(names):
        raise BadTable("two of its columns have the same name")
    if key not in columns:
        raise BadTable(f"it has no column {key!r}, which is to hold the entities")
    return columns


def _add(
    rows: dict[str, tuple[object, ...]],
    places: dict[str, int],
    entity: str,
    row: tuple[object, ...],
    place: int,
    what: str,
) -> None:
    """Adds a row. Of two for one entity nobody knows which is right, so that there may be only one."""
    if not entity:
        raise BadTable(f"{what} {place} has no key")
    if entity in rows:
        raise BadTable(f"{what}s {places[entity]} and {place} have the same key")
    rows[entity] = row
    places[entity] = place
