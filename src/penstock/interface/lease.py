"""What one client may spend on this front: the tokens that were lent to it, and who waits for more."""

import math

from penstock.errors import QuotaExceeded
from penstock.interface.claim import Claim
from penstock.model.bucket import LAPSE_S, Grant
from penstock.model.quota import Limit

WINDOWS = {1: "second", 60: "minute"}


class Lease:
    """The tokens of one unit. Spending them is arithmetic here; when there are no more, `demand` is what to ask for.

    There are `left` tokens until then, and there were `level` more for all fronts when they were lent. They lapse
    LAPSE_S after they were asked for, which is before whoever lent them forgets about them.
    """

    __slots__ = (
        "_asked_at",
        "_out_size",
        "_out_until",
        "_stamp",
        "asking",
        "left",
        "level",
        "limit",
        "sent",
        "until",
        "waiting",
    )  # fmt: skip

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.asking = False
        self.waiting: dict[Claim, int] = {}
        self.sent: list[tuple[Claim, int]] = []
        self.left = 0
        self.until = 0.0
        self._stamp = 0
        self._asked_at = 0.0
        self.level = limit.burst
        self._out_size = 0
        self._out_until = 0.0

    def change(self, limit: Limit) -> None:
        """Another limit holds from now on."""
        self.limit = limit
        self.level = min(self.level, limit.burst)
        self._out_until = 0.0

    def spend(self, size: int, now: float) -> bool:
        """Spends so many, if they are here."""
        if size > self.left or now >= self.until:
            return False
        self.left -= size
        return True

    def out_s(self, size: int, now: float) -> float:
        """For how many seconds it is known that there are not so many to be had.

        What is said of one size tells of all that are larger: for what they have more they wait longer.
        """
        out_s = self._out_until - now
        if size < self._out_size or out_s <= 0:
            return 0.0
        return out_s + max(0, min(size, self.limit.burst) - self._out_size) / self.limit.rate

    def demand(self, now: float) -> tuple[tuple[int, ...], int, int]:
        """What those ask for who wait now; and what is left of the last loan, and its stamp."""
        self.sent = list(self.waiting.items())
        self.waiting = {}
        left, stamp = (self.left, self._stamp) if now < self.until else (0, 0)
        self.left = 0
        self._asked_at = now
        return tuple([size for _, size in self.sent]), left, stamp

    def granted(self, grant: Grant, now: float) -> int:
        """The answer to the demand; returns how many were refused. Those who have come since may go on waiting."""
        sent, self.sent = self.sent, []
        self.left, self._stamp, self.level = grant.lent, grant.stamp, grant.level
        self.until = self._asked_at + LAPSE_S
        passes = grant.verdicts([size for _, size in sent])
        refused = [size for passed, (_, size) in zip(passes, sent, strict=True) if not passed]
        if refused:
            self._out_size = min(refused)
            self._out_until = now + grant.wait_s
        for passed, (claim, size) in zip(passes, sent, strict=True):
            if passed:
                claim.passed()
            else:
                claim.refused(self.refusal(size, self.out_s(size, now)))
        return len(refused) + self._serve(now)

    def _serve(self, now: float) -> int:
        """Answers those who wait, as far as something is known of them here; returns how many were refused."""
        refused = 0
        for claim, size in list(self.waiting.items()):
            if self.spend(size, now):
                del self.waiting[claim]
                claim.passed()
            elif (out_s := self.out_s(size, now)) > 0:
                del self.waiting[claim]
                claim.refused(self.refusal(size, out_s))
                refused += 1
        return refused

    def refusal(self, size: int, wait_s: float) -> QuotaExceeded:
        """What so many are refused with that may be had in so many seconds."""
        limit = self.limit
        quota = f"{limit.most} {limit.unit if limit.most > 1 else limit.unit[:-1]} a {WINDOWS[limit.window_s]}"
        used_up = "is used up" if size == 1 else f"does not have {size} left now"
        shown_s = max(0.1, math.ceil(wait_s * 10) / 10)
        return QuotaExceeded(
            f"This client's quota of {quota} {used_up}; try again in {shown_s:g} seconds.",
            unit=limit.unit,
            retry_after=max(1, math.ceil(wait_s)),
        )
