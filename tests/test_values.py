"""Values: what people write becomes what was declared, or a sentence that says what was expected."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, inspect

from penstock.config import Count, FilePath, Rate, Size, Word
from penstock.option import paths
from penstock.values import Unfit, convert, did_you_mean, expected, format_size, from_text, parse_size, shown, to_text

PORT = Annotated[int, Meta(ge=0, le=65535)]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512B", 512),
        ("64KiB", 64 * 1024),
        ("16 MiB", 16 * 1024 * 1024),
        ("1.5MiB", 1_572_864),
        ("1GB", 1_000_000_000),
        ("2kb", 2_000),
        ("1TiB", 2**40),
    ],
)
def test_sizes_are_written_with_binary_or_decimal_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "16", "16M", "MiB", "-1KiB", "0.3B", "1iB", "1e3KB", "1KiB2", "١KiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        parse_size(text)


@given(st.integers(0, 2**50))
def test_a_size_survives_being_written_and_read(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "-7", -7),
        (float, "2.5e3", 2500.0),
        (bool, "True", True),
        (bool, "off", False),
        (Size, "2KiB", 2048),
        (Size, "2048", 2048),
        (str | None, "x", "x"),
        (Word | None, "4", "4"),
        (Literal["a", "b"], "b", "b"),
        (tuple[str, ...], "a, b,", ("a", "b")),
    ],
)
def test_text_is_read_as_the_declared_type(annotation: Any, text: str, value: object) -> None:
    assert from_text(annotation, text) == value


@pytest.mark.parametrize(
    ("annotation", "raw", "complaint"),
    [
        (PORT, "80", "expected an integer from 0 to 65535, got '80'"),
        (PORT, 65536, "expected an integer from 0 to 65535, got 65536"),
        (PORT, True, "expected an integer from 0 to 65535, got true"),
        (float, float("nan"), "expected a number, got nan"),
        (float, float("inf"), "expected a number, got inf"),
        (Size, "huge", "expected a size such as 16MiB, up to 1024TiB, got 'huge'"),
        (Size, "1025TiB", "expected a size such as 16MiB, up to 1024TiB, got '1025TiB'"),
        (Size | None, "9" * 23, f"expected a size such as 16MiB, up to 1024TiB, got '{'9' * 23}'"),
        (Size, 2**70, f"expected a size such as 16MiB, up to 1024TiB, got {2**70}"),
        (Size, f"{'9' * 400}TiB", f"expected a size such as 16MiB, up to 1024TiB, got '{'9' * 39}…"),
        (Count, 10**9 + 1, "expected an integer from 1 to 1000000000, got 1000000001"),
        (Count, 10**30, f"expected an integer from 1 to 1000000000, got {10**30}"),
        (Rate, "0/s", "expected a rate from 1 to 999999999, such as 100/s or 6000/min, got '0/s'"),
        (str, None, "expected text, got nothing"),
        (Word, 1.5, "expected text, in quotes, got 1.5"),
        (Word | None, 1.5, "expected text, in quotes, got 1.5"),
        (FilePath, 3, "expected a path, got 3"),
        (tuple[FilePath, ...], "a", "expected a list of paths, got 'a'"),
        (tuple[float, float], [1], "expected a list of 2 numbers, got a list"),
        (Literal["a", "b"], {}, "expected one of a, b, got a mapping"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_was_expected(
    annotation: Any, raw: object, complaint: str
) -> None:
    with pytest.raises(Unfit) as caught:
        convert(annotation, raw)
    assert str(caught.value) == complaint


def test_every_integer_and_size_is_one_that_processes_can_tell_each_other() -> None:
    assert [path for path, annotation in paths().items() if takes_an_integer(annotation, 2**63)] == []
    assert takes_an_integer(int, 2**63)


def takes_an_integer(annotation: Any, number: int) -> bool:
    try:
        return type(convert(annotation, number)) is int
    except Unfit:
        return False


def test_relative_paths_start_at_the_directory_of_whoever_wrote_them() -> None:
    assert convert(tuple[FilePath, ...], ["a/../b", "/c"], "/etc/penstock") == ("/etc/penstock/b", "/c")


@given(st.text(max_size=300) | st.lists(st.integers()) | st.binary(max_size=300))
def test_a_value_in_a_message_is_short_and_on_one_line(raw: object) -> None:
    assert len(shown(raw)) <= 41
    assert "\n" not in shown(raw)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_being_written_and_read(number: float) -> None:
    assert from_text(float, to_text(float, number)) == number


def test_only_near_words_are_suggested() -> None:
    assert did_you_mean("prot", ["port", "host"]) == "; did you mean 'port'?"
    assert did_you_mean("xyzzy", ["port", "host"]) == ""
    assert did_you_mean("nosuch.pkl", ["svc.pkl"]) == ""
    assert did_you_mean("--nope", ["--compile"]) == ""


def test_a_declaration_may_word_its_own_expectation() -> None:
    annotation = Annotated[str, Meta(pattern="^cpu$", extra={"expected": "cpu, and nothing else"})]
    assert expected(inspect.type_info(annotation)) == "cpu, and nothing else"
