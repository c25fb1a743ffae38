"""The cache of compiled models: an entry is found again, and whatever is damaged or somebody else's is not there."""

import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from penstock.host import cache as module
from penstock.host.cache import Cache, Entry, key_of, place
from penstock.model.certificate import Certificate
from penstock.model.control import Artifact
from penstock.model.signature import Field, Output, OutputField, Signature

KEY = "a" * 64
ENTRY = Entry(
    certificate=Certificate(verdict="compiled", rows=7, largest_difference=0.0, form="ONNX in float64"),
    signature=Signature(inputs=(Field(name="x", range=(0.0, 1.0)),), output=Output(fields=(OutputField(name="y"),))),
    trained_with={"scikit-learn": "1.7"},
    graph=b"a graph",
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "new" / "cache"


@pytest.fixture
def cache(directory: Path) -> Cache:
    kept = Cache(directory)
    kept.put(KEY, ENTRY)
    return kept


def test_what_is_put_is_found_by_the_next_who_looks(cache: Cache, directory: Path) -> None:
    assert Cache(directory).get(KEY) == ENTRY
    assert cache.get("b" * 64) is None


def test_nobody_else_can_read_or_write_it(cache: Cache, directory: Path) -> None:
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / KEY).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("at", [0, 25, 60, -1])
def test_a_flipped_bit_anywhere_is_a_miss(cache: Cache, directory: Path, at: int) -> None:
    data = bytearray((directory / KEY).read_bytes())
    data[at] ^= 1
    (directory / KEY).write_bytes(data)
    assert cache.get(KEY) is None


@pytest.mark.parametrize("length", [0, 10, 52, 100])
def test_a_cut_entry_is_a_miss(cache: Cache, directory: Path, length: int) -> None:
    data = (directory / KEY).read_bytes()
    (directory / KEY).write_bytes(data[:length])
    assert cache.get(KEY) is None


def test_an_entry_of_another_shape_is_a_miss(cache: Cache, directory: Path) -> None:
    body = msgspec.msgpack.encode({"verdict": "compiled"})
    (directory / KEY).write_bytes(module.MAGIC + hashlib.sha256(body).digest() + body)
    assert cache.get(KEY) is None


@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_an_entry_that_others_may_write_is_a_miss(cache: Cache, directory: Path, mode: int) -> None:
    (directory / KEY).chmod(mode)
    assert cache.get(KEY) is None


def test_a_directory_that_others_may_write_is_no_cache(cache: Cache, directory: Path) -> None:
    directory.chmod(0o777)
    assert cache.get(KEY) is None
    with pytest.raises(PermissionError, match="they may write"):
        cache.put(KEY, ENTRY)


def test_a_link_to_an_entry_is_a_miss(cache: Cache, directory: Path, tmp_path: Path) -> None:
    """The directory itself may be one: systemd's is."""
    (tmp_path / "elsewhere").symlink_to(directory)
    assert Cache(tmp_path / "elsewhere").get(KEY) == ENTRY
    (directory / KEY).rename(tmp_path / "entry")
    (directory / KEY).symlink_to(tmp_path / "entry")
    assert cache.get(KEY) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_an_entry_of_another_owner_is_a_miss(cache: Cache, directory: Path) -> None:
    os.chown(directory / KEY, 12345, -1)
    assert cache.get(KEY) is None
    cache.put(KEY, ENTRY)
    os.chown(directory, 12345, -1)
    assert cache.get(KEY) is None


def test_what_was_used_last_is_kept(cache: Cache, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a file that is none of its entries is not its to remove."""
    (directory / "notes.txt").write_text("mine")
    os.utime(directory / "notes.txt", (0, 0))
    monkeypatch.setattr(module, "MOST_ENTRIES", 3)
    for number, letter in enumerate("bcd", 1):
        os.utime(directory / KEY, (number, number))
        cache.put(letter * 64, ENTRY)
        os.utime(directory / (letter * 64), (number + 10, number + 10))
    cache.get("b" * 64)  # that is using it
    cache.put("e" * 64, ENTRY)
    assert {path.name[0] for path in directory.iterdir()} == {"b", "d", "e", "n"}


def test_everything_that_has_a_say_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = Artifact(path="/m/model.pkl", format="pickle", root="/m")
    keys = [
        key_of(artifact, "1", []),
        key_of(artifact, "2", []),
        key_of(artifact, "1", ["examples"]),
        key_of(msgspec.structs.replace(artifact, inputs=(Field(name="x"),)), "1", []),
        key_of(msgspec.structs.replace(artifact, code_pins={"/m/own.py": "3"}), "1", []),
    ]
    assert key_of(msgspec.structs.replace(artifact, path="/n/model.pkl", root="/n"), "1", []) == keys[0]
    monkeypatch.setattr(module, "versions", lambda: {"scikit-learn": "another"})
    keys.append(key_of(artifact, "1", []))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PENSTOCK_CACHE": "/c", "HOME": "/home/me"}, Path("/c")),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/home/me"}, Path("/x/penstock")),
        ({"PENSTOCK_CACHE": "", "HOME": "/home/me"}, Path("/home/me/.cache/penstock")),
        ({"XDG_CACHE_HOME": "relative"}, None),
        ({}, None),
    ],
)
def test_where_the_cache_is(environment: dict[str, str], expected: Path | None) -> None:
    assert place(environment) == expected
