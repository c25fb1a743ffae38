"""Pins the files that may run code when they are loaded: pickles, TorchScript programs and the models' own Python.

A repository's pickle is only served when its sha256 stands in penstock.lock. By running this you vouch for what the
directories hold now; afterwards a file that changes is refused. The lock lies beside the directory (or at --lock),
never inside it. --check writes nothing and exits with 1 where the lock does not fit what is there.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from penstock.cli.settings import add_settings, configuration
from penstock.errors import ConfigurationError
from penstock.model.repository import Found, find
from penstock.model.source import risky_files
from penstock.model.trust import Lock, digest_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="repositories, model directories, or penstock.yaml")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the lock does not fit")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    settings, paths = configuration(arguments, arguments.paths)
    if not paths and not settings.settings.models:
        raise ConfigurationError("name what to pin: penstock lock models/")
    found, notices = find(paths, settings)
    for notice in notices:
        print(f"penstock: {notice}", file=sys.stderr)
    fits = [_pin(lock, group, write=not arguments.check) for lock, group in _by_lock(found)]
    return int(arguments.check and not all(fits))


def _by_lock(found: list[Found]) -> list[tuple[Lock, list[Found]]]:
    groups: defaultdict[Path, list[Found]] = defaultdict(list)
    locks: dict[Path, Lock] = {}
    for each in found:
        lock = each.named.warrant.lock
        locks[lock.path] = lock
        groups[lock.path].append(each)
    return [(locks[path], group) for path, group in groups.items()]


def _pin(lock: Lock, found: list[Found], *, write: bool) -> bool:
    """Brings one lock up to date, or says in what it is not. True where it was."""
    files = {file: digest_of(file) for each in found for file in risky_files(each.source.artifact) if file.is_file()}
    new = lock.updated([each.named.path.resolve() for each in found], files)
    changes = [
        *(f"  + {name}" for name in new.pins.keys() - lock.pins.keys()),
        *(f"  - {name}" for name in lock.pins.keys() - new.pins.keys()),
        *(f"  ~ {name}" for name, pin in new.pins.items() if lock.pins.get(name, pin) != pin),
    ]
    if write and (changes or not lock.path.exists()):
        new.write()
    state = "up to date" if not changes else "written" if write else "out of date"
    print(f"{lock.path}: {len(new.pins)} files pinned, {state}", *sorted(changes), sep="\n")
    return not changes
