"""The parcel: all files of a model's directory."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from penstock.cli.packing import golden
from penstock.cli.packing.card import card
from penstock.cli.packing.contents import CARD, SUMS, Content, Contents, made, sums
from penstock.cli.packing.declaration import manifest
from penstock.cli.packing.inquiry import Found
from penstock.cli.packing.shelf import Shelf
from penstock.errors import ConfigurationError
from penstock.model.manifest import MANIFEST
from penstock.model.reference import REFERENCE, Reference
from penstock.model.source import EXAMPLES, ModelSource, code_files


def parcel(shelf: Shelf, source: ModelSource, found: Found) -> Contents:
    """What the directory is to hold. Raises ConfigurationError where two files would have one name."""
    contents: dict[str, Content] = {}
    for name, content in _copies(source, found):
        if name in (MANIFEST, EXAMPLES, REFERENCE, SUMS, CARD) or contents.get(name, content) != content:
            raise ConfigurationError(f"two files would be called {name}: give the one that you name another name")
        contents[name] = content
    contents[EXAMPLES] = made(_listed(golden.examples(found.examples, found.loaded.signature, found.names)))
    companions = {"examples": EXAMPLES}
    if found.reference:
        contents[REFERENCE] = made(_reference(found.reference))
        companions["reference"] = REFERENCE
    artifact = _name(source.artifact.path)
    transforms = [_name(each.path) for each in source.artifact.transforms]
    code = [_name(each) for each in source.artifact.code]
    contents[MANIFEST] = made(manifest(artifact, transforms, code, found.fields, companions))
    contents[SUMS] = sums(contents)
    contents[CARD] = made(card(shelf, source, found, artifact))
    return contents


def _copies(source: ModelSource, found: Found) -> Iterator[tuple[str, Content]]:
    """The files that are copied: the artifact, its transforms, the weights that it refers to, and its own code."""
    artifact = source.artifact
    yield _name(artifact.path), Content(found.loaded.sha256, path=Path(artifact.path))
    transforms = {each.path for each in artifact.transforms}
    for path, sha256 in found.loaded.beside.items():
        name = _name(path) if path in transforms else str(Path(path).relative_to(artifact.root))
        yield name, Content(sha256, path=Path(path))
    for entry in map(Path, artifact.code):
        for file in code_files(entry):
            name = _name(str(entry)) if file == entry else f"{_name(str(entry))}/{file.relative_to(entry)}"
            yield name, Content(artifact.code_pins[str(file)], path=file)


def _name(path: str) -> str:
    """The file's own name; what begins with a dot would be ignored."""
    return Path(path).name.lstrip(".")


def _listed(documents: list[dict[str, object]]) -> str:
    """A list as JSON, an entry a line."""
    return "[\n" + ",\n".join(json.dumps(each, ensure_ascii=False) for each in documents) + "\n]\n"


def _reference(reference: Reference) -> str:
    """The reference as JSON, a field and a row a line."""
    fields, sample = (
        ",\n".join(msgspec.json.encode(each).decode() for each in entries)
        for entries in (reference.fields, reference.sample)
    )
    return f'{{"rows": {reference.rows},\n"fields": [\n{fields}\n],\n"sample": [\n{sample}\n]}}\n'
