"""The lock: what it pins, and how it is kept."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConfigurationError
from penstock.model.trust import Lock, digest_of, read_lock

DIGESTS = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
PARTS = st.binary(min_size=1, max_size=12).map(os.fsdecode).filter(lambda part: part not in (".", ".."))
FILES = st.lists(PARTS.filter(lambda part: not {"/", "\0"} & {*part}), min_size=1, max_size=3).map("/".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lock")


@given(pins=st.dictionaries(FILES, DIGESTS, max_size=5))
def test_a_lock_survives_being_written_and_read(pins: dict[str, str], folder: Path) -> None:
    lock = Lock(folder / "penstock.lock", pins)
    lock.path.write_bytes(os.fsencode(lock.text()))
    assert read_lock(lock.path) == lock
    assert all(lock.pin_of(folder / name) == pin for name, pin in pins.items())


def test_sha256sum_checks_a_lock(tmp_path: Path) -> None:
    names = ["plain.pkl", "with blank.pkl", "new\nline.pkl", "back\\slash.pkl", "ünïcode.pkl"]
    for name in names:
        (tmp_path / name).write_text(name)
    Lock(tmp_path / "penstock.lock", {}).updated(
        [], {tmp_path / name: digest_of(tmp_path / name) for name in names}
    ).write()
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "penstock.lock"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_text_is_kept(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"\xff.pkl")
    Lock(tmp_path / "penstock.lock", {}).updated([], {file: "0" * 64}).write()
    assert read_lock(tmp_path / "penstock.lock").pin_of(file) == "0" * 64


def test_what_is_gone_from_a_tree_is_dropped_and_what_lies_elsewhere_stays(tmp_path: Path) -> None:
    there = {"a/1/m.pkl": "1" * 64, "a/2/m.pkl": "2" * 64, "ab/m.pkl": "3" * 64}
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    old = Lock(tmp_path / "penstock.lock", there | {"gone/m.pkl": "5" * 64})
    new = old.updated([tmp_path / "a"], {tmp_path / "a/2/m.pkl": "2" * 64, tmp_path / "a/3/m.pkl": "4" * 64})
    assert new.pins == {"a/2/m.pkl": "2" * 64, "a/3/m.pkl": "4" * 64, "ab/m.pkl": "3" * 64}
    assert set(old.text().splitlines()) & set(new.text().splitlines()) >= {
        f"{'2' * 64}  a/2/m.pkl",
        f"{'3' * 64}  ab/m.pkl",
    }


def test_the_lines_are_sorted_whatever_the_order_of_finding() -> None:
    lock = Lock(Path("/x/penstock.lock"), {"b": "0" * 64, "a": "1" * 64})
    assert [line[66:] for line in lock.text().splitlines() if not line.startswith("#")] == ["a", "b"]


def test_no_lock_pins_nothing(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "penstock.lock").pin_of(tmp_path / "model.pkl") is None


@pytest.mark.parametrize("line", ["abc  model.pkl", "0" * 64, "0" * 64 + "  ", "G" * 64 + "  model.pkl", "models: {}"])
def test_a_line_that_is_no_pin_is_refused_with_its_number(line: str, tmp_path: Path) -> None:
    (tmp_path / "penstock.lock").write_text(f"# a comment\n\n{line}\n")
    with pytest.raises(ConfigurationError, match=r"penstock\.lock: line 3: expected a sha256"):
        read_lock(tmp_path / "penstock.lock")


def test_a_lock_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "penstock.lock", {"a": "0" * 64})
    lock.write()
    held = (tmp_path / "penstock.lock").open()
    Lock(lock.path, {"b": "1" * 64}).write()
    assert "  a\n" in held.read()
    assert os.listdir(tmp_path) == ["penstock.lock"]
    assert lock.path.stat().st_mode & 0o777 == 0o644
    held.close()


def test_a_lock_that_cannot_be_written_leaves_no_rubbish(tmp_path: Path) -> None:
    (tmp_path / "penstock.lock").mkdir()
    with pytest.raises(OSError, match="directory"):
        Lock(tmp_path / "penstock.lock", {}).write()
    assert os.listdir(tmp_path) == ["penstock.lock"]
