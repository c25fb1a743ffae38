"""YAML documents, read strictly: one mapping, no key twice, of bounded size.

A `model.yaml` comes with the model, from whoever made it, so that it may be hostile: aliases, which let a few lines
stand for gigabytes, are refused there.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from penstock.errors import ConfigurationError

LARGEST = 2**20  # bytes
DEEPEST = 32  # collections within each other; libyaml overflows its stack somewhere beyond ten thousand


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C one where it was built
    """YAML 1.1, except that 1e-3 is a number and that no, yes, off and on are words, as everybody expects."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+\Z"), list("-+0123456789")
)
for _first in "yYnNoO":  # what is left of booleans is true and false, as YAML 1.2 has it
    _others = [each for each in _Loader.yaml_implicit_resolvers[_first] if each[0] != "tag:yaml.org,2002:bool"]
    _Loader.yaml_implicit_resolvers[_first] = _others


def read(path: Path, *, aliases: bool = False, discreet: bool = False) -> dict[object, object]:
    """The mapping that the document at `path` holds; an empty document is an empty mapping.

    Raises ConfigurationError, which names the file and the line; where it is `discreet`, it has nothing of the text.
    """
    text = _text(path)
    try:
        problem = _hostility(text, aliases)
        if problem:
            raise ConfigurationError(f"{path.name}: {problem}")
        document = _constructed(text, path.name, discreet)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path.name}: {_said(error, discreet)}") from None
    except (RecursionError, ValueError, OverflowError):
        raise ConfigurationError(f"{path.name}: not a document that can be read") from None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path.name}: expected a mapping such as 'name: value'")
    return document


def _text(path: Path) -> str:
    try:
        # Whoever opens a pipe waits for somebody to write into it, for ever: look at what was opened.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigurationError(f"{path}: not a regular file")
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if len(data) > LARGEST:
        raise ConfigurationError(f"{path.name}: larger than 1 MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path.name}: not UTF-8 text") from None


def _hostility(text: str, aliases: bool) -> str | None:
    """What must not be made into a tree, found in the flat stream of events."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            return f"line {_line(event.start_mark)}: more than {DEEPEST} lists and mappings within each other"
        if isinstance(event, yaml.AliasEvent) and not aliases:
            return f"line {_line(event.start_mark)}: aliases (&, *) are not taken here"
    return None


def _constructed(text: str, name: str, discreet: bool) -> object:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        for line, word in _repetitions(root):
            told = "what stands here" if discreet else f"'{word}'"
            raise ConfigurationError(f"{name}: line {line}: {told} is there twice")
        return {} if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def _repetitions(root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Keys that stand twice in one mapping, of which YAML would silently take the last; and in which lines."""
    seen: set[int] = set()
    waiting = [] if root is None else [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield from _repeated(node)
            waiting += [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _repeated(mapping: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    keys: set[str] = set()
    for key, _ in mapping.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in keys and key.value != "<<":
                yield _line(key.start_mark), key.value
            keys.add(key.value)


def _line(mark: Any) -> int:
    """A mark's line, counted as editors do."""
    return int(mark.line) + 1


def _said(error: yaml.YAMLError, discreet: bool) -> str:
    mark = getattr(error, "problem_mark", None)
    may_quote = not isinstance(error, yaml.scanner.ScannerError)  # more than a single sign
    problem = getattr(error, "problem", None) if not (discreet and may_quote) else "it cannot be understood"
    problem = problem or "not YAML"
    return f"line {_line(mark)}: {problem}" if mark else str(problem)
