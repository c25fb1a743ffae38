"""How much of a front's memory those tables may take together that nobody vouches for."""

from collections.abc import Callable
from math import inf

Again = Callable[[], object]


class Room:
    """So many bytes, which tables take when they have been read. One that finds too few left is told to come again
    when another has given some back."""

    def __init__(self, size: float = inf) -> None:
        self._left = size
        self._turned_away: set[Again] = set()

    def exchange(self, before: int, after: int, again: Again) -> bool:
        """Takes room for what has grown, or gives back what has shrunk; or does neither, as there is too little."""
        if after - before > self._left:
            self._turned_away.add(again)
            return False
        self._left += before - after
        if after < before:
            waiting, self._turned_away = self._turned_away, set()
            for each in waiting:
                each()
        return True

    def leave(self, before: int, again: Again) -> None:
        """Gives all of it back, for good."""
        self._turned_away.discard(again)
        self.exchange(before, 0, again)
