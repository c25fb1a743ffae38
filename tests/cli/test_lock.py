"""`penstock lock`: what it pins, what it says, and what it leaves alone."""

from pathlib import Path

import pytest

from penstock.cli import main
from penstock.model.trust import read_lock


def write(*files: str, text: str = "x") -> None:
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(text)


def pinned(lock: str = "penstock.lock") -> list[str]:
    return list(read_lock(Path(lock)).pins)


def test_everything_that_may_run_code_is_pinned_in_every_version() -> None:
    write("models/a/1/m.pkl", "models/a/2/m.joblib", "models/b/m.pt", "models/c/m.onnx", "models/d/m.skops")
    write("models/e/m.onnx", "models/e/code/a.py", "models/e/code/.b.py")
    write("models/e/model.yaml", text="code: [code]")
    write("models/f/m.onnx", "models/f/scaler.pkl", "models/f/pca.skops")
    write("models/f/model.yaml", text="transform: [scaler.pkl, pca.skops]")
    write("models/g/predictor.py", "models/g/weights.pt", "models/g/notes.py")
    assert main(["lock", "models"]) == 0
    assert pinned() == [
        "models/a/1/m.pkl",
        "models/a/2/m.joblib",
        "models/b/m.pt",
        "models/e/code/a.py",
        "models/f/scaler.pkl",
        "models/g/predictor.py",
    ]


def test_a_second_time_changes_nothing() -> None:
    write("models/a/m.pkl")
    main(["lock", "models"])
    before = Path("penstock.lock").stat()
    assert main(["lock", "models"]) == 0
    assert Path("penstock.lock").stat().st_mtime_ns == before.st_mtime_ns


def test_changes_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    write("models/a/m.pkl", "models/b/m.pkl", "models/c/m.pkl")
    main(["lock", "models"])
    write("models/b/m.pkl", text="another")
    write("models/d/m.pkl")
    Path("models/c/m.pkl").unlink()
    write("models/c/m.onnx")
    capsys.readouterr()
    assert main(["lock", "models"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[:-1]] == [
        ["changed", "models/b/m.pkl"],
        ["removed", "models/c/m.pkl"],
        ["pinned", "models/d/m.pkl"],
    ]
    assert pinned() == ["models/a/m.pkl", "models/b/m.pkl", "models/d/m.pkl"]


def test_check_writes_nothing_and_exits_with_1_where_something_differs() -> None:
    write("models/a/m.pkl")
    assert main(["lock", "models", "--check"]) == 1
    assert not Path("penstock.lock").exists()
    main(["lock", "models"])
    assert main(["lock", "models", "--check"]) == 0
    write("models/a/m.pkl", text="another")
    assert main(["lock", "models", "--check"]) == 1


def test_a_model_that_cannot_be_served_is_passed_over_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    write("models/good/m.pkl", "models/two/a.pkl", "models/two/b.pkl", "outside/m.pkl")
    Path("models/linked").symlink_to("../outside")
    assert main(["lock", "models"]) == 1
    assert pinned() == ["models/good/m.pkl"]
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[2].partition(":")[0] for line in told] == [" passed over linked", " passed over two"]


def test_where_nothing_can_be_locked_it_says_what_to_do_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """Loose pickles in one directory are no repository. What else is named is locked all the same."""
    write("loose/a.pkl", "loose/b.pkl", "models/c/m.pkl")
    assert main(["lock", "loose"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n"), Path("penstock.lock").exists()) == ("", 1, False)
    assert "cannot lock loose: " in told.err
    assert "give each model a directory of its own (a/a.pkl)" in told.err
    assert main(["lock", "loose", "models"]) == 1
    assert pinned() == ["models/c/m.pkl"]


def test_one_file_is_pinned_beside_the_others() -> None:
    write("a.pkl", "b.pkl")
    main(["lock", "a.pkl"])
    main(["lock", "b.pkl"])
    assert pinned() == ["a.pkl", "b.pkl"]


def test_a_configuration_leaves_alone_what_others_in_its_directory_have_pinned() -> None:
    write("models/a/m.pkl", "models/b/m.pkl", "models/c/m.pkl", "features.py")
    write("blue.yaml", text="models: {a: {path: models/a, code_path: [features.py]}, c: {path: models/c}}")
    write("red.yaml", text="models: {b: {path: models/b}}")
    assert main(["lock", "blue.yaml"]) == 0
    assert main(["lock", "red.yaml"]) == 0
    assert pinned() == ["features.py", "models/a/m.pkl", "models/b/m.pkl", "models/c/m.pkl"]
    assert main(["lock", "blue.yaml", "--check"]) == 0


def test_a_pin_goes_with_its_file_or_with_what_was_named_without_it() -> None:
    write("models/a/m.pkl", "models/b/m.pkl", "lib/code/a.py", "lib/code/b.py")
    write("blue.yaml", text="models: {a: {path: models/a, code_path: [lib/code]}}")
    write("red.yaml", text="models: {b: {path: models/b}}")
    main(["lock", "blue.yaml"])
    main(["lock", "red.yaml"])
    Path("lib/code/b.py").unlink()
    Path("models/a/m.pkl").rename("models/a/m.onnx")
    assert main(["lock", "red.yaml"]) == 0
    assert pinned() == ["lib/code/a.py", "models/b/m.pkl"]
    write("models/b/model.yaml", text="artifact: m.onnx")
    write("models/b/m.onnx")
    assert main(["lock", "red.yaml"]) == 0
    assert pinned() == ["lib/code/a.py"]


def test_the_lock_may_lie_elsewhere_but_not_within_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    write("models/a/m.pkl")
    assert main(["lock", "models", "--lock", "vault/my.lock"]) == 0
    assert pinned("vault/my.lock") == ["../models/a/m.pkl"]
    assert main(["lock", "models", "--lock", "models/my.lock"]) == 2
    assert "keep the lock outside" in capsys.readouterr().err


def test_a_lock_that_is_none_is_not_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    write("models/a/m.pkl")
    write("penstock.lock", text="something else\n")
    assert main(["lock", "models"]) == 2
    assert "penstock.lock: line 1: expected a sha256" in capsys.readouterr().err
    assert Path("penstock.lock").read_text() == "something else\n"
