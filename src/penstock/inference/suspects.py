"""Requests that are computed apart from the others, because one of them may be to blame for a failure."""

from collections import deque
from collections.abc import Sequence

from penstock.inference.ticket import Ticket


class Suspects:
    """The halves of batches that failed, and, when a host has died, each of those that waited then.

    `alone` is how many of the requests in the queue are to go by themselves.
    """

    def __init__(self) -> None:
        self.alone = 0
        self._groups: deque[Sequence[Ticket]] = deque()

    def __bool__(self) -> bool:
        """Whether there is a group to be computed."""
        return bool(self._groups)

    @property
    def rows(self) -> int:
        """Those of the groups."""
        return sum([ticket.rows.count for group in self._groups for ticket in group])

    @property
    def batches(self) -> int:
        """How many batches they make, in which nobody else goes."""
        return len(self._groups) + self.alone

    def waiting(self) -> list[Ticket]:
        """Who is still to be computed, of the groups."""
        return [ticket for group in self._groups for ticket in group if not ticket.done]

    def next(self) -> Sequence[Ticket]:
        """The group whose turn it is, or nobody."""
        while self._groups:
            if group := [ticket for ticket in self._groups.popleft() if not ticket.done]:
                return group
        return ()

    def failed(self, tickets: Sequence[Ticket]) -> None:
        """A batch of several failed: it is tried again in halves, until the culprit stands alone."""
        half = len(tickets) // 2
        self._groups += (tickets[:half], tickets[half:])

    def crashed(self, queued: int) -> None:
        """A host has died while so many were queued: until these are through, requests run one at a time."""
        self.alone = queued
        self._groups = deque([ticket] for group in self._groups for ticket in group)

    def went(self, requests: int) -> None:
        """So many have left the queue in one batch."""
        self.alone = max(0, self.alone - requests)
