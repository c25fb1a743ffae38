"""Quotas, as a front keeps them: it spends what it was lent, and asks for more before a request is queued."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from itertools import count
from typing import Any, Protocol

from penstock.errors import InvalidRequest, Problem, QuotaUnknown
from penstock.inference.ticket import Ticket
from penstock.interface.call import Call
from penstock.interface.claim import WAIT_S, Claim
from penstock.interface.client import Clients
from penstock.interface.client_quota import ClientQuota
from penstock.interface.lease import Lease
from penstock.interface.lenders import Lender
from penstock.model import quota
from penstock.model.bucket import Grant
from penstock.model.control import Demand
from penstock.model.key import ANONYMOUS, Key
from penstock.model.quota import by_address, by_key
from penstock.observability import catalog
from penstock.observability.metrics import Figures

STUCK_S = WAIT_S
"""Who has not answered for so long is asked nothing more until it does."""
MOST_ADDRESSES = 16_384  # more than there are connections, so that one of them has nobody who waits


class Loop(Protocol):
    """The event loop."""

    def call_soon(self, callback: Callable[[], object], /) -> object: ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Any: ...


class Quotas:
    """Has each prediction wait for its client's quota, or refuses it.

    Clients are known by the names of their keys, and without keys by their addresses.
    """

    def __init__(
        self,
        quotas: quota.Quotas,
        clients: Clients,
        lender: Lender,
        loop: Loop,
        figures: Figures,
        *,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST_ADDRESSES,
    ) -> None:
        self._quotas = quotas
        self._address_of = clients.of
        self._lender = lender
        self._loop = loop
        self._now = clock
        self._most = most
        self._keys: dict[str, ClientQuota | None] = {}
        self._addresses: OrderedDict[str, ClientQuota] = OrderedDict()
        self._take_address_limits()
        self._dirty: list[tuple[ClientQuota, Lease]] = []
        self._flights: dict[int, float] = {}  # when each was asked that is not answered
        self._numbers = count(1)
        refusals = figures.counter(catalog.QUOTA_REFUSALS)
        self._refusals = {unit: refusals.child(unit) for unit in quota.UNITS}
        self._asked = figures.counter(catalog.QUOTA_ASKED).child()

    @property
    def any(self) -> bool:
        """Whether any client has a limit."""
        return self._quotas.any

    @property
    def addresses(self) -> int:
        """How many clients are known by their addresses now."""
        return len(self._addresses)

    def update(self, keys: Iterable[Key] | None) -> None:
        """Other keys count from now on, with other quotas."""
        self._quotas.update(keys)
        there = {name: known for name, known in self._keys.items() if self._quotas.knows(by_key(name))}
        self._keys = {name: self._update(by_key(name), known) for name, known in there.items()}
        self._take_address_limits()
        for known in self._addresses.values():
            known.change(self._address_limits)

    def enter(self, call: Call) -> None:
        """Spends one request of the client's, or has the call wait for it. Raises QuotaExceeded and QuotaUnknown."""
        key = call.key
        known = self._of_address(call) if key is None or key.name == ANONYMOUS else self._of_key(key.name)
        if known is not None:
            call.quota = known
            lease = known.requests
            if lease is None:
                return
            if lease.left and self._now() < lease.until:  # as in `spend`: a call less for nearly every request
                lease.left -= 1
            else:
                self._wait(call, known, lease, 1)

    def spend_rows(self, call: Call, known: ClientQuota, rows: int) -> None:
        """The same for the rows of a request. Raises InvalidRequest where they are more than can ever pass at once."""
        lease = known.rows
        if lease is None:
            return
        if lease.left >= rows and self._now() < lease.until:
            lease.left -= rows
        else:
            if rows > lease.limit.burst:
                most = f"Send at most {lease.limit.burst} rows at once: the quota of this client never lets more pass."
                raise InvalidRequest(f"At batch: {most}", [Problem(("batch",), most)])
            self._wait(call, known, lease, rows)

    def queue(self, claim: Claim, ticket: Ticket, queue: Callable[[Ticket], object]) -> None:
        """Has the ticket queued once the claim is granted. Raises what it was refused with."""
        claim.then(ticket, queue, self._loop.call_later)

    # ---------------------------------------------------------------- clients
    def _take_address_limits(self) -> None:
        self._address_limits = self._quotas.of(by_address(""))
        self._spares_addresses = self._address_limits == quota.NO_LIMITS

    def _of_key(self, name: str) -> ClientQuota | None:
        try:
            return self._keys[name]
        except KeyError:
            known = self._keys[name] = self._update(by_key(name), None)
            return known

    def _update(self, client: str, known: ClientQuota | None) -> ClientQuota | None:
        limits = self._quotas.of(client)
        if limits == quota.NO_LIMITS:
            return None
        if known is None:
            return ClientQuota(client, limits)
        known.change(limits)
        return known

    def _of_address(self, call: Call) -> ClientQuota | None:
        if self._spares_addresses:
            return None
        address = self._address_of(call.scope) or "unknown"
        if ":" in address:
            address = _network(address)
        known = self._addresses.get(address)
        if known is None:
            if len(self._addresses) >= self._most:
                self._make_room()
            known = self._addresses[address] = ClientQuota(by_address(address), self._address_limits)
        return known

    def _make_room(self) -> None:
        """Forgets the oldest for whom nobody waits, and the tokens that it was lent. They lapse."""
        for address, known in self._addresses.items():
            if not known.is_waiting:
                del self._addresses[address]
                return
        raise QuotaUnknown

    # ---------------------------------------------------------------- asking
    def _wait(self, call: Call, known: ClientQuota, lease: Lease, size: int) -> None:
        now = self._now()
        if (out_s := lease.out_s(size, now)) > 0:
            self._refusals[lease.limit.unit].value += 1
            raise lease.refusal(size, out_s)
        if self._flights and now > next(iter(self._flights.values())) + STUCK_S:
            raise QuotaUnknown
        claim = call.claim
        if claim is None:
            claim = call.claim = Claim()
        claim.pending += 1
        lease.waiting[claim] = size
        if not lease.asking:
            self._soon(known, lease)

    def _soon(self, known: ClientQuota, lease: Lease) -> None:
        """Asks at the end of this turn, together with all others."""
        lease.asking = True
        if not self._dirty:
            self._loop.call_soon(self._ask)
        self._dirty.append((known, lease))

    def _ask(self) -> None:
        now = self._now()
        asked, self._dirty = self._dirty, []
        demands = [Demand(known.client, lease.limit.unit, *lease.demand(now)) for known, lease in asked]
        number = next(self._numbers)
        self._flights[number] = now
        self._asked.value += len(demands)
        self._lender.ask(demands, partial(self._granted, number, asked))

    def _granted(self, number: int, asked: Sequence[tuple[ClientQuota, Lease]], grants: Sequence[Grant]) -> None:
        self._flights.pop(number, None)
        now = self._now()
        for _, lease in asked:
            lease.asking = False  # first of all: whatever one of them does now, the others can ask again
        for (known, lease), grant in zip(asked, grants, strict=True):
            self._refusals[lease.limit.unit].value += lease.granted(grant, now)
            if lease.waiting:
                self._soon(known, lease)


@lru_cache(4096)
def _network(address: str) -> str:
    """The /64 that an IPv6 address is in: each client has as many addresses as that as it likes."""
    from ipaddress import IPv6Network

    return str(IPv6Network((address, 64), strict=False))
