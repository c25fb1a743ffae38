"""Tables: what is read of a file, and what makes it none."""

import csv
import io
import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.inference.stores import content
from penstock.inference.stores.content import BadTable, Content, read_content, release, unlinked

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


@pytest.mark.parametrize("exchanged", ["users.csv", ""])
def test_what_a_link_leads_to_is_not_read_beside_a_model(tmp_path: Path, exchanged: str) -> None:
    home, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
        written(folder, "id\n1\n")
    assert read_content(home / "users.csv", "id", unlinked).rows == {"1": ("1",)}
    (home / exchanged).rename(tmp_path / "before")
    (home / exchanged).symlink_to(elsewhere / exchanged)
    with pytest.raises(BadTable, match="a link has taken its place"):
        read_content(home / "users.csv", "id", unlinked)
    assert read_content(home / "users.csv", "id").rows == {"1": ("1",)}, "the operator may mean a link"


def test_a_pipe_is_not_waited_for_beside_a_model_either(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "users.csv")
    with pytest.raises(BadTable, match="it is no regular file"):
        read_content(tmp_path / "users.csv", "id", unlinked)


def test_a_table_has_so_many_rows_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST_CELLS", 1000)
    table = ["id,a,b", *(f"{i},x,y" for i in range(1000))]
    assert len(read_content(written(tmp_path, "\n".join(table[:190])), "id").rows) == 189
    with pytest.raises(BadTable, match="it has more than 200 rows, with 3 columns: keep it in Redis"):
        read_content(written(tmp_path, "\n".join(table)), "id")


@pytest.mark.parametrize("row", ["x" * 100 + ",1", "," * 100, '"x\n",' * 30])
def test_a_row_has_so_many_characters_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str) -> None:
    monkeypatch.setattr(content, "LONGEST_ROW", 90)
    assert len(read_content(written(tmp_path, "id,a\n" + "1,2\n3,4\n" * 1), "id").rows) == 2
    long = "id,a\n" + "".join(f"{i},{'y' * 40}\n" for i in range(20))
    assert len(read_content(written(tmp_path, long), "id").rows) == 20
    for text in (f"id,a\n{row}\n", row):
        with pytest.raises(BadTable, match="a row of it has more than 90 characters"):
            read_content(written(tmp_path, text), "id")


def test_rows_are_freed_one_after_the_other() -> None:
    rows: dict[str, content.Row] = {str(i): (i,) for i in range(1000)}
    release(rows)
    assert rows == {}


@pytest.mark.needs("pyarrow")
def test_a_small_file_of_much_text_is_refused_before_it_takes_much(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    count, path = 3000, tmp_path / "users.parquet"
    same = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x" * 2**18]))
    parquet.write_table(pa.table({"id": range(count), "a": same}), path)
    assert path.stat().st_size < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadTable, match=f"it holds more than {content.MOST_DECODED} bytes"):
        read_content(path, "id")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 3 * content.MOST_DECODED


@pytest.mark.needs("pyarrow")
def test_a_parquet_file_is_refused_by_its_own_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "users.parquet"
    parquet.write_table(pa.table({"id": list(range(500))}), path)
    monkeypatch.setattr(content, "MOST_CELLS", 1000)
    monkeypatch.setattr(content, "_parquet_rows", lambda file: pytest.fail("nothing of it is decoded"))
    with pytest.raises(BadTable, match="it has more than 333 rows"):
        read_content(path, "id")
    parquet.write_table(pa.table({"id": [1], "a": [[1, 2]]}), path)
    with pytest.raises(BadTable, match="its column 'a' holds more than single values"):
        read_content(path, "id")


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
