"""What is measured: how each server is started, and where it takes its requests."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from subjects import Subject
from wire import NATIVE, Wire

HERE = Path(__file__).parent
PENSTOCK = str(Path(sys.executable).with_name("penstock"))
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
UVICORN = (sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--no-access-log", "--log-level", "warning")


class Target(NamedTuple):
    """A way to serve.

    `ceiling`: it predicts nothing, so there is nothing to check. `idle`: cores that it uses when nobody asks.
    """

    name: str
    command: Callable[[Subject, int, Path], list[str]]
    wire: Wire = NATIVE
    ceiling: bool = False
    idle: float = 0.0
    interpreter: str = sys.executable  # another than ours is in an environment of its own

    def environment(self, subject: Subject, log: Path) -> Mapping[str, str]:
        """The same for each, but that a peer finds only what it brought, and writes into the log's folder."""
        ours = {"MODEL": str(subject.pickle), "LOG_FILE": str(log), "PENSTOCK_CACHE": str(log.with_name("cache"))}
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        apart = {"PYTHONPATH": "", "HOME": str(log.parent)}
        return os.environ | ONE_THREAD | ours | ({"PYTHONPATH": path} if self.interpreter == sys.executable else apart)


def naive(_: Subject, port: int, __: Path) -> list[str]:
    return [*UVICORN, "--port", str(port), "naive:app"]


def bare(_: Subject, port: int, __: Path) -> list[str]:
    return [*UVICORN, "--port", str(port), "--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "bare:app"]


def penstock(subject: Subject, port: int, log: Path) -> list[str]:
    return [*serve(port, log), str(subject.pickle)]


def lane(subject: Subject, port: int, log: Path) -> list[str]:
    """The first rung of the ladder: neither compiled nor batched."""
    return [*penstock(subject, port, log), "--compile", "off", "--max-rows", "1"]


def batched(subject: Subject, port: int, log: Path) -> list[str]:
    """The second one: batched, and as it was trained."""
    return [*penstock(subject, port, log), "--compile", "off"]


def onnx(subject: Subject, port: int, log: Path) -> list[str]:
    return [*serve(port, log), str(subject.onnx)]


def serve(port: int, log: Path) -> list[str]:
    return [PENSTOCK, "serve", "--port", str(port), "--log-file", str(log)]


TARGETS = {
    target.name: target
    for target in (
        Target("naive", naive),
        Target("lane", lane),
        Target("batched", batched),
        Target("penstock", penstock),
        Target("onnx", onnx),
        Target("bare", bare, ceiling=True),
    )
}
