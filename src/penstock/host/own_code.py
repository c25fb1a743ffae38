"""The model's own Python code, imported from the bytes that were hashed.

What was vouched for is what runs: modules are compiled from the source read here, and neither a cached `.pyc` nor a
file that changes afterwards has a say. A pickle that was written by a training script looks for its classes in
`__main__`; they are found in these modules too. A module is run once in a process, under its own name.
"""

import ast
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from penstock.errors import UntrustedArtifact
from penstock.host.script import parsed, script_warning
from penstock.host.source import Source, read


def make_importable(paths: Sequence[str], pins: Mapping[str, str], trusted: bool) -> dict[str, str]:
    """Makes the modules in `paths` (files, packages, directories of modules) importable. Returns their sha256, by name.

    Warns of a training script when it is run: it would train again, and save what it has trained.

    Raises UntrustedArtifact for a file that nobody vouched for, ChangedArtifact for one that differs from its pin,
    UnreadableArtifact for one that is not Python.
    """
    found = {name: _vouched(path, pins, trusted) for place in paths for name, path in _modules(Path(place))}
    if found:
        sys.modules["__main__"].__dict__["__getattr__"] = expose(found, _warn).from_training_script
    return {name: each.sha256 for name, each in found.items()}


def expose(sources: Mapping[str, Source], before: Callable[[Source], object] = lambda source: None) -> "OwnCode":
    """Makes these modules importable by their names; `before` is called with each that is about to run."""
    finder = OwnCode(sources, before)
    sys.meta_path.insert(0, finder)
    return finder


class OwnCode(MetaPathFinder):
    """Finds the model's own modules before installed ones, as a script's directory comes first."""

    def __init__(self, sources: Mapping[str, Source], before: Callable[[Source], object]) -> None:
        self._sources = sources
        self._before = before
        self._namespaces = {name.rpartition(".")[0] for name in sources} - {""} - set(sources)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        source = self._sources.get(fullname)
        if source is not None:
            package: list[str] | None = [] if source.path.name == "__init__.py" else None
            return spec_from_file_location(
                fullname, source.path, loader=_FromSource(source, self._before), submodule_search_locations=package
            )
        return ModuleSpec(fullname, None, is_package=True) if fullname in self._namespaces else None

    def from_training_script(self, name: str) -> Any:
        """What `__main__` does not have but one of these modules defines, as `getattr` would give it."""
        for module, source in self._sources.items():
            if not name.startswith("__") and name in _definitions(source):
                return getattr(importlib.import_module(module), name)
        raise AttributeError(f"Can't get attribute '{name}' on <module '__main__'>")


class _FromSource(ExecutionLoader):
    def __init__(self, source: Source, before: Callable[[Source], object]) -> None:
        self._source = source
        self._before = before

    def exec_module(self, module: ModuleType) -> None:
        self._before(self._source)
        super().exec_module(module)

    def get_filename(self, fullname: str) -> str:
        return str(self._source.path)

    def get_source(self, fullname: str) -> str:
        return self._source.data.decode()

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source.data, self._source.path, "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        return self._source.path.name == "__init__.py"


def _modules(place: Path) -> Iterator[tuple[str, Path]]:
    if not place.is_dir():
        yield place.stem, place
        return
    root = place.parent if (place / "__init__.py").exists() else place
    for folder, subfolders, files in os.walk(place):
        subfolders[:] = sorted(name for name in subfolders if name.isidentifier() and name != "__pycache__")
        for file in sorted(files):
            stem, _, extension = file.rpartition(".")
            if extension == "py" and stem.isidentifier():
                path = Path(folder, file)
                parts = path.parent.relative_to(root).parts + (() if stem == "__init__" else (stem,))
                if parts and parts[0] not in sys.stdlib_module_names:
                    yield ".".join(parts), path


def _vouched(path: Path, pins: Mapping[str, str], trusted: bool) -> Source:
    pinned = pins.get(str(path))
    if pinned is None and (pins or not trusted):
        raise UntrustedArtifact(
            f"{path} is code of the model that nobody vouched for: read it, then pin it with `penstock lock`"
        )
    if path.exists() and path.stat().st_size == 0:  # an empty __init__.py is a good module
        return Source(path, b"", "")
    return read(path.resolve(), pinned)._replace(path=path)


def _warn(source: Source) -> None:
    if sentence := script_warning(source):
        warnings.warn(sentence, stacklevel=2)


def _definitions(source: Source) -> set[str]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name for node in parsed(source).body if isinstance(node, kinds)}
