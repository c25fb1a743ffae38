"""Sources: one version of a model as it lies on the disk, and whether it may be loaded."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec
from msgspec import Struct

from penstock.config import Model
from penstock.errors import (
    ConfigurationError,
    PenstockError,
    UnreadableArtifact,
    UnsupportedArtifact,
    UntrustedArtifact,
)
from penstock.model.context import Context, placed
from penstock.model.control import Artifact, Refused, Transform
from penstock.model.formats import COMPILABLE, EXTENSIONS, PREDICTOR, RUNS_CODE, format_of, usual_dtype
from penstock.model.layout import Place, artifacts, strangers
from penstock.model.manifest import MANIFEST, Manifest, parse_inputs, read_manifest
from penstock.model.reference import REFERENCE
from penstock.model.trust import Lock, digest_of

EXAMPLES = "examples.json"
MOST_CODE_FILES = 1000

_PROGRAMS = {"pickle": "pickle", "torchscript": "TorchScript program", "predictor": "Python program"}


class ModelSource(Struct, frozen=True, kw_only=True):
    """A version of a model that is to be served.

    With `refusal` no process needs to be started for it: that is why it cannot be. Where nothing could be found to
    load, `artifact` stands for the directory. `operator_named`: the command line names the very file.
    """

    name: str
    version: str
    path: str
    artifact: Artifact
    settings: Model
    operator_named: bool = False
    refusal: Refused | None = None


class Warrant(NamedTuple):
    """Who vouches for what is loaded.

    `lock` pins files; `remedy` is the command that would pin them. `file_named`: the operator named the artifact on
    the command line; `code_named`: and the code in `code_path`.
    """

    lock: Lock
    remedy: str
    file_named: bool = False
    code_named: bool = False


def source_of(place: Place, settings: Model, warrant: Warrant) -> ModelSource:
    """The source at `place`. One that cannot be loaded says why in its `refusal`; nothing is raised."""
    try:
        artifact = _vouched(_artifact(place, settings), settings, warrant)
        return ModelSource(
            name=place.name,
            version=place.version,
            path=str(place.path),
            artifact=artifact,
            settings=settings,
            operator_named=warrant.file_named,
            refusal=_objection(artifact, warrant),
        )
    except PenstockError as error:
        return refused(place, settings, error)
    except OSError as error:
        problem = f"{error.filename or place.path}: {(error.strerror or 'cannot be read').lower()}"
        return refused(place, settings, UnreadableArtifact(problem))


def refused(place: Place, settings: Model, error: PenstockError) -> ModelSource:
    """What stands for a version of which not even the artifact is known."""
    return ModelSource(
        name=place.name,
        version=place.version,
        path=str(place.path),
        artifact=Artifact(path=str(place.path), format="onnx", root=str(place.root)),
        settings=settings,
        refusal=Refused(error.code, str(error)),
    )


def with_stores(source: ModelSource, stores: Collection[str]) -> ModelSource:
    """The source with the stores that its manifest means, of those that the configuration has; or refused, where it
    means none of them."""
    try:
        context = [placed(each, stores, f"{MANIFEST}: context[{i}]") for i, each in enumerate(source.artifact.context)]
    except ConfigurationError as error:
        refusal = source.refusal or Refused(error.code, str(error))
        return msgspec.structs.replace(source, refusal=refusal)
    artifact = msgspec.structs.replace(source.artifact, context=tuple(context))
    return msgspec.structs.replace(source, artifact=artifact)


def risky_files(artifact: Artifact) -> list[Path]:
    """The files that run code when `artifact` is loaded: what a lock pins. Raises ConfigurationError."""
    own = [Path(artifact.path)] if artifact.format in RUNS_CODE else []
    own += [Path(each.path) for each in artifact.transforms if each.format in RUNS_CODE]
    return own + [file for entry in artifact.code for file in code_files(Path(entry))]


def code_files(entry: Path) -> list[Path]:
    """The Python files that `entry` stands for: itself, or all in the directory. Raises ConfigurationError."""
    if not entry.is_dir():
        return [entry]
    files = list(_python_files(entry))
    if len(files) > MOST_CODE_FILES:
        raise ConfigurationError(f"{entry} holds more than {MOST_CODE_FILES} Python files: name those that are needed")
    return files


def inside(directory: Path, written: str, root: Path, where: str) -> Path:
    """The file that a manifest in `directory` calls `written`, resolved. It must be there, and within `root`."""
    path = PurePosixPath(written)
    if path.is_absolute() or ".." in path.parts:
        raise ConfigurationError(f"{MANIFEST}: {where}: expected a path within the model's directory, got '{written}'")
    if any(part.startswith(".") for part in path.parts):
        raise ConfigurationError(f"{MANIFEST}: {where}: '{written}': names that begin with a dot are ignored")
    file = directory / path
    if not file.exists():
        raise ConfigurationError(f"{MANIFEST}: {where}: there is no '{written}' in {directory}")
    return kept(file, root)


def kept(file: Path, root: Path) -> Path:
    """`file` without symbolic links. Raises UntrustedArtifact where they lead out of `root`, a resolved path."""
    resolved = file.resolve(strict=True)
    if not resolved.is_relative_to(root):
        raise UntrustedArtifact(f"{file} is a link that leaves {root}: what lies outside is not loaded")
    return resolved


def _artifact(place: Place, settings: Model) -> Artifact:
    """What is to be loaded, without a word on whether it may."""
    return _from_directory(place, settings) if place.path.is_dir() else _from_file(place.path, settings)


def _from_file(path: Path, settings: Model) -> Artifact:
    file = path.resolve(strict=True)
    if not file.is_file():
        raise UnsupportedArtifact(f"{path} is not a regular file")
    kind = format_of(path)
    return Artifact(
        path=str(file),
        format=kind,
        root=str(file.parent),
        inputs=parse_inputs(settings.inputs, usual_dtype(kind)) if settings.inputs else (),
        trusted_types=settings.trusted_types,
        code=_own_code(settings),
        device=settings.device,
        memory=settings.memory,
        compile=settings.compile if kind in COMPILABLE else "off",
        compile_timeout_s=settings.compile_timeout_s,
    )


def _from_directory(place: Place, settings: Model) -> Artifact:
    directory = kept(place.path, place.root)
    manifest = _manifest(directory, place.root)
    named = directory / manifest.artifact if manifest.artifact else _only_artifact(directory, manifest)
    file = inside(directory, manifest.artifact or named.name, place.root, "artifact")
    kind = format_of(named)
    transforms = _transforms(directory, manifest, place.root)
    dtype = usual_dtype(transforms[0].format if transforms else kind)
    if not file.is_file():
        raise UnsupportedArtifact(f"{named} is not a regular file")
    code = [str(inside(directory, each, place.root, f"code[{i}]")) for i, each in enumerate(manifest.code)]
    return Artifact(
        path=str(file),
        format=kind,
        root=str(directory if file.is_relative_to(directory) else file.parent),
        inputs=parse_inputs(settings.inputs, dtype) if settings.inputs else manifest.fields(dtype),
        trusted_types=settings.trusted_types,
        transforms=transforms,
        code=(*code, *_own_code(settings)),
        context=_context(directory, manifest, place.root),
        all_zero=manifest.all_zero,
        output=manifest.output,
        examples=_companion(directory, manifest.examples, place.root, "examples", EXAMPLES),
        reference=_companion(directory, manifest.reference, place.root, "reference", REFERENCE),
        device=settings.device,
        memory=settings.memory,
        compile=settings.compile if kind in COMPILABLE else "off",
        compile_timeout_s=settings.compile_timeout_s,
    )


def _manifest(directory: Path, root: Path) -> Manifest:
    file = directory / MANIFEST
    return read_manifest(kept(file, root)) if file.exists() else Manifest()


def _context(directory: Path, manifest: Manifest, root: Path) -> tuple[Context, ...]:
    """What the manifest says of features from stores, with the files that are meant."""
    found = []
    for i, said in enumerate(manifest.context):
        file = inside(directory, said.file, root, f"context[{i}].file") if said.file is not None else None
        found.append(msgspec.structs.replace(said, file=file and str(file)))
    return tuple(found)


def _transforms(directory: Path, manifest: Manifest, root: Path) -> tuple[Transform, ...]:
    found = []
    for i, written in enumerate(manifest.transform):
        file = inside(directory, written, root, f"transform[{i}]")
        kind = format_of(PurePosixPath(written))
        if kind not in ("pickle", "skops"):
            raise UnsupportedArtifact(
                f"{MANIFEST}: transform[{i}]: '{written}' is {kind}: a transform is a fitted object with `transform` "
                "(a StandardScaler, say), in a .pkl, .joblib or .skops file"
            )
        found.append(Transform(str(file), kind))
    return tuple(found)


def _only_artifact(directory: Path, manifest: Manifest) -> Path:
    """The artifact by the name it has in `directory`, which declares its format.

    Transforms and own code are none, and beside a predictor everything else is what it loads.
    """
    found = [file for file in artifacts(directory) if file.name not in (*manifest.transform, *manifest.code)]
    found = [file for file in found if file.name == PREDICTOR] or found
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(file.name for file in found)
        raise UnsupportedArtifact(
            f"{directory} holds {len(found)} artifacts ({names}): give each model a directory of its own "
            f"({found[0].stem}/{found[0].name}), name the files themselves, "
            f"or say in {MANIFEST} which it is (artifact: {found[0].name})"
        )
    for stranger in strangers(directory):
        format_of(stranger)  # raises, with what to do about this one
    raise UnsupportedArtifact(
        f"{directory} holds no artifact: expected a file that ends in {', '.join(EXTENSIONS)}, or {PREDICTOR}"
    )


def _companion(directory: Path, written: str | None, root: Path, key: str, usual: str) -> str | None:
    """The file that the manifest calls `written` under `key`, or else the one of the usual name, if there is one."""
    if written is not None:
        return str(inside(directory, written, root, key))
    file = directory / usual
    return str(kept(file, root)) if file.exists() else None


def _own_code(settings: Model) -> tuple[str, ...]:
    missing = [path for path in settings.code_path if not os.path.exists(path)]
    if missing:
        raise ConfigurationError(f"{missing[0]}: no such file or directory (code_path)")
    return tuple(os.path.realpath(path) for path in settings.code_path)


def _vouched(artifact: Artifact, settings: Model, warrant: Warrant) -> Artifact:
    """`artifact` with the sha256 that each of its files must have, as far as somebody vouched for them."""
    named = _own_code(settings) if warrant.code_named else ()
    pins: dict[str, str] = {}
    for entry in artifact.code:
        for file in code_files(Path(entry)):
            pin = digest_of(file) if entry in named else warrant.lock.pin_of(file)
            pins |= {str(file): pin} if pin else {}
    pinned = warrant.lock.pin_of(Path(artifact.path))
    trusted = artifact.format in RUNS_CODE and (warrant.file_named or pinned is not None)
    beside = {each.path: pin for each in artifact.transforms if (pin := warrant.lock.pin_of(Path(each.path)))}
    return msgspec.structs.replace(artifact, pinned=pinned, trusted=trusted, code_pins=pins, beside=beside)


def _objection(artifact: Artifact, warrant: Warrant) -> Refused | None:
    """Why `artifact` may not be loaded, if so: code would run that nobody vouched for."""
    code = [str(file) for entry in artifact.code for file in code_files(Path(entry))]
    unpinned = [f"{file} is code of the model" for file in code if file not in artifact.code_pins]
    risky = [each.path for each in artifact.transforms if each.format in RUNS_CODE]
    unpinned[:0] = [f"{file} is a pickle" for file in risky if file not in artifact.beside]
    if artifact.format in RUNS_CODE and not artifact.trusted:
        unpinned.insert(0, f"{artifact.path} is a {_PROGRAMS[artifact.format]}")
    if not unpinned:
        return None
    loading = "and loading it runs whatever is in it: if you trust it, run"
    return Refused(UntrustedArtifact.code, f"{unpinned[0]}, {loading}: {warrant.remedy}")


def _python_files(directory: Path) -> Iterator[Path]:
    """All *.py under `directory`, sorted; none behind a dot, and no link out of it."""
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith("."):
                kept(Path(folder, name), directory)
                yield Path(folder, name)
