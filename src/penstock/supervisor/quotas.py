"""The buckets of all clients of this machine, from which its fronts are lent tokens."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from penstock.config import Allowance
from penstock.model.bucket import Bucket, Grant, block_of
from penstock.model.control import Demand, Demands, Grants
from penstock.model.key import Key
from penstock.model.quota import Limit, Quotas, Unit
from penstock.supervisor.ledger import Ledger

MOST_BUCKETS = 65_536  # of addresses, which have one for each unit
LOOKED_AT = 2  # buckets, each time one is added, for whether they are full by now and can be forgotten


class Lender:
    """Lends tokens to `fronts` fronts. Keys are as many as the file has; of addresses there is no end.

    A full bucket is as good as none and is forgotten. Where so many are not full that there is no room, addresses that
    come new share one bucket, which is what a single one of them might use up: nobody gets more than its quota.
    """

    def __init__(
        self,
        said: Allowance,
        keys: Iterable[Key] | None,
        fronts: int,
        ledger: Ledger,
        clock: Callable[[], float],
        most: int = MOST_BUCKETS,
    ) -> None:
        self._quotas = Quotas(said, keys)
        self._fronts = fronts
        self._ledger = ledger
        self._clock = clock
        self._most = most
        self._keys: dict[tuple[str, Unit], Bucket] = {}
        self._addresses: OrderedDict[tuple[str, Unit], Bucket] = OrderedDict()
        self._shared: dict[Unit, Bucket] = {}
        ledger.quota_buckets(lambda: len(self._keys) + len(self._addresses))

    def update(self, keys: Iterable[Key] | None) -> None:
        """Other keys count, with other quotas."""
        self._quotas.update(keys)
        self._keys = {at: bucket for at, bucket in self._keys.items() if self._quotas.knows(at[0])}

    def grant(self, front: int, demands: Demands) -> Grants:
        """What becomes of the demands of a front."""
        now = self._clock()
        return Grants(tuple([self._grant(front, demand, now) for demand in demands.demands]))

    def _grant(self, front: int, demand: Demand, now: float) -> Grant:
        limit = self._quotas.of(demand.client).of(demand.unit)
        if limit is None:  # it was taken away while the front was asking
            return Grant(sum(demand.sizes))
        at = demand.client, demand.unit
        bucket = self._keys.get(at) or self._addresses.get(at) or self._new(at, limit, now)
        bucket.change(limit, now)
        if bucket is self._shared.get(demand.unit):
            self._ledger.quota_shared()
            return bucket.take(now, front, demand.sizes, 0)
        block = block_of(limit, self._fronts)
        return bucket.take(now, front, demand.sizes, block, demand.left, demand.stamp)

    def _new(self, at: tuple[str, Unit], limit: Limit, now: float) -> Bucket:
        """A bucket for who has none: full, unless it may have been spent from the one that is shared."""
        if self._quotas.knows(at[0]):
            bucket = self._keys[at] = Bucket(limit, now)
            return bucket
        self._forget_full(now)
        unit = at[1]
        shared = self._shared.get(unit)
        if len(self._addresses) >= self._most:
            if shared is None:
                shared = self._shared[unit] = Bucket(limit, now)
            return shared
        level = None
        if shared is not None:
            shared.change(limit, now)
            level = shared.level(now)
            if shared.is_full(now):
                del self._shared[unit]
        bucket = self._addresses[at] = Bucket(limit, now, level)
        return bucket

    def _forget_full(self, now: float) -> None:
        for _ in range(min(LOOKED_AT, len(self._addresses))):
            at, bucket = self._addresses.popitem(last=False)
            if not bucket.is_full(now):
                self._addresses[at] = bucket
