"""What a table holds: a CSV or Parquet file as rows by their key, read whole and strictly."""

import csv
import io
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

MOST_BYTES = 32 * 2**20  # which may take twenty times as much memory
MOST_DECODED = 4 * MOST_BYTES  # of a Parquet file, which is compressed

BATCH_ROWS = 1024
POLITE_ROWS = 64
Row = tuple[object, ...]


class BadTable(Exception):
    """A file that is no table of entities; the message says what to correct."""


class Content(NamedTuple):
    """Rows by their key, and where in a row each column is."""

    columns: dict[str, int]
    rows: dict[str, Row]


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
        rows = ((f"line {reader.line_num}", row) for row in _csv_rows(reader, len(columns)))
        return Content(columns, _keyed(rows, columns[key]))
    except csv.Error as error:
        raise BadTable(f"line {reader.line_num}: {error}") from None


def _csv_rows(reader: Any, width: int) -> Iterator[Row]:
    for cells in reader:
        if len(cells) == width:
            yield tuple([cell or None for cell in cells])
        elif cells:
            raise BadTable(f"line {reader.line_num} has {len(cells)} cells, and the header {width}")


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
            columns = _columns(file.schema_arrow.names, key)
            rows = ((f"row {number}", row) for number, row in enumerate(_parquet_rows(file), 1))
            return Content(columns, _keyed(rows, columns[key]))
    except (BadTable, OSError):
        raise
    except Exception as error:  # noqa: BLE001 # whatever pyarrow makes of a file that is none
        raise BadTable(f"it cannot be read as Parquet ({type(error).__name__})") from None


def _parquet_rows(file: Any) -> Iterator[Row]:
    for batch in file.iter_batches(BATCH_ROWS):
        yield from zip(*[column.to_pylist() for column in batch.columns], strict=True)


def _columns(names: Sequence[str], key: str) -> dict[str, int]:
    columns = {name: i for i, name in enumerate(names)}
    if len(columns) != len(names):
        raise BadTable("two of its columns have the same name")
    if key not in columns:
        raise BadTable(f"it has no column {key!r}, which is to hold the entities")
    return columns


def _keyed(rows: Iterable[tuple[str, Row]], key: int) -> dict[str, Row]:
    """Rows by their key. Of two for one entity nobody knows which is right, so that there may be only one."""
    keyed: dict[str, Row] = {}
    for place, row in rows:
        entity = str(row[key]) if type(row[key]) is int else row[key]
        if not isinstance(entity, str) or not entity:
            raise BadTable(f"{place} has no key, which is text or an integer")
        if entity in keyed:
            raise BadTable(f"{place} has a key that was there before")
        keyed[entity] = row
        if not len(keyed) % POLITE_ROWS:
            time.sleep(0)  # requests want this process, too
    return keyed
