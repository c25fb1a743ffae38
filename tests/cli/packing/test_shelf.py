"""The shelf: a directory appears whole or not at all, is never overwritten, and is called what a service calls it."""

import os
from pathlib import Path

import pytest

from penstock.cli.packing.contents import CARD, MEASURED, Content, differences, made, sums
from penstock.cli.packing.shelf import is_there, put, shelf, staged
from penstock.errors import ChangedArtifact, ConfigurationError
from penstock.model.trust import digest_of

CONTENTS = {"model.onnx": made("m"), "code/own.py": made("c"), CARD: made("# m\n")}


@pytest.mark.parametrize(
    ("output", "name", "found"),
    [
        ("models/iris/1", None, ("iris", "1", "models/iris", "iris")),
        ("models/iris/v2/", None, ("iris", "v2", "models/iris", "iris")),
        ("models/iris", None, ("iris", "1", "models/iris", "iris")),
        ("models/iris/1", "flowers", ("flowers", "1", "models/iris", "flowers=iris")),
    ],
)
def test_the_directories_say_the_name_and_the_version(output: str, name: str | None, found: tuple[str, ...]) -> None:
    where = shelf(output, name)
    assert (where.name, where.version, str(where.home), where.named) == found


@pytest.mark.parametrize(
    ("output", "name"), [("models/my model/1", None), ("models/iris/1", "a b"), ("models/.iris", "a")]
)
def test_what_cannot_be_served_under_its_name_is_refused(output: str, name: str | None) -> None:
    with pytest.raises(ConfigurationError, match="choose one with --name"):
        shelf(output, name)


def test_a_file_is_no_place_for_a_directory() -> None:
    Path("iris").write_text("x")
    with pytest.raises(ConfigurationError, match="iris is a file: name a directory that is not there yet"):
        shelf("iris", None)


@pytest.mark.parametrize(
    ("there", "output", "name", "served"),
    [
        (["models/iris/1/m.onnx"], "models/iris/1", None, ("models/", "models/")),
        (["models/iris/m.onnx", "models/net/2/m.onnx"], "models/iris", None, ("models/", "models/")),
        (["models/iris/1/m.onnx"], "models/iris/1", "rose", ("models/iris", "rose=models/iris")),
        (["models/iris/1/m.onnx", "models/iris.csv"], "models/iris/1", None, ("models/iris", "models/iris")),
        (["models/iris/1/m.onnx", "models/notes/a.txt"], "models/iris/1", None, ("models/iris", "models/iris")),
        (["iris/1/m.onnx"], "iris/1", None, ("iris", "iris")),
    ],
)
def test_what_is_served_is_the_directory_of_models_where_it_is_nothing_else(
    there: list[str], output: str, name: str | None, served: tuple[str, str]
) -> None:
    for file in map(Path, there):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert shelf(output, name).served() == served


@pytest.mark.parametrize("output", [".", "./", "", "/"])
def test_where_somebody_stands_is_no_place_either(output: str) -> None:
    with pytest.raises(ConfigurationError, match="name a directory that is not there"):
        shelf(output, "iris")


def test_nothing_is_seen_of_a_directory_before_it_is_whole() -> None:
    target = Path("models/iris/1")
    with staged(target, CONTENTS) as staging:
        assert [name for name in os.listdir(target.parent) if not name.startswith(".")] == []
        put(staging, target)
    assert os.listdir(target.parent) == ["1"]
    assert differences(target, CONTENTS) == []
    assert target.stat().st_mode & 0o777 == 0o755


def test_nothing_is_left_of_one_that_was_given_up() -> None:
    with pytest.raises(RuntimeError), staged(Path("models/1"), CONTENTS):
        raise RuntimeError
    assert os.listdir("models") == []


def test_a_file_that_changes_while_it_is_copied_is_refused() -> None:
    Path("m.onnx").write_text("another")
    contents = {"m.onnx": Content(made("m").sha256, path=Path("m.onnx"))}
    with pytest.raises(ChangedArtifact, match="pack it again"), staged(Path("models/1"), contents):
        pass
    assert os.listdir("models") == []


def test_what_is_there_is_the_same_or_stays_as_it_is() -> None:
    target = Path("models/1")
    assert not is_there(target, CONTENTS)
    target.mkdir(parents=True)
    assert not is_there(target, CONTENTS), "an empty directory is as good as none"
    with staged(target, CONTENTS) as staging:
        put(staging, target)
    (target / CARD).write_text(f"# m\n{MEASURED}\n1 row: 3 ms\n")
    assert is_there(target, CONTENTS), "what was measured is another thing each time"
    Path("models/2").mkdir()
    for name, text in (("notes.txt", "mine"), ("model.onnx", "another")):
        (target / name).write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        is_there(target, CONTENTS)
    assert str(refused.value) == (
        "models/1 is there and differs (model.onnx, notes.txt): a version is not overwritten; "
        "pack into models/3, or remove it"
    )


def test_one_that_came_meanwhile_is_not_overwritten() -> None:
    target = Path("models/1")
    with staged(target, CONTENTS) as staging:
        target.mkdir()
        (target / "theirs").touch()
        with pytest.raises(ConfigurationError, match="something else was put there meanwhile"):
            put(staging, target)
    assert os.listdir(target) == ["theirs"]


def test_sums_are_those_of_the_files() -> None:
    Path("a").write_text("1")
    assert sums({"a": made("1")}).data.decode() == f"{digest_of(Path('a'))}  a\n"
