"""Tables: what is read of a file, and what makes it none."""

import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.inference.stores import content
from penstock.inference.stores.content import BadTable, Content, read_content

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
NAMES = st.lists(CELLS, min_size=1, max_size=4, unique=True).filter(lambda names: names != [""])


def written(folder: Path, data: str | bytes, name: str = "users.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@given(NAMES, st.data())
def test_a_table_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject
) -> None:
    rows = data.draw(
        st.lists(st.tuples(*(CELLS for _ in names)), max_size=5, unique_by=lambda row: row[0]).filter(
            lambda rows: all(row[0] for row in rows)
        )
    )
    text = io.StringIO(newline="")
    csv.writer(text).writerows([names, *rows])
    found = read_content(written(tmp_path_factory.mktemp("table"), text.getvalue()), names[0])
    assert list(found.columns) == names
    assert found.rows == {row[0]: tuple(cell or None for cell in row) for row in rows}


def test_a_table_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, b'\xef\xbb\xbfid,name\r\n7,"Z\xc3\xbcrich, ""the"" city"\r\n\r\n')
    assert read_content(path, "id") == Content({"id": 0, "name": 1}, {"7": ("7", 'Zürich, "the" city')})


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("", "it has no column 'id'"),
        ("name\nx\n", "it has no column 'id'"),
        ("id,a,a\n", "two of its columns have the same name"),
        ("id,a\n1,2\n3\n", "line 3 has 1 cells, and the header 2"),
        ("id,a\n1,2,3\n", "line 2 has 3 cells, and the header 2"),
        ("id,a\n,2\n", "line 2 has no key"),
        ("id,a\n1,2\n2,3\n1,4\n", "line 4 has a key that was there before"),
        ('id,a\n1,"2\n', "line 2: unexpected end of data"),
        (b"id,a\n1,\xff\n", "it is not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, data: str | bytes, complaint: str) -> None:
    with pytest.raises(BadTable) as refused:
        read_content(written(tmp_path, data), "id")
    assert complaint in str(refused.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST_BYTES", 8)
    with pytest.raises(BadTable, match="it has 9 bytes, and a table may have 8: keep it in Redis"):
        read_content(written(tmp_path, "id\n1\n2\n3\n"), "id")


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "users.csv")
    with pytest.raises(BadTable, match="it is no regular file"):
        read_content(tmp_path / "users.csv", "id")


@pytest.mark.needs("pyarrow")
def test_a_parquet_file_has_values_of_its_types(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "users.parquet"
    columns = {"id": [7, 8], "age": [41, None], "name": ["a", ""], "share": [0.5, float("inf")]}
    parquet.write_table(pa.table(columns), path)
    assert read_content(path, "id").rows == {"7": (7, 41, "a", 0.5), "8": (8, None, "", float("inf"))}


@pytest.mark.needs("pyarrow")
@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"id": ["a", "a"]}, "row 2 has a key that was there before"),
        ({"id": ["a", None]}, "row 2 has no key, which is text or an integer"),
        ({"id": [1.0, 2.0]}, "row 1 has no key"),
        ({"id": ["a", ""]}, "row 2 has no key"),
        ({"name": ["a"]}, "it has no column 'id'"),
    ],
)
def test_a_parquet_file_that_is_no_table_is_refused(
    tmp_path: Path, columns: dict[str, list[object]], complaint: str
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "users.parquet"
    parquet.write_table(pa.table(columns), path)
    with pytest.raises(BadTable) as refused:
        read_content(path, "id")
    assert complaint in str(refused.value)


@pytest.mark.needs("pyarrow")
def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="it cannot be read as Parquet"):
        read_content(written(tmp_path, b"PAR1 not at all PAR1", "users.parquet"), "id")


@pytest.mark.needs("pyarrow")
def test_a_parquet_file_that_grows_when_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "users.parquet"
    parquet.write_table(pa.table({"id": list(range(1000)), "a": ["x" * 100] * 1000}), path)
    monkeypatch.setattr(content, "MOST_DECODED", 1000)
    with pytest.raises(BadTable, match="it holds more than 1000 bytes"):
        read_content(path, "id")
