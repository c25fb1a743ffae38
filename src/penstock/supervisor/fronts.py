"""The fronts: one process for each listener, kept alive, told of models and hosts, replaced and drained."""

import socket
from collections.abc import Sequence
from typing import Any, Protocol

from penstock.config import Settings
from penstock.model.control import (
    Configure,
    Demands,
    Drain,
    Drained,
    Follows,
    Hung,
    Listen,
    Listening,
    Merged,
    Models,
    Order,
    Released,
    Renew,
    Report,
    Retire,
    Stop,
    Yield,
)
from penstock.model.tls import Pair
from penstock.observability.metrics import Snapshot
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.link import Link
from penstock.supervisor.listeners import shut_out_newcomers
from penstock.supervisor.processes import Exit, start_front
from penstock.supervisor.pulse import Pulse
from penstock.supervisor.quotas import Lender
from penstock.supervisor.roll import Roll
from penstock.supervisor.slots import Front, Slot

STRANDED_S = 1.0  # how long connections may wait in the queue of a listener that has no front
MOST_STILLBORN = 3  # fronts that may end before the first one ever listened
OVERTIME_S = 2.0  # beyond what a front was given to retire, before it is killed


class Owner(Protocol):
    """Who decides what fronts are for."""

    def models(self) -> Models:
        """What a new front is told."""

    def figures(self) -> Snapshot:
        """What a front is told that asks for the figures of all processes."""

    def front_started(self, front: Front) -> None:
        """It is to be connected to the hosts."""

    def front_listening(self, front: Front) -> None: ...

    def front_gone(self, front: Front) -> None: ...

    def heard(self, front: Front, message: Hung | Released | Follows | Order) -> None:
        """What it has to say of models."""

    def failed(self, reason: str) -> None:
        """No front can be started at all."""


class Fronts:
    """Keeps one front alive for each of `listeners`, which are closed here when the fronts stop."""

    def __init__(
        self,
        equipment: Equipment,
        settings: Settings,
        listeners: Sequence[socket.socket],
        owner: Owner,
        lender: Lender,
        pair: Pair | None = None,
    ) -> None:
        self.cut = 0
        self._equipment = equipment
        self._loop = equipment.loop
        self._log = equipment.log
        self._settings = settings
        self._pair = pair
        self._owner = owner
        self._lender = lender
        self._slots = [Slot(i, listener, equipment.front_backoff()) for i, listener in enumerate(listeners)]
        self._roll = Roll(self._slots, self._log, equipment.numbers, self._start)
        self._pulse = Pulse(self._loop, equipment.silent_s, self.alive)
        self._draining = False
        self._killed = False
        self._stillborn: int | None = 0  # None once a front has listened

    def start(self) -> None:
        for slot in self._slots:
            slot.front = self._start(slot)
        self._pulse.start()

    def alive(self) -> list[Front]:
        """Every front that runs, also those that come and go."""
        return [front for slot in self._slots for front in slot.fronts()]

    def in_place(self) -> list[Front]:
        """The front of each slot that has one."""
        return [slot.front for slot in self._slots if slot.front]

    def broadcast(self, message: object) -> None:
        for front in self.alive():
            front.link.send(message)

    def renew(self, pair: Pair) -> None:
        """Has them all show another certificate, those too that are yet to be started."""
        self._pair = pair
        self.broadcast(Renew(pair))

    def followed(self) -> int:
        """The revision of the models that all go by who accept connections."""
        return min((front.follows for front in self.alive() if front.listening_since is not None), default=0)

    def roll(self) -> None:
        """Replaces each front in turn: a new one takes the place of the old, which then finishes what it holds.

        Whatever is under way, in the end every front was started after this call. One that waits to be restarted is
        started at once.
        """
        if self._draining:
            return
        self._roll.begin()
        self._start_due()
        self._roll.advance()

    def drain(self) -> None:
        """From now on none is replaced, and all serve on, but say that they are not ready."""
        self._draining = True
        self._roll.give_up()
        self._start_due()  # connections wait there: they are served as long as the others are
        self.broadcast(Drain())

    def stop(self, finish_s: float) -> None:
        """Lets them finish what they hold, within `finish_s`."""
        for slot in self._slots:
            shut_out_newcomers(slot.listener)
        self._close_listeners()  # the fronts close theirs once they have taken in who stands in the queue
        self.broadcast(Stop(finish_s))

    def kill(self) -> None:
        self._draining = self._killed = True
        self._roll.give_up()
        for slot in self._slots:
            if slot.due:
                slot.due.cancel()
        self._close_listeners()
        for front in self.alive():
            front.link.kill()

    # ------------------------------------------------------------------ the life of one
    def _start(self, slot: Slot) -> Front | None:
        slot.due = None
        front = Front(next(self._equipment.numbers), slot.number, self._loop.now())
        try:
            child = start_front(self._equipment.front)
        except OSError as problem:  # no memory, no processes, no descriptors: that may pass
            self._failed(slot, front, f"no process could be started: {problem.strerror}")
            return None
        front.link = Link(
            self._loop,
            child,
            lambda message: self._heard(slot, front, message),
            lambda how: self._ended(slot, front, how),
        )
        front.link.send(Configure(slot.number, self._settings, self._pair))
        front.link.send(self._owner.models())
        self._owner.front_started(front)
        self._give(slot, front)  # last: the first request finds all of it there
        return front

    def _start_due(self) -> None:
        """Starts at once what was to be started later."""
        for slot in self._slots:
            if slot.due:
                slot.due.cancel()
                slot.front = self._start(slot)

    def _give(self, slot: Slot, front: Front) -> None:
        """Has `front` accept the connections of `slot`."""
        try:
            listener = slot.listener.dup()
        except OSError as problem:  # no descriptors
            front.give_up(f"it could not be given its listener: {problem.strerror}")
            return
        front.link.send(Listen(slot.number), [listener])

    def _heard(self, slot: Slot, front: Front, message: Any) -> None:
        front.heard_at = self._loop.now()
        match message:
            case Report(figures, scrape):
                self._equipment.ledger.report(front.number, figures)
                if scrape is not None:
                    front.link.send(Merged(scrape, self._owner.figures()))
            case Demands():
                front.link.send(self._lender.grant(front.number, message))
            case Listening() if front.listening_since is None:
                front.listening_since = self._loop.now()
                self._listens(slot, front)
            case Hung() | Released() | Follows() | Order():
                self._owner.heard(front, message)
            case Drained(cut) if not front.drained:
                front.drained = True
                if self._draining:
                    self.cut += cut
                elif cut:
                    self._log.warning("front_retired", slot=slot.number, cut=cut)

    def _listens(self, slot: Slot, front: Front) -> None:
        self._stillborn = None
        self._log.info("front_ready", slot=slot.number, pid=front.link.pid)
        borrower, slot.borrower = slot.borrower, None
        if borrower is not None and borrower in self.alive():
            borrower.link.send(Yield(slot.number))
        if front is slot.successor and not self._draining:
            self._replaced(slot, front)
        self._roll.advance()
        self._owner.front_listening(front)

    def _ended(self, slot: Slot, front: Front, how: Exit) -> None:
        self._equipment.ledger.front_ended(front.number)
        if front.overdue:
            front.overdue.cancel()
        reason = front.fault or str(how)
        if self._draining or front in slot.retiring:
            self._finished(slot, front, reason)
        else:
            self._failed(slot, front, reason)
        self._owner.front_gone(front)

    def _finished(self, slot: Slot, front: Front, reason: str) -> None:
        """A front has ended that was told to."""
        retired = front in slot.retiring
        slot.forget(front)
        if not front.drained and not self._killed:
            held = front.listening_since is not None
            self.cut += held and not retired  # nobody can say how many, but what it held is lost
            self._log.error("front_died", slot=slot.number, reason=reason, detail="while it drained: work was cut")
        self._roll.advance()

    def _failed(self, slot: Slot, front: Front, reason: str) -> None:
        """A front has ended, or could not start, that ought to be there."""
        heir = slot.successor if front is slot.front else None
        slot.forget(front)
        if heir:  # which is on its way already
            self._log.error("front_died", slot=slot.number, reason=reason, restart_in_s=0.0)
            self._equipment.ledger.front_restarted()
            self._loop.later(STRANDED_S, self._lend_stranded)
        elif slot.front:
            self._log.error("front_not_replaced", slot=slot.number, reason=reason, detail="the present fronts serve on")
            self._roll.give_up()
        elif not self._draining:
            self._replace(slot, front, reason)

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
        slot.due = self._loop.later(wait, lambda: self._restart(slot))
        self._loop.later(STRANDED_S, self._lend_stranded)

    def _restart(self, slot: Slot) -> None:
        if not self._draining:
            slot.front = self._start(slot)

    def _lend_stranded(self) -> None:
        """Has another front accept the connections of each slot that is still without one of its own."""
        helpers = [front for slot in self._slots if slot.served and (front := slot.front)]
        for slot in self._slots:
            if helpers and not slot.served and not self._draining and slot.borrower not in helpers:
                slot.borrower = helpers[0]
                self._log.warning("listener_lent", slot=slot.number, to=slot.borrower.slot)
                self._give(slot, slot.borrower)

    def _replaced(self, slot: Slot, successor: Front) -> None:
        drain = self._settings.drain
        retired, slot.front, slot.successor = slot.front, successor, None
        if retired is not None:
            slot.retiring.append(retired)
            retired.link.send(Retire(drain.linger_s, drain.finish_s))
            longest = drain.linger_s + drain.finish_s + OVERTIME_S
            retired.overdue = self._loop.later(longest, retired.link.kill)
        self._lend_stranded()  # it leaves what it was lent, too

    def _close_listeners(self) -> None:
        for slot in self._slots:
            slot.listener.close()
