"""Requests that were in a batch before, of which nothing came, and go again in groups of their own."""

from collections import deque
from collections.abc import Sequence

from penstock.inference.computation import is_wanted
from penstock.inference.ticket import Ticket


class Again:
    """The halves of batches that failed, and what is left of those that came too late for some of their requests.

    They take turns with the queue: a batch of nothing but culprits makes nearly two calls of the model for each.
    """

    def __init__(self) -> None:
        self._groups: deque[Sequence[Ticket]] = deque()
        self._just_went = False

    def __bool__(self) -> bool:
        """Whether there is a group to be computed."""
        return bool(self._groups)

    def waiting(self) -> list[Ticket]:
        """Who is still to be computed."""
        return [ticket for group in self._groups for ticket in group if not ticket.done]

    def is_next(self, *, others: bool) -> bool:
        """Whether it is a group's turn, where there are `others` in the queue or not."""
        self._just_went = bool(self._groups) and not (self._just_went and others)
        return self._just_went

    def next(self, now: float) -> tuple[Sequence[Ticket], Sequence[Ticket]]:
        """The group that waits longest, without those who were settled meanwhile, as far as it still has time and
        somebody waits for it; and the others."""
        while self._groups:
            if group := [ticket for ticket in self._groups.popleft() if not ticket.done]:
                goes = [ticket for ticket in group if ticket.deadline > now and is_wanted(ticket)]
                over = [ticket for ticket in group if ticket.deadline <= now or not is_wanted(ticket)]
                return goes, over
        return (), ()

    def halve(self, tickets: Sequence[Ticket]) -> None:
        """A batch of several failed: it is tried again in halves, until the culprit stands alone."""
        half = len(tickets) // 2
        self._groups += (tickets[:half], tickets[half:])

    def regroup(self, tickets: Sequence[Ticket]) -> None:
        """A batch came too late for others than these."""
        if tickets:
            self._groups.append(tickets)

    def part(self) -> None:
        """A host has died: everybody goes alone."""
        self._groups = deque([ticket] for group in self._groups for ticket in group)
