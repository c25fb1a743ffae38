"""A link that is put in place after somebody looked where a path leads is not followed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from penstock.errors import UnreadableArtifact, UntrustedArtifact
from penstock.host.runtimes.onnx_external import external_data
from tests.host.driver import artifact, refusal
from tests.host.nets import linear

TRIES = 1500

FLIP = """
import os, sys
path, away, link = sys.argv[1:]
print(flush=True)
while True:
    os.rename(path, away)
    os.rename(link, path)
    os.rename(path, link)
    os.rename(away, path)
"""


@contextmanager
def flipping(path: Path, target: Path) -> Iterator[None]:
    """`path` is now itself, now a link to `target`, now nothing, thousands of times a second."""
    link = path.with_name("link")
    link.symlink_to(target)
    command = [sys.executable, "-c", FLIP, str(path), str(path.with_name("away")), str(link)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as flipper:
        try:
            assert flipper.stdout is not None
            flipper.stdout.readline()
            yield
        finally:
            flipper.kill()


@pytest.mark.parametrize("exchanged", ["model.onnx", "."])
def test_a_file_or_a_directory_that_became_a_link_is_refused(exchanged: str, tmp_path: Path) -> None:
    """Though the bytes are the same."""
    (tmp_path / "models").mkdir()
    found = artifact(linear(tmp_path / "models" / "model.onnx"))
    path = tmp_path / "models" / exchanged
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    refused = refusal(found)
    assert refused.code == "untrusted_artifact"
    assert "exchanged for a link" in refused.message


@pytest.mark.parametrize("exchanged", ["weights.bin", "folder"])
def test_whoever_exchanges_weights_for_a_link_is_never_quick_enough(exchanged: str, tmp_path: Path) -> None:
    """Weights are what would show in answers what the service may read and the one who placed the link may not."""
    inside, outside = tmp_path / "root" / "folder", tmp_path / "outside"
    for folder, content in ((inside, b"mine"), (outside, b"secret")):
        folder.mkdir(parents=True)
        (folder / "weights.bin").write_bytes(content)
    path = inside if exchanged == "folder" else inside / "weights.bin"
    target = outside if exchanged == "folder" else outside / "weights.bin"
    model = artifact(tmp_path / "root" / "model.onnx")
    seen: set[bytes] = set()
    with flipping(path, target):
        for tries in count():
            if seen and tries >= TRIES:
                break
            try:
                (found,) = external_data(model, ["folder/weights.bin"]).values()
                seen.add(found.data)
            except (UntrustedArtifact, UnreadableArtifact):
                pass
    assert seen == {b"mine"}
