"""Changes on the disk are told once, when they are over, and no place keeps another waiting."""

from pathlib import Path

import pytest

from penstock.model.watch import QUIET_S, Watch


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for file in ("iris/1/model.onnx", "iris/1/deep/er/weights", "iris/2/model.onnx", "cancer/model.onnx"):
        write(tmp_path / file)
    return tmp_path


def write(file: Path, text: str = "x") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_what_is_there_at_the_start_is_no_news(tree: Path) -> None:
    watch = Watch([tree], 0.0)
    assert watch.look(0.5) == watch.look(10.0) == set()
    assert not watch.is_busy(tree)


def test_a_change_is_told_once_and_when_it_is_over(tree: Path) -> None:
    watch = Watch([tree], 0.0)
    write(tree / "iris/3/model.onnx")
    assert watch.look(1.0) == set()
    assert watch.is_busy(tree / "iris/3")
    write(tree / "iris/3/model.onnx", "longer")
    assert watch.look(1.0 + QUIET_S - 0.1) == set()
    assert watch.look(1.0 + QUIET_S) == set()
    assert watch.look(1.0 + 2 * QUIET_S) == {tree / "iris/3"}
    assert not watch.is_busy(tree / "iris/3")
    assert watch.look(99.0) == set()


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("iris/2/model.onnx", "iris/2"),
        ("iris/1/deep/er/weights", "iris/1"),
        ("iris/2/new.json", "iris/2"),
        ("cancer/model.onnx", "cancer"),
        ("new/model.onnx", "new"),
        ("loose.onnx", "."),
    ],
)
def test_the_place_that_has_changed_is_told(tree: Path, file: str, place: str) -> None:
    watch = Watch([tree], 0.0)
    write(tree / file, "another")
    watch.look(1.0)
    assert watch.look(1.0 + QUIET_S) == {tree / place}


def test_who_writes_on_and_on_keeps_nobody_else_waiting(tree: Path) -> None:
    watch = Watch([tree], 0.0)
    write(tree / "cancer/model.onnx", "changed")
    for i in range(9):
        write(tree / "iris/9/model.onnx", "x" * i)
        changed = watch.look(i / 2)
        assert changed == ({tree / "cancer"} if i / 2 == QUIET_S else set())
        assert watch.is_busy(tree / "iris/9")
        assert not watch.is_busy(tree / "iris/1")


def test_what_goes_is_news_too(tree: Path) -> None:
    watch = Watch([tree], 0.0)
    (tree / "iris/2/model.onnx").unlink()
    watch.look(1.0)
    assert watch.look(1.0 + QUIET_S) == {tree / "iris/2"}
    assert watch.look(9.0) == set()


def test_names_with_a_dot_are_nothing(tree: Path) -> None:
    watch = Watch([tree], 0.0)
    write(tree / ".staging/model.onnx")
    write(tree / "iris/2/.model.onnx.part")
    watch.look(1.0)
    assert watch.look(9.0) == set()


def test_a_file_by_itself_may_come_and_go_and_change(tmp_path: Path) -> None:
    file = tmp_path / "penstock.yaml"
    watch = Watch([file], 0.0)
    write(file)
    watch.look(1.0)
    assert watch.look(1.0 + QUIET_S) == {file}
    file.unlink()
    watch.look(5.0)
    assert watch.look(5.0 + QUIET_S) == {file}


def test_a_link_round_in_a_circle_ends(tree: Path) -> None:
    (tree / "iris/1/again").symlink_to(tree)
    assert Watch([tree], 0.0).look(9.0) == set()


def test_an_empty_directory_is_news_when_it_comes_and_when_it_goes(tree: Path) -> None:
    watch = Watch([tree], 0.0)
    (tree / "iris/7").mkdir()
    watch.look(1.0)
    assert watch.look(1.0 + QUIET_S) == {tree / "iris/7"}
    (tree / "iris/7").rmdir()
    watch.look(5.0)
    assert watch.look(5.0 + QUIET_S) == {tree / "iris/7"}


def test_what_is_looked_after_anew_is_no_news(tree: Path) -> None:
    watch = Watch([tree / "iris"], 0.0)
    watch.watch([tree / "cancer"])
    assert watch.look(1.0) == set()
    watch.look(3.0)
    watch.watch([tree / "iris", tree / "cancer"])
    assert watch.look(4.0) == watch.look(9.0) == set()


def test_what_lies_outside_is_not_even_looked_at(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (tree / "linked").symlink_to(outside)
    (tree / "iris/linked").symlink_to("../cancer")
    watch = Watch([tree], 0.0)
    write(outside / "model.onnx")
    write(tree / "cancer/model.onnx", "another")
    watch.look(1.0)
    assert watch.look(1.0 + QUIET_S) == {tree / "cancer", tree / "iris/linked"}


def test_what_somebody_else_looks_after_is_no_news(tree: Path) -> None:
    table = tree / "iris/1/users.csv"
    write(table)
    watch = Watch([tree], 0.0, {str(table)})
    write(table, "longer")
    watch.look(1.0)
    assert watch.look(9.0) == set()
    watch.watch([tree])
    watch.look(10.0)
    assert watch.look(19.0) == {tree / "iris/1"}
