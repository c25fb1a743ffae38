"""Hot reload: looks at what was named at the start again and again, and takes over what has changed."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from penstock.errors import ConfigurationError, PenstockError
from penstock.model.key import Key
from penstock.model.keyring import read_keys
from penstock.model.repository import Resolved
from penstock.model.source import ModelSource
from penstock.model.watch import Watch
from penstock.supervisor.equipment import Equipment

LOOK_S = 0.5
SHARE = 0.02  # of the time at most goes into looking, however many files there are


class News(NamedTuple):
    """What is there now, but for what is still being written; all models that are `named`, and the places on the disk
    that have changed since the last time."""

    resolved: Resolved
    named: Collection[str]
    changed: Collection[Path]

    def has_changed(self, source: ModelSource) -> bool:
        """Whether the files of a version are others than before."""
        path = Path(source.path)
        return any(place == path or place.is_relative_to(path) for place in self.changed)


class Reload:
    """Reads everything anew with `reread` when something has changed, and hands it to `take`.

    What cannot be read leaves everything as it is, but for the keys. A key that leaked is taken out at once, and not
    when somebody has corrected something else: so the file of keys is then read by itself, for `take_keys`. `is_known`
    says whether a version is among those that were taken before: others are taken when nobody writes into their
    directory any more.
    """

    def __init__(
        self,
        equipment: Equipment,
        reread: Callable[[Resolved], Resolved],
        take: Callable[[News], object],
        take_keys: Callable[[tuple[Key, ...]], object],
        is_known: Callable[[ModelSource], bool],
    ) -> None:
        self._loop = equipment.loop
        self._log = equipment.log
        self._ledger = equipment.ledger
        self._reread = reread
        self._take = take
        self._take_keys = take_keys
        self._is_known = is_known
        self._watch: Watch | None = None
        self._resolved: Resolved
        self._noticed: tuple[str, ...] = ()
        self._is_new = True

    def start(self, resolved: Resolved) -> None:
        """Looks from now on for what differs from this."""
        self._noticed = resolved.notices
        self._resolved = resolved
        if resolved.watched:
            self._watch = Watch(resolved.watched, self._loop.now(), resolved.tables)
            self._loop.later(LOOK_S, self._look)

    def _look(self) -> None:
        assert self._watch is not None
        began = self._loop.now()
        changed = self._watch.look(began)
        if changed or self._is_new:  # something may have changed before the watch began
            self._is_new = False
            self._read(self._watch, changed)
        took_s = self._loop.now() - began
        self._loop.later(max(LOOK_S, took_s / SHARE), self._look)

    def _read(self, watch: Watch, changed: Collection[Path]) -> None:
        try:
            resolved = self._reread(self._resolved)
            if not resolved.models:
                raise ConfigurationError("nothing is named any more that could be served")
        except (PenstockError, OSError) as error:
            self._refuse(str(error))
            return
        if changed:
            self._ledger.reloaded("taken")
        for notice in resolved.notices:
            if notice not in self._noticed:
                self._log.warning("reload_noticed", detail=notice)
        self._noticed = resolved.notices
        self._resolved = resolved
        watch.watch(resolved.watched, resolved.tables)
        models = {
            name: tuple(each for each in versions if self._is_known(each) or not watch.is_busy(Path(each.path)))
            for name, versions in resolved.models.items()
        }
        models = {name: versions for name, versions in models.items() if versions}
        self._take(News(resolved._replace(models=models), resolved.models.keys(), changed))

    def _refuse(self, reason: str) -> None:
        """Takes nothing but the keys, if they can be read."""
        file = self._resolved.settings.keys
        detail = "everything stays as it is"
        if file is not None:
            try:
                self._take_keys(read_keys(Path(file)))
                detail = "everything but the keys stays as it is"
            except (PenstockError, OSError) as error:
                if str(error) != reason:  # else the keys are all that is wrong
                    reason = f"{reason}; {error}"
        self._log.error("reload_refused", reason=reason, detail=detail)
        self._ledger.reloaded("refused")
