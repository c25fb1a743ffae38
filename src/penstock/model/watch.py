"""What has changed on the disk, told once it is quiet: nobody wants a file that is still being copied.

Only names, sizes and times are looked at. Whoever writes into a place keeps that place busy, and no other.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

QUIET_S = 2.0
MOST_FILES = 20_000  # that are looked at; whoever has more has to tell of changes by penstock.yaml
DEEPEST = 50  # directories within one another that are looked into
DEPTH = 2  # models/iris/1: what lies deeper belongs to the version

Stamp = tuple[str, int, int]
"""The path of a file, its size, and when it was last written, in nanoseconds."""


class Listing(NamedTuple):
    """The files of a place, and since when it has been so."""

    files: frozenset[Stamp]
    since: float


class Watch:
    """Looks after files and trees, which may come and go. Times are seconds of a monotonic clock.

    A place is a directory of the first two levels of a tree with the files in it, those of the second with everything
    below; or a file by itself. Names that begin with a dot are ignored, and so are `others`: files that somebody else
    looks after.
    """

    def __init__(self, roots: Iterable[Path], now: float, others: Collection[str] = ()) -> None:
        self._roots = tuple(roots)
        self._others = others
        self._places = {place: Listing(files, now - QUIET_S) for place, files in self._found(self._roots).items()}
        self._told = {place: listing.files for place, listing in self._places.items()}
        self._now = now

    def watch(self, roots: Iterable[Path], others: Collection[str] = ()) -> None:
        """These are to be looked after from now on, those that are new as they are now."""
        before, self._roots = self._roots, tuple(roots)
        self._others = others
        for place, files in self._found(set(self._roots) - set(before)).items():
            self._places[place] = Listing(files, self._now - QUIET_S)
            self._told[place] = files

    def look(self, now: float) -> set[Path]:
        """The places that have changed and are quiet again, each told once."""
        self._now = now
        found = self._found(self._roots)
        for place in self._places.keys() | found.keys():
            files = found.get(place, frozenset())
            if place not in self._places or self._places[place].files != files:
                self._places[place] = Listing(files, now)
        changed = {place for place, listing in self._places.items() if self._is_quiet(listing) and self._is_news(place)}
        for place in changed:
            self._told[place] = self._places[place].files
        for place in [place for place in changed if not self._told[place]]:
            del self._told[place], self._places[place]
        return changed

    def is_busy(self, path: Path) -> bool:
        """Whether something at or below `path` has changed of late."""
        return any(
            not self._is_quiet(listing) and place.is_relative_to(path) for place, listing in self._places.items()
        )

    def _found(self, roots: Iterable[Path]) -> dict[Path, frozenset[Stamp]]:
        found = _places(roots)
        if not self._others:
            return found
        return {
            place: frozenset(each for each in files if each[0] not in self._others) for place, files in found.items()
        }

    def _is_quiet(self, listing: Listing) -> bool:
        return self._now - listing.since >= QUIET_S

    def _is_news(self, place: Path) -> bool:
        return self._told.get(place, frozenset()) != self._places[place].files


def _places(roots: Iterable[Path]) -> dict[Path, frozenset[Stamp]]:
    found: dict[Path, set[Stamp]] = {}
    for root in roots:
        if root.is_dir():
            for place, stamp in islice(_tree(root, root, 0, root.resolve()), MOST_FILES):
                found.setdefault(place, set()).add(stamp)
        elif (stamped := _stamp(root)) is not None:
            found.setdefault(root, set()).add(stamped)
    return {place: frozenset(files) for place, files in found.items()}


def _tree(directory: Path, place: Path, depth: int, root: Path) -> Iterator[tuple[Path, Stamp]]:
    """The files below `directory`, those of links that stay within `root` too, as far as a version may be one."""
    if depth > DEEPEST:
        return
    try:
        entries = sorted(
            (entry for entry in os.scandir(directory) if not entry.name.startswith(".")), key=lambda each: each.name
        )
    except OSError:  # it has just gone, or may not be read: then there is nothing in it
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=depth < DEPTH):
            if entry.is_symlink() and not path.resolve().is_relative_to(root):
                continue
            if depth < DEPTH:
                yield path, (entry.path, 0, 0)  # that it is there is worth telling, empty as it may be
            yield from _tree(path, path if depth < DEPTH else place, depth + 1, root)
        elif (stamp := _stamp(path)) is not None:
            yield place, stamp


def _stamp(file: Path) -> Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return str(file), found.st_size, found.st_mtime_ns
