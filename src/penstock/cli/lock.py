"""`penstock lock`: vouches for what runs code when it is loaded, by its sha256."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from penstock.cli.arguments import Parser, add_settings, configuration_of, split_paths
from penstock.cli.complaint import complain
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

What else a lock pins stays in it, for other configurations say, as long as the file is there.
Know what you lock: loading a pickle runs whatever is in it.
"""


def run(words: Sequence[str]) -> int:
    """Writes the locks; returns the exit code: 1 where a model cannot be locked, and with --check where a lock is out
    of date."""
    parser = Parser("lock", "PATH… [--check] [--lock FILE]", "Vouch for files that run code when loaded.", EXAMPLES)
    parser.add_argument("paths", metavar="PATH", nargs="+", help="artifacts, directories of models, or a penstock.yaml")
    parser.add_argument("--check", action="store_true", help="only say what would change")
    add_settings(parser, only=("lock",))
    namespace = parser.read(words)
    arguments, file = split_paths(namespace.paths)
    found = find(arguments, configuration_of(namespace, file))[0]
    lost = _lost(found)
    whole = all(map(_is_fit, found))
    differs = False
    for old, new in _updates([each for each in found if each not in lost]):
        changes = list(_changes(old, new))
        differs = differs or bool(changes)
        print("\n".join([*changes, _summary(new, bool(changes), namespace.check)]))
        if changes and not namespace.check:
            new.write()
    return int(not whole or (differs and namespace.check))


def _lost(found: Sequence[Found]) -> list[Found]:
    """Those of which nothing that was named together is fit. Says what is wrong with them, and with the others."""
    fit = [each for each in found if _is_fit(each)]
    lost = [each for each in found if all(other.named is not each.named for other in fit)]
    for each in found:
        if each not in fit and (refusal := each.source.refusal):
            complain(f"{'cannot lock' if each in lost else 'passed over'} {each.source.name}: {refusal.message}")
    return lost


def _is_fit(found: Found) -> bool:
    """Whether nothing is wrong with a model but that it is not pinned yet."""
    refusal = found.source.refusal
    return refusal is None or (refusal.code == UntrustedArtifact.code and bool(risky_files(found.source.artifact)))


def _updates(all_found: Sequence[Found]) -> list[tuple[Lock, Lock]]:
    """Each lock as it is and as it should be."""
    trees: dict[Path, list[Path]] = {}
    digests: dict[Path, dict[Path, str]] = {}
    for found in all_found:
        lock = found.named.warrant.lock.path
        code = found.named.settings.code_path if found.named.configured else ()
        trees.setdefault(lock, []).extend(path.resolve() for path in (found.named.path, *map(Path, code)))
        files = risky_files(found.source.artifact) if _is_fit(found) else []
        digests.setdefault(lock, {}).update({file: digest_of(file) for file in files})
    locks = [read_lock(path) for path in trees]
    return [(lock, lock.updated(trees[lock.path], digests[lock.path])) for lock in locks]


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
