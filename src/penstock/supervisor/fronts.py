"""The fronts: one process for each listener, kept alive, told of models and hosts, and drained."""

import socket
from collections.abc import Sequence
from typing import Any, Protocol

from penstock.config import Settings
from penstock.model.control import (
    Configure,
    Drain,
    Drained,
    Hung,
    Listen,
    Listening,
    Merged,
    Models,
    Report,
    Stop,
)
from penstock.observability.metrics import Snapshot
from penstock.supervisor.backoff import Backoff
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.link import Link
from penstock.supervisor.loop import Timer
from penstock.supervisor.processes import Exit, start_front

STRANDED_S = 1.0  # how long connections may wait in the queue of a listener that has no front
MOST_STILLBORN = 3  # fronts that may end before the first one ever listened


class Front:
    """One front: its number, its slot, since when it has listened, and the link to its process."""

    def __init__(self, number: int, slot: int) -> None:
        self.number = number
        self.slot = slot
        self.listening_since: float | None = None
        self.drained = False
        self.link: Link


class Slot:
    """A listener and the front that accepts from it, or the restart that is due."""

    def __init__(self, number: int, listener: socket.socket, backoff: Backoff) -> None:
        self.number = number
        self.listener = listener
        self.backoff = backoff
        self.front: Front | None = None
        self.borrower: Front | None = None
        self.due: Timer | None = None

    @property
    def served(self) -> bool:
        return self.front is not None and self.front.listening_since is not None


class Owner(Protocol):
    """Who decides what fronts are for."""

    def models(self) -> Models:
        """What a new front is told."""

    def figures(self) -> Snapshot:
        """What a front is told that asks for the figures of all processes."""

    def front_started(self, front: Front) -> None:
        """It is to be connected to the hosts."""

    def front_listening(self, front: Front) -> None: ...

    def front_gone(self) -> None: ...

    def host_hung(self, host: int) -> None: ...

    def failed(self, reason: str) -> None:
        """No front can be started at all."""


class Fronts:
    """Keeps one front alive for each of `listeners`, which are closed here when the fronts stop."""

    def __init__(
        self, equipment: Equipment, settings: Settings, listeners: Sequence[socket.socket], owner: Owner
    ) -> None:
        self.cut = 0
        self._equipment = equipment
        self._loop = equipment.loop
        self._log = equipment.log
        self._settings = settings
        self._owner = owner
        self._slots = [Slot(i, listener, equipment.front_backoff()) for i, listener in enumerate(listeners)]
        self._draining = False
        self._stillborn: int | None = 0  # None once a front has listened

    def start(self) -> None:
        for slot in self._slots:
            self._start(slot)

    def alive(self) -> list[Front]:
        return [slot.front for slot in self._slots if slot.front]

    def broadcast(self, message: object) -> None:
        for front in self.alive():
            front.link.send(message)

    def drain(self) -> None:
        """From now on none is replaced, and all serve on, but say that they are not ready."""
        self._draining = True
        for slot in self._slots:
            if slot.due:
                slot.due.cancel()
        self.broadcast(Drain())

    def stop(self, finish_s: float) -> None:
        """Lets them finish what they hold, within `finish_s`."""
        self._close_listeners()  # first: as long as one copy is open the kernel takes connections for nobody
        self.broadcast(Stop(finish_s))

    def kill(self) -> None:
        self._draining = True
        self._close_listeners()
        for front in self.alive():
            front.link.kill()

    def _start(self, slot: Slot) -> None:
        slot.due = None
        front = Front(next(self._equipment.numbers), slot.number)
        try:
            child = start_front(self._equipment.front)
        except OSError as problem:  # no memory, no processes, no descriptors: that may pass
            self._replace(slot, front, f"no process could be started: {problem.strerror}")
            return
        front.link = Link(
            self._loop, child, lambda message: self._heard(front, message), lambda how: self._ended(slot, front, how)
        )
        slot.front = front
        front.link.send(Configure(slot.number, self._settings))
        front.link.send(Listen(slot.number), [slot.listener.dup()])
        front.link.send(self._owner.models())
        self._owner.front_started(front)

    def _heard(self, front: Front, message: Any) -> None:
        match message:
            case Report(figures, scrape):
                self._equipment.ledger.report(front.number, figures)
                if scrape is not None:
                    front.link.send(Merged(scrape, self._owner.figures()))
            case Listening() if front.listening_since is None:
                front.listening_since = self._loop.now()
                self._stillborn = None
                self._owner.front_listening(front)
            case Hung(host):
                self._owner.host_hung(host)
            case Drained(cut):
                front.drained = True
                self.cut += cut

    def _ended(self, slot: Slot, front: Front, how: Exit) -> None:
        slot.front = None
        self._equipment.ledger.front_ended(front.number)
        if not self._draining:
            self._replace(slot, front, str(how))
        elif not front.drained:
            self.cut += 1  # nobody can say how many, but what it held is lost
            self._log.error("front_died", slot=slot.number, reason=str(how), detail="while it drained: work was cut")
        self._owner.front_gone()

    def _replace(self, slot: Slot, front: Front, reason: str) -> None:
        since = front.listening_since
        wait = slot.backoff.after(0.0 if since is None else self._loop.now() - since)
        self._log.error("front_died", slot=slot.number, reason=reason, restart_in_s=wait)
        if self._stillborn is not None:
            self._stillborn += 1
            if self._stillborn >= MOST_STILLBORN:
                self._owner.failed(f"the front cannot start: {reason}")
                return
        self._equipment.ledger.front_restarted()
        slot.due = self._loop.later(wait, lambda: self._start(slot))
        self._loop.later(STRANDED_S, self._lend_stranded)

    def _lend_stranded(self) -> None:
        """Has another front accept the connections of each slot that is still without one of its own."""
        helpers = [front for slot in self._slots if slot.served and (front := slot.front)]
        for slot in self._slots:
            if helpers and not slot.served and not self._draining and slot.borrower not in helpers:
                slot.borrower = helpers[0]
                self._log.warning("listener_lent", slot=slot.number, to=slot.borrower.slot)
                slot.borrower.link.send(Listen(slot.number), [slot.listener.dup()])

    def _close_listeners(self) -> None:
        for slot in self._slots:
            slot.listener.close()
