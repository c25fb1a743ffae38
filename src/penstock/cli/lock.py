"""`penstock lock`: vouches for what runs code when it is loaded, by its sha256."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from penstock.cli.arguments import Parser, add_settings, configuration_of, split_paths
from penstock.cli.complaint import complain
from penstock.configuration import Configuration
from penstock.errors import UntrustedArtifact
from penstock.model.repository import Found, find
from penstock.model.source import risky_files
from penstock.model.trust import Lock, digest_of, read_lock

EXAMPLES = """\
examples:
  penstock lock models/            pins the pickles, TorchScript programs and code of all models in models/,
                                   in the penstock.lock beside it
  penstock lock penstock.yaml      those that the file configures
  penstock lock models/ --check    changes nothing; exit code 1 where something differs

Know what you lock: loading a pickle runs whatever is in it.
"""


def run(words: Sequence[str]) -> int:
    """Writes the locks; returns the exit code: with --check, 1 where a lock is out of date."""
    parser = Parser("lock", "PATH… [--check] [--lock FILE]", "Vouch for files that run code when loaded.", EXAMPLES)
    parser.add_argument("paths", metavar="PATH", nargs="+", help="artifacts, directories of models, or a penstock.yaml")
    parser.add_argument("--check", action="store_true", help="only say what would change")
    add_settings(parser, only=("lock",))
    namespace = parser.read(words)
    arguments, file = split_paths(namespace.paths)
    differs = False
    for old, new in _updates(arguments, configuration_of(namespace, file)):
        changes = list(_changes(old, new))
        differs = differs or bool(changes)
        print("\n".join([*changes, _summary(new, bool(changes), namespace.check)]))
        if changes and not namespace.check:
            new.write()
    return int(differs and namespace.check)


def _updates(arguments: Sequence[str], configuration: Configuration) -> list[tuple[Lock, Lock]]:
    """Each lock as it is and as it should be."""
    trees: dict[Path, list[Path]] = {}
    digests: dict[Path, dict[Path, str]] = {}
    for found in find(arguments, configuration)[0]:
        lock = found.named.warrant.lock.path
        trees.setdefault(lock, []).append(lock.parent if found.named.configured else found.named.path.resolve())
        digests.setdefault(lock, {}).update({file: digest_of(file) for file in _files(found)})
    locks = [read_lock(path) for path in trees]
    return [(lock, lock.updated(trees[lock.path], digests[lock.path])) for lock in locks]


def _files(found: Found) -> list[Path]:
    """What is to be pinned. A model that is refused for more than a missing pin is passed over, and said so."""
    files = risky_files(found.source.artifact)
    refusal = found.source.refusal
    if refusal and not (files and refusal.code == UntrustedArtifact.code):
        complain(f"passed over {found.source.name}: {refusal.message}")
        return []
    return files


def _changes(old: Lock, new: Lock) -> Iterator[str]:
    for name in sorted(old.pins.keys() | new.pins.keys()):
        before, after = old.pins.get(name), new.pins.get(name)
        if before != after:
            word = "pinned " if before is None else "removed" if after is None else "changed"
            yield f"{word} {name}  {(after or before or '')[:12]}…"


def _summary(lock: Lock, changed: bool, check: bool) -> str:
    files = f"{len(lock.pins)} file{'' if len(lock.pins) == 1 else 's'}"
    if not changed:
        return f"{lock.path} is up to date: {files}"
    return f"{lock.path} is out of date" if check else f"{lock.path} vouches for {files}"
