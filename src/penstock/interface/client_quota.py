"""What a front knows of one client that has a quota, and what its answers tell of it."""

import math
from functools import lru_cache

from penstock.errors import QuotaExceeded
from penstock.interface.lease import Lease
from penstock.model.quota import Limit, Limits

Header = tuple[bytes, bytes]
POLICY = b"ratelimit-policy"
STATE = b"ratelimit"


class ClientQuota:
    """What is known here of one client that has a quota: a lease for each limit, and the headers that tell of it."""

    __slots__ = ("client", "policy", "requests", "rows", "state")

    def __init__(self, client: str, limits: Limits) -> None:
        self.client = client
        self.requests: Lease | None = None
        self.rows: Lease | None = None
        self.change(limits)

    def change(self, limits: Limits) -> None:
        """Other limits hold. Whoever waits is answered all the same."""
        self.requests = _changed(self.requests, limits.requests)
        self.rows = _changed(self.rows, limits.rows)
        self.policy, self.state = _told(limits)

    @property
    def leases(self) -> list[Lease]:
        return [lease for lease in (self.requests, self.rows) if lease is not None]

    @property
    def is_waiting(self) -> bool:
        return any(lease.asking for lease in self.leases)

    def headers(self) -> tuple[Header, ...]:
        """What an answer tells of the quota, as draft-ietf-httpapi-ratelimit-headers-10 has it."""
        requests, rows = self.requests, self.rows
        if requests is not None and rows is not None:
            state = self.state % (requests.left + requests.level, rows.left + rows.level)
        elif (lease := requests or rows) is not None:
            state = self.state % (lease.left + lease.level)
        else:
            return ()  # it was taken away meanwhile
        return self.policy, (STATE, state)

    def refused(self, refusal: QuotaExceeded) -> tuple[Header, ...]:
        """The same for who was refused: what it lacks comes no sooner than the header Retry-After says."""
        said = []
        for lease in self.leases:
            limit = lease.limit
            after_s = refusal.retry_after if limit.unit == refusal.unit else _period_s(limit)
            said.append(f'"{limit.unit}";r={lease.left + lease.level};t={after_s}')
        if not said:
            return ()  # it was taken away meanwhile
        return self.policy, (STATE, ", ".join(said).encode())


@lru_cache(1024)
def _told(limits: Limits) -> tuple[Header, bytes]:
    """What is told of limits: the policy, and the state as far as it is always the same."""
    there = [limit for limit in limits if limit is not None]
    policy = ", ".join(map(_policy, there))
    state = ", ".join(f'"{limit.unit}";r=%d;t={_period_s(limit)}' for limit in there)
    return (POLICY, policy.encode()), state.encode()


def _changed(lease: Lease | None, limit: Limit | None) -> Lease | None:
    if limit is None:
        return None
    if lease is None:
        return Lease(limit)
    lease.change(limit)
    return lease


def _policy(limit: Limit) -> str:
    """Rows are no unit that the draft knows, and it takes what it does not know for a comment."""
    burst = f";penstock-burst={limit.burst}" if limit.burst != limit.most else ""
    unit = ';penstock-unit="rows"' if limit.unit == "rows" else ""
    return f'"{limit.unit}";q={limit.most};w={limit.window_s}{burst}{unit}'


def _period_s(limit: Limit) -> int:
    """Seconds in which at least one more comes."""
    return math.ceil(limit.window_s / limit.most)
