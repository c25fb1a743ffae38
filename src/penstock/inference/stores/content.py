"""What a table holds: a CSV or Parquet file as rows by their key, read whole and strictly.

Whoever writes a file may fill it with what becomes large when it is read: whatever is made of it is bounded.
"""

import csv
import errno
import io
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from penstock.model.unlinked import open_unlinked

MOST_BYTES = 32 * 2**20
MOST_CELLS = 4_000_000
CELL_BYTES = 70  # that a cell takes, besides its text
MOST_DECODED = 4 * MOST_BYTES  # of a Parquet file, which is compressed
OF_A_ROW = 2  # cells that a row counts for by itself: its place among the others takes as much
LONGEST_ROW = 2**20  # characters of a row in CSV

BATCH_ROWS = 64
POLITE_ROWS = 64
Row = tuple[object, ...]
Opener = Callable[[Path], int]


class BadTable(Exception):
    """A file that is no table of entities; the message says what to correct."""


class Content(NamedTuple):
    """Rows by their key, and where in a row each column is."""

    columns: dict[str, int]
    rows: dict[str, Row]

    @property
    def cells(self) -> int:
        """How many cells it counts for."""
        return len(self.rows) * (len(self.columns) + OF_A_ROW)


def wherever(path: Path) -> int:
    """Opens what the operator named, who may mean a link. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def unlinked(path: Path) -> int:
    """Opens what lies beside a model, and nothing that a link leads to. Raises BadTable and OSError."""
    try:
        return open_unlinked(path)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise BadTable("a link has taken its place: put the table itself there") from None
        raise


def read_content(path: Path, key: str, opener: Opener = wherever) -> Content:
    """The table at `path`, by its column `key`. Raises BadTable and OSError."""
    data = _bytes(path, opener)
    return _read_parquet(data, key) if path.suffix == ".parquet" else _read_csv(data, key)


def release(rows: dict[str, Row]) -> None:
    """Empties the rows bit by bit: to free them all at once would keep every other thread waiting, too."""
    while rows:
        rows.popitem()
        if not len(rows) % POLITE_ROWS:
            time.sleep(0)


def _bytes(path: Path, opener: Opener) -> bytes:
    with open(opener(path), "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise BadTable("it is no regular file")
        if found.st_size > MOST_BYTES:
            raise BadTable(f"it has {found.st_size} bytes, and a table may have {MOST_BYTES}: keep it in Redis")
        return file.read(found.st_size)


# ------------------------------------------------------------------ CSV
class _Lines:
    """The lines of a text. The row that they make must end in time."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text
        self._left = LONGEST_ROW

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._left + 1)
        if not line:
            raise StopIteration
        self._left -= len(line)
        if self._left < 0:
            raise BadTable(f"a row of it has more than {LONGEST_ROW} characters")
        return line

    def row_ended(self) -> None:
        self._left = LONGEST_ROW


def _read_csv(data: bytes, key: str) -> Content:
    """Cells are text; one that is empty is missing."""
    lines = _Lines(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=""))  # spreadsheets write a byte order mark
    reader = csv.reader(lines, strict=True)
    try:
        columns = _columns(next(reader, []), key)
        lines.row_ended()
        rows = ((f"line {reader.line_num}", row) for row in _csv_rows(reader, lines, len(columns)))
        return Content(columns, _keyed(rows, columns[key], len(columns)))
    except UnicodeDecodeError:
        raise BadTable("it is not UTF-8") from None
    except csv.Error as error:
        raise BadTable(f"line {reader.line_num}: {error}") from None


def _csv_rows(reader: Any, lines: _Lines, width: int) -> Iterator[Row]:
    for cells in reader:
        lines.row_ended()
        if len(cells) == width:
            yield tuple([cell or None for cell in cells])
        elif cells:
            raise BadTable(f"line {reader.line_num} has {len(cells)} cells, and the header {width}")


# ------------------------------------------------------------------ Parquet
def _read_parquet(data: bytes, key: str) -> Content:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise BadTable("reading Parquet needs pyarrow: pip install 'penstock[parquet]'") from None
    try:
        with parquet.ParquetFile(pa.BufferReader(data)) as file:
            columns = _parquet_columns(file, key)
            rows = ((f"row {number}", row) for number, row in enumerate(_parquet_rows(file), 1))
            return Content(columns, _keyed(rows, columns[key], len(columns)))
    except (BadTable, OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 # whatever pyarrow makes of a file that is none
        raise BadTable(f"it cannot be read as Parquet ({type(error).__name__})") from None


def _parquet_columns(file: Any, key: str) -> dict[str, int]:
    """What the file says of itself is looked at before anything of it is decoded."""
    columns = _columns(file.schema_arrow.names, key)
    for field in file.schema_arrow:
        if field.type.num_fields:
            raise BadTable(f"its column {field.name!r} holds more than single values")
    _demand_few(file.metadata.num_rows, len(columns))
    groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    _demand_small(sum(group.total_byte_size for group in groups))
    return columns


def _parquet_rows(file: Any) -> Iterator[Row]:
    """In small batches, of which each is measured before it becomes objects: one text in the file may be many here."""
    decoded = 0
    for batch in file.iter_batches(BATCH_ROWS):
        columns = []
        for column in batch.columns:
            plain = column.dictionary_decode() if hasattr(column, "dictionary_decode") else column
            decoded += plain.nbytes
            _demand_small(decoded)
            columns.append(plain.to_pylist())
        yield from zip(*columns, strict=True)


def _demand_small(decoded: int) -> None:
    if decoded > MOST_DECODED:
        raise BadTable(f"it holds more than {MOST_DECODED} bytes: keep it in Redis")


# ------------------------------------------------------------------ both
def _columns(names: Sequence[str], key: str) -> dict[str, int]:
    columns = {name: i for i, name in enumerate(names)}
    if len(columns) != len(names):
        raise BadTable("two of its columns have the same name")
    if key not in columns:
        raise BadTable(f"it has no column {key!r}, which is to hold the entities")
    return columns


def _demand_few(rows: int, width: int) -> None:
    if rows * (width + OF_A_ROW) > MOST_CELLS:
        most = MOST_CELLS // (width + OF_A_ROW)
        raise BadTable(f"it has more than {most} rows, with {width} columns: keep it in Redis")


def _keyed(rows: Iterable[tuple[str, Row]], key: int, width: int) -> dict[str, Row]:
    """Rows by their key. Of two for one entity nobody knows which is right, so that there may be only one."""
    keyed: dict[str, Row] = {}
    try:
        for place, row in rows:
            entity = str(row[key]) if type(row[key]) is int else row[key]
            if not isinstance(entity, str) or not entity:
                raise BadTable(f"{place} has no key, which is text or an integer")
            if entity in keyed:
                raise BadTable(f"{place} has a key that was there before")
            keyed[entity] = row
            if not len(keyed) % POLITE_ROWS:
                _demand_few(len(keyed), width)
                time.sleep(0)  # requests want this process, too
    except BaseException:
        release(keyed)
        raise
    return keyed
