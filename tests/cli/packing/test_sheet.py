"""The training data: columns are found by name or by position, and what is wrong is told with line and column."""

from pathlib import Path

import pytest

from penstock.cli.packing.sheet import header, places, read
from penstock.errors import ConfigurationError
from penstock.model.signature import Field

AGE, CITY = Field(name="age"), Field(name="city", dtype="string")
NAMELESS = (Field(name="f0"), Field(name="f1"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data.csv"


def test_columns_are_found_by_the_names_that_the_model_knows(file: Path) -> None:
    file.write_text('\ufeffcity,id,age\r\n"Bern, west",7,41\r\n\r\n,8,\r\n', "utf-8")
    where = places(file, [AGE, CITY], named=True, target=None)
    assert [(place.field.name, place.position, place.column) for place in where] == [
        ("age", 2, "age"),
        ("city", 0, "city"),
    ]
    sheet = read(file, where)
    assert (sheet.columns, sheet.rows) == (([41.0, None], ["Bern, west", None]), 2)
    assert sheet.row(0) == [41.0, "Bern, west"]


def test_columns_are_taken_in_order_but_for_the_target_where_the_model_knows_no_names(file: Path) -> None:
    file.write_text("length,species,width\n1,a,2\n")
    where = places(file, NAMELESS, named=False, target="species")
    assert [(place.field.name, place.called) for place in where] == [("f0", "length"), ("f1", "width")]
    assert read(file, where).columns == ([1.0], [2.0])


def test_the_only_column_is_that_of_the_only_field_whatever_they_are_called(file: Path) -> None:
    file.write_text("review,good\nfine film,1\n")
    (place,) = places(file, [Field(name="text", dtype="string")], named=True, target="good")
    assert (place.column, place.called) == ("review", "text")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "data.csv: it is empty: the first line names the columns"),
        ("a;b\n1;2\n", "line 1: its columns are separated by semicolons: write it with commas"),
        (",a,b\n0,1,2\n", "line 1: column 1 has no name; pandas leaves its index out with to_csv(…, index=False)"),
        ("a,b,a\n", "line 1: two columns are called 'a'"),
        ("5.1,3.5\n4.9,3.0\n", "line 1 holds numbers: put a line before it that names the columns"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(text: str, complaint: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        header(file)
    assert str(refused.value).endswith(complaint)


@pytest.mark.parametrize(
    ("head", "fields", "named", "target", "complaint"),
    [
        ("age,town", [AGE, CITY], True, None, "lacks the column 'city', which the model takes: it has age, town"),
        ("age,citi", [AGE, CITY], True, None, "lacks the column 'city', which the model takes; did you mean 'citi'?"),
        ("a,b", NAMELESS, False, "c", "has no column 'c': it has a, b"),
        ("a,b,c", NAMELESS, False, None, "the others out of the file, or name the answer with --target"),
        ("a,b,c", NAMELESS, False, "c", None),
        ("a,b,c,d", NAMELESS, False, "d", "has 3 columns (a, b, c), and the model takes 2 without names: "),
        ("a", [Field(name="image", shape=(3, 8, 8))], True, None, "can hold the tensor image: leave --data out"),
    ],
)
def test_columns_that_do_not_fit_the_model_are_refused(
    head: str, fields: list[Field], named: bool, target: str | None, complaint: str | None, file: Path
) -> None:
    file.write_text(head + "\n")
    if complaint is None:
        places(file, fields, named=named, target=target)
        return
    with pytest.raises(ConfigurationError) as refused:
        places(file, fields, named=named, target=target)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"41,Bern\nold,Ulm\n", "line 3, column age: expected a number, got 'old'"),
        (b"41,Bern\n\n42\n", "line 4: it has 1 cells, and the header has 2"),
        (b"41,Bern,x\n", "line 2: it has 3 cells, and the header has 2"),
        (b'41,"Bern\n', "line 2: unexpected end of data"),
        (b"41,B\xe4le\n", "it is not UTF-8 text"),
        (b"", "there is no row below the header"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_with_its_line(body: bytes, complaint: str, file: Path) -> None:
    file.write_bytes(b"age,city\n" + body)
    with pytest.raises(ConfigurationError) as refused:
        read(file, places(file, [AGE, CITY], named=True, target=None))
    assert complaint in str(refused.value)
