"""Documents: YAML, read strictly."""

import time
from pathlib import Path

import pytest

from penstock.document import LARGEST, read
from penstock.errors import ConfigurationError


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "some.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("a: 1", {"a": 1}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1e-3", {"a": 0.001}),
        ("a: [1e3, -2.5E+4]", {"a": [1000.0, -25000.0]}),
        ("a: [no, Yes, OFF, on, n]", {"a": ["no", "Yes", "OFF", "on", "n"]}),
        ("a: [true, False, null, Null, ~]", {"a": [True, False, None, None, None]}),
        ("no: 1", {"no": 1}),
        ("a: 3x224x224", {"a": "3x224x224"}),
    ],
)
def test_a_document_is_a_mapping_or_empty(text: str, document: object, tmp_path: Path) -> None:
    assert read(written(tmp_path, text)) == document


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a", "some.yaml: expected a mapping such as 'name: value'"),
        ("a: 1\nb: 2\na: 3", "some.yaml: line 3: 'a' is there twice"),
        ("a: {b: 1, b: 2}", "some.yaml: line 1: 'b' is there twice"),
        ("a: [", "some.yaml: line 2: did not find expected node content"),
        ("a: !!python/object:os.system x", "some.yaml: line 1: could not determine a constructor"),
        ("a: &x 1\nb: *x", "some.yaml: line 2: aliases (&, *) are not taken here"),
        (b"a: \xff", "some.yaml: not UTF-8 text"),
        ("a: 1\n---\nb: 2", "some.yaml: line 2: but found another document"),
        ("? [a]\n: 1", "some.yaml: line 1: found unhashable key"),
        ("a: 2026-99-99", "some.yaml: not a document that can be read"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str | bytes, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(written(tmp_path, text))
    assert str(caught.value).startswith(complaint)


def test_aliases_are_taken_from_those_who_are_trusted(tmp_path: Path) -> None:
    path = written(tmp_path, "a: &x {b: 1}\nc: {<<: *x, d: 2}")
    assert read(path, aliases=True) == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}


@pytest.mark.parametrize(
    "bomb",
    [
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30)),
        "[" * 100_000,
        "a: " + "x" * LARGEST,
    ],
    ids=["aliases", "nesting", "size"],
)
def test_a_hostile_document_is_refused_at_once(bomb: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ConfigurationError):
        read(written(tmp_path, bomb))
    assert time.monotonic() - began < 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml: no such file or directory"):
        read(tmp_path / "none.yaml")
