"""The compiled form of a model: out of the cache, or made and proven by a process of its own that may be killed."""

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping

import msgspec
from msgspec import structs

from penstock.errors import NotCompiled
from penstock.host import source
from penstock.host.cache import VARIABLE, Cache, Entry, key_of, place
from penstock.host.refusals import detail
from penstock.model.certificate import Certificate
from penstock.model.control import Artifact
from penstock.model.formats import RUNS_CODE

PROGRAM = ("-P", "-m", "penstock.compile")
NEEDED = ("skl2onnx", "onnxruntime")


class Compilation:
    """What became of compiling an artifact. `entry` is None where that could not even be tried.

    `beside` has the sha256, by path, of the transforms that are part of the graph and of what it was proven with.
    """

    def __init__(
        self,
        certificate: Certificate,
        entry: Entry | None = None,
        warning: str | None = None,
        beside: Mapping[str, str] | None = None,
    ) -> None:
        self.certificate = certificate
        self.beside = beside or {}
        self.graph = entry.graph if entry else b""
        self.entry = entry
        self.warnings = (*(entry.warnings if entry else ()), *([warning] if warning else []))


def compiled(artifact: Artifact, sha256: str, before: Callable[[], None]) -> Compilation:
    """Looks for the compiled form of an artifact of these bytes; calls `before` where it has to be made.

    Raises NotCompiled where it is required and there is none, ArtifactError for examples, a reference or transforms
    that cannot be read or are not the pinned ones.
    """
    found = _found(artifact, sha256, before)
    if artifact.compile == "require" and not found.graph:
        raise NotCompiled(
            f"{artifact.path} has no compiled form that is shown to be equal ({found.certificate.reason}): "
            "say `compile: auto` to serve the original"
        )
    return found


def _found(artifact: Artifact, sha256: str, before: Callable[[], None]) -> Compilation:
    if lacking := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        return _original(f"{lacking[0]} is not installed: pip install skl2onnx onnx onnxruntime")
    if artifact.device.startswith("cuda"):
        return _original("it is to run on the CPU only")
    proof = [path for path in (artifact.examples, artifact.reference) if path]
    files = [*(each.path for each in artifact.transforms), *proof]
    for path, pin in artifact.code_pins.items():
        if os.path.getsize(path):  # an empty __init__.py is a good module
            source.read(path, pin)
    beside = {path: source.read(path, artifact.beside.get(path)).sha256 for path in files}
    key = key_of(artifact, sha256, beside.values())
    directory = place(os.environ)
    cache = Cache(directory) if directory else None
    if cache and (entry := cache.get(key)):
        return Compilation(entry.certificate, entry, beside=beside)
    before()
    outcome = _made(structs.replace(artifact, pinned=sha256, beside=artifact.beside | _pins(artifact, beside)))
    if isinstance(outcome, str):
        return _original(outcome)
    return Compilation(outcome.certificate, outcome, _kept(cache, key, outcome) if outcome.final else None, beside)


def _pins(artifact: Artifact, beside: Mapping[str, str]) -> dict[str, str]:
    """What the compiler has to find as it was found here. A pin of a pickle would vouch for it, which is not ours."""
    risky = {each.path for each in artifact.transforms if each.format in RUNS_CODE}
    return {path: sha256 for path, sha256 in beside.items() if path not in risky}


def _original(reason: str) -> Compilation:
    return Compilation(Certificate(verdict="original", reason=reason))


def _made(artifact: Artifact) -> Entry | str:
    """What the compiler finds, or why it found nothing."""
    import subprocess

    answer = os.memfd_create("compiled")
    try:
        command = [sys.executable, *PROGRAM, str(answer)]
        request = msgspec.msgpack.encode(artifact)
        subprocess.run(command, input=request, pass_fds=[answer], timeout=artifact.compile_timeout_s, check=True)
        with open(answer, "rb", closefd=False) as file:
            file.seek(0)  # the compiler has left it at the end
            return msgspec.msgpack.decode(file.read(), type=Entry | str)
    except subprocess.TimeoutExpired:
        return f"compiling it took longer than {artifact.compile_timeout_s:g} s; compile_timeout_s allows it more"
    except subprocess.CalledProcessError as error:
        return f"the compiler ended: {error}"
    except (OSError, msgspec.MsgspecError) as error:
        return f"the compiler could not be run ({detail(error)})"
    finally:
        os.close(answer)


def _kept(cache: Cache | None, key: str, entry: Entry) -> str | None:
    """Puts the entry into the cache; returns a warning where that cannot be."""
    if cache is None:
        return f"compiled anew at each start: there is no place to keep it; set {VARIABLE} to a directory"
    try:
        cache.put(key, entry)
    except OSError as error:
        return (
            f"compiled anew at each start: {error.filename} cannot keep it ({(error.strerror or 'error').lower()}); "
            f"set {VARIABLE} to a directory of your own"
        )
    return None
