"""The versions of a model that no request is admitted to any more: each ends when no front holds one for it."""

from collections.abc import Callable, Iterator

from penstock.supervisor.loop import Loop, Timer
from penstock.supervisor.replicas import Replicas


class Departure:
    """A version that leaves, and the fronts that may still hold requests for it."""

    def __init__(self, replicas: Replicas, fronts: set[int], overdue: Timer) -> None:
        self.replicas = replicas
        self.fronts = fronts
        self.ended = False
        """Whether the hosts were told to end."""
        self._overdue = overdue

    def advance(self) -> None:
        """Ends the hosts when nobody needs them."""
        if not self.fronts:
            self.end()

    def end(self) -> None:
        """Ends the hosts, whoever holds what."""
        self.ended = True
        self._overdue.cancel()
        self.replicas.stop()

    def cancel(self) -> None:
        """It does not leave after all."""
        self._overdue.cancel()


class Departures:
    """Those of one model. `overdue` is told of one that was given up, `ended` when a process may have been the last."""

    def __init__(self, loop: Loop, overdue: Callable[[str], None], ended: Callable[[], None]) -> None:
        self._loop = loop
        self._overdue = overdue
        self._ended = ended
        self._leaving: dict[str, Departure] = {}

    def __contains__(self, version: object) -> bool:
        return version in self._leaving

    def __iter__(self) -> Iterator[str]:
        return iter(self._leaving)

    def replicas(self) -> list[Replicas]:
        return [departure.replicas for departure in self._leaving.values()]

    def of(self, version: str) -> Departure | None:
        return self._leaving.get(version)

    def begin(self, version: str, replicas: Replicas, fronts: set[int], longest_s: float) -> Departure:
        """A version is to leave; whatever it still holds after `longest_s` is given up."""
        overdue = self._loop.later(longest_s, lambda: self._give_up(version))
        self._leaving[version] = departure = Departure(replicas, fronts, overdue)
        return departure

    def take_back(self, version: str) -> Departure:
        """It does not leave after all."""
        departure = self._leaving.pop(version)
        departure.cancel()
        return departure

    def released(self, version: str, front: int) -> None:
        """A front holds no request for it."""
        departure = self._leaving[version]
        departure.fronts.discard(front)
        departure.advance()
        self._look()

    def front_gone(self, front: int) -> None:
        """It holds nothing any more."""
        for departure in self._leaving.values():
            departure.fronts.discard(front)
            departure.advance()
        self._look()

    def forget_ended(self) -> list[str]:
        """The versions of which no process runs any more: they have left."""
        ended = [version for version, departure in self._leaving.items() if _has_left(departure)]
        for version in ended:
            del self._leaving[version]
        return ended

    def _give_up(self, version: str) -> None:
        if (departure := self._leaving.get(version)) is not None:
            self._overdue(version)
            departure.end()
            self._look()

    def _look(self) -> None:
        """Where no process runs any more nobody else tells of the end."""
        if any(map(_has_left, self._leaving.values())):
            self._ended()


def _has_left(departure: Departure) -> bool:
    return departure.ended and not departure.replicas.running
