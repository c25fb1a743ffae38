"""A front, and the place that it has: what is known of both, without processes or clocks."""

import socket

from penstock.supervisor.backoff import Backoff
from penstock.supervisor.link import Link
from penstock.supervisor.loop import Timer

STARTING_S = 60.0  # what a front may take until it listens; a cold disk and a busy machine make imports slow


class Front:
    """One front: its number, its slot, since when it has listened, when it was last heard of, and the link to it."""

    def __init__(self, number: int, slot: int, now: float) -> None:
        self.number = number
        self.slot = slot
        self.listening_since: float | None = None
        self.started_at = self.heard_at = now
        self.follows = 0
        """The revision of what it was told of the models that it goes by."""
        self.drained = False
        self.fault: str | None = None
        self.overdue: Timer | None = None
        self.link: Link

    def silence(self, now: float, most_s: float) -> str | None:
        """What is wrong with it if nothing was heard of it for more than `most_s`, or it does not get to listening."""
        if self.listening_since is None:
            return f"it did not listen after {STARTING_S:g} s" if now - self.started_at > STARTING_S else None
        return f"it was silent for {most_s:g} s" if now - self.heard_at > most_s else None

    def give_up(self, fault: str) -> None:
        """Kills it, for this reason."""
        self.fault = f"it was killed: {fault}"
        self.link.kill()


class Slot:
    """A listener, and the front that accepts from it, or the restart that is due.

    While a front is replaced there are more: the `successor` that starts, and those `retiring` that finish.
    """

    def __init__(self, number: int, listener: socket.socket, backoff: Backoff) -> None:
        self.number = number
        self.listener = listener
        self.backoff = backoff
        self.front: Front | None = None
        self.successor: Front | None = None
        self.retiring: list[Front] = []
        self.borrower: Front | None = None
        self.due: Timer | None = None

    @property
    def served(self) -> bool:
        return self.front is not None and self.front.listening_since is not None

    def fronts(self) -> list[Front]:
        return [front for front in (self.front, self.successor, *self.retiring) if front is not None]

    def forget(self, front: Front) -> None:
        """It has ended. The successor of one that died in its place has that place, as soon as it can."""
        if front in self.retiring:
            self.retiring.remove(front)
        elif front is self.front:
            self.front, self.successor = self.successor, None
        elif front is self.successor:
            self.successor = None
