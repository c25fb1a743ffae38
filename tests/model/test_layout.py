"""Layouts: which models and versions lie under a directory."""

from pathlib import Path

import pytest

from penstock.errors import ConfigurationError, UnsupportedArtifact
from penstock.model.layout import places, shape_of


def tree(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"")
    return folder


def names(directory: Path, name: str | None = None, *, one_model: bool = False) -> list[tuple[str, str]]:
    return [(place.name, place.version) for place in places(directory, name, one_model=one_model)]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["model.pkl"], [("here", "1")]),
        (["model.yaml"], [("here", "1")]),
        (["model.onnx", "old/model.onnx"], [("here", "1")]),
        (["1/model.pkl", "2/model.onnx"], [("here", "1"), ("here", "2")]),
        (["v1/model.pkl"], [("here", "v1")]),
        (["iris/model.pkl", "cancer/model.yaml"], [("cancer", "1"), ("iris", "1")]),
        (
            ["iris/1/model.pkl", "iris/blue/model.pkl", "cancer/m.pt"],
            [("cancer", "1"), ("iris", "1"), ("iris", "blue")],
        ),
        (["1/model.pkl", "iris/model.pkl"], [("1", "1"), ("iris", "1")]),
        (["iris/README.md", "cancer/model.pkl"], [("cancer", "1"), ("iris", "1")]),
        ([".git/model.pkl", "iris/.old/model.pkl", "iris/a.pkl", ".b.pkl"], [("iris", "1")]),
        (["README.md"], [("here", "1")]),
    ],
)
def test_a_directory_is_a_model_or_versions_or_a_repository(
    files: list[str], found: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert names(tree(tmp_path / "here", *files)) == found


def test_the_directories_of_what_is_one_model_are_its_versions_whatever_their_names(tmp_path: Path) -> None:
    folder = tree(tmp_path / "here", "blue/model.pkl", "green/model.pkl")
    assert names(folder, "iris") == [("iris", "blue"), ("iris", "green")]
    assert names(folder, one_model=True) == [("here", "blue"), ("here", "green")]
    assert names(folder) == [("blue", "1"), ("green", "1")]


def test_several_models_cannot_have_one_name(tmp_path: Path) -> None:
    folder = tree(tmp_path / "here", "iris/1/model.pkl", "cancer/1/model.pkl")
    with pytest.raises(ConfigurationError, match=r"holds several models \(cancer, iris\): name one of them"):
        names(folder, "mine")


def test_what_lies_behind_a_link_out_of_the_tree_is_not_looked_at(tmp_path: Path) -> None:
    tree(tmp_path / "outside", "1/model.pkl", "2/model.pkl")
    folder = tree(tmp_path / "here", "iris/model.pkl")
    (folder / "linked").symlink_to(tmp_path / "outside")
    assert names(folder) == [("iris", "1"), ("linked", "1")]


def test_the_working_directory_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree(tmp_path / "here", "model.pkl"))
    assert names(Path()) == [("here", "1")]


def test_a_file_that_strayed_among_versions_makes_no_model_of_their_directory(tmp_path: Path) -> None:
    folder = tree(tmp_path / "here", "iris/1/model.pkl", "iris/2/model.pkl", "iris/stray.pkl")
    assert names(folder) == [("iris", "1"), ("iris", "2")]
    assert names(folder / "iris") == [("iris", "1"), ("iris", "2")]
    tree(folder, "iris/model.yaml")
    assert names(folder) == [("iris", "1")]


def test_what_is_put_into_a_directory_makes_no_other_one_of_it(tmp_path: Path) -> None:
    folder = tree(tmp_path / "iris", "1/model.pkl", "2/model.pkl")
    assert shape_of(folder) == "versions"
    tree(folder, "backup/notes.txt", "stray.pkl")
    assert [place.version for place in places(folder, shape="versions")] == ["1", "2", "backup"]
    several = tree(tmp_path / "several", "a/model.pkl", "b/1/model.pkl")
    assert shape_of(several) == "repository"
    tree(several, "stray.pkl")
    assert [place.name for place in places(several, shape="repository")] == ["a", "b"]


def test_a_directory_that_was_emptied_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedArtifact, match="holds no models any more"):
        places(tree(tmp_path), shape="versions")
