"""A token bucket whose tokens are lent in blocks, and which never gives more than it may for all that.

Over any time of t seconds nobody spends more than `burst + rate * t` tokens, of which what is lent counts from when it
can be spent at all: what is in the bucket and what is lent are never more than the burst together. So a loan holds
room until it is given back or lapses, whether it is spent or not; what was not given back is taken to be spent.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import count

from msgspec import Struct

from penstock.model.quota import Limit

LAPSE_S = 1.0
"""A loan is spent so long after it was asked for, or never."""
ASK_AGAIN_S = 0.005
"""Who was refused waits so long at least, or else as long as half the burst takes: rates of thousands a second would
have everybody ask all the time."""

_stamps = count(1)


class Loan(Struct, frozen=True, array_like=True):
    """Tokens that a borrower may spend until then. The `stamp` tells its loans apart."""

    tokens: int
    until: float
    stamp: int


NO_LOAN = Loan(0, 0.0, 0)


class Grant(Struct, frozen=True, array_like=True):
    """What becomes of a demand: of its sizes, each that still fits into `room` when its turn comes may pass.

    `lent` tokens may be spent beside, and `level` is what is left for all. In `wait_s` seconds there may be enough for
    the smallest size that does not pass.
    """

    room: int
    lent: int = 0
    stamp: int = 0
    level: int = 0
    wait_s: float = 0.0

    def verdicts(self, sizes: Iterable[int]) -> list[bool]:
        """Whether each of the sizes that were demanded may pass."""
        room, passes = self.room, []
        for size in sizes:
            passes.append(size <= room)
            if size <= room:
                room -= size
        return passes


class Bucket:
    """Fills at the rate of its limit, up to the burst. Times are seconds of any clock that never goes back."""

    __slots__ = ("_at", "_level", "_limit", "_loans")

    def __init__(self, limit: Limit, now: float, level: float | None = None) -> None:
        self._limit = limit
        self._level = float(limit.burst) if level is None else min(level, limit.burst)
        self._at = now
        self._loans: dict[int, Loan] | None = None

    def change(self, limit: Limit, now: float) -> None:
        """Another limit holds from now on; what was spent is not forgotten."""
        if limit != self._limit:
            self._advance(now)
            self._limit = limit
            self._level = min(self._level, limit.burst - self._lent())

    def level(self, now: float) -> float:
        """What there is to be spent."""
        self._advance(now)
        return self._level

    def is_full(self, now: float) -> bool:
        """Whether it is as a new one would be."""
        self._advance(now)
        return not self._loans and self._level >= self._limit.burst

    def take(self, now: float, borrower: int, sizes: Sequence[int], block: int, left: int = 0, stamp: int = 0) -> Grant:
        """Takes each of `sizes` in turn, but for those for which there is not enough: what is large keeps nobody out.

        If there was enough for all, up to `block` tokens more are lent. Of its last loan, that of `stamp`, the borrower
        gives `left` back; one that holds another is lent nothing. Stamps count up from 1.
        """
        self._advance(now)
        before = self._loans.get(borrower) if self._loans else None
        if before is not None and self._loans is not None and before.stamp == stamp:
            del self._loans[borrower]
            self._level += min(left, before.tokens)
            before = None
        room = max(0, int(self._level))
        refused = self._spend(sizes)
        if refused is not None:
            return Grant(room, level=max(0, int(self._level)), wait_s=self._wait_s(refused))
        loan = self._lend(now, borrower, block) if before is None else NO_LOAN
        return Grant(room, loan.tokens, loan.stamp, int(self._level))

    def _spend(self, sizes: Sequence[int]) -> int | None:
        """Takes those for which there is enough; returns the smallest of the others."""
        refused = None
        for size in sizes:
            if size <= self._level:
                self._level -= size
            elif refused is None or size < refused:
                refused = size
        return refused

    def _lend(self, now: float, borrower: int, block: int) -> Loan:
        tokens = min(block, int(self._level / 2))
        if tokens < 1:
            return NO_LOAN
        self._level -= tokens
        loan = Loan(tokens, now + LAPSE_S, next(_stamps))
        self._loans = {**(self._loans or {}), borrower: loan}
        return loan

    def _advance(self, now: float) -> None:
        """Lets it fill until `now`, with room for what is lent as long as it is."""
        if self._loans:
            for borrower, loan in sorted(self._loans.items(), key=lambda item: item[1].until):
                if loan.until > now:
                    break
                self._fill(loan.until)
                del self._loans[borrower]
        self._fill(now)

    def _fill(self, now: float) -> None:
        if now > self._at:
            most = self._limit.burst - self._lent()
            self._level = max(self._level, min(most, self._level + (now - self._at) * self._limit.rate))
            self._at = now

    def _lent(self) -> int:
        return sum(loan.tokens for loan in self._loans.values()) if self._loans else 0

    def _wait_s(self, size: int) -> float:
        """Seconds until there is room for so many, and they have come."""
        limit = self._limit
        wait_s = (min(size, limit.burst) - self._level) / limit.rate
        if self._loans and size > limit.burst - self._lent():
            wait_s = max(wait_s, max(loan.until for loan in self._loans.values()) - self._at)
        return max(wait_s, min(ASK_AGAIN_S, limit.burst / limit.rate / 2))


def block_of(limit: Limit, fronts: int) -> int:
    """How many tokens are lent at once: what comes in a twentieth of a second, shared among all, and little of the
    burst."""
    return min(math.floor(limit.rate / 20 / fronts), limit.burst // (4 * fronts))
