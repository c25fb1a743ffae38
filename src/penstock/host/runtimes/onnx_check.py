"""The ONNX checker as the host sees it: a child that looks at the model while the host imports ONNX Runtime."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from penstock.errors import UnreadableArtifact
from penstock.host.onnx_checker import TIME_LIMIT_S, Verdict
from penstock.host.refusals import missing_module
from penstock.host.source import Source
from penstock.model.control import Artifact


class Check:
    """A check in progress. The child gets the very bytes that are loaded, and no file to read them from again."""

    def __init__(self, source: Source, artifact: Artifact) -> None:
        self._path = artifact.path
        with _in_memory(source.data) as descriptor:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "penstock.host.onnx_checker"], stdin=descriptor, stdout=subprocess.PIPE
            )

    def verdict(self) -> Verdict:
        """What the child found. Raises UnreadableArtifact for a model that is not well formed, MissingDependency."""
        try:
            answer, _ = self._child.communicate(timeout=TIME_LIMIT_S)
            verdict = msgspec.json.decode(answer, type=Verdict)
        except (subprocess.TimeoutExpired, msgspec.MsgspecError):
            verdict = Verdict(error=f"the checker ended with status {self._child.returncode} and no verdict")
        finally:
            self.stop()
        if verdict.missing is not None:
            raise missing_module(verdict.missing)
        if verdict.error is not None:
            raise UnreadableArtifact(
                f"{self._path} is no well-formed ONNX model ({verdict.error}): "
                "the file may be damaged or cut short, or of another format than its name says"
            )
        return verdict

    def stop(self) -> None:
        """Ends the child if it still runs, and lets go of it."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()


@contextmanager
def _in_memory(data: bytes) -> Iterator[int]:
    """A file without a name that holds `data`: a pipe would block until the child reads."""
    descriptor = os.memfd_create("penstock")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
