"""What clients may ask for: the limits that hold for each of them."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from penstock.config import Allowance
from penstock.errors import ConfigurationError
from penstock.model.key import ANONYMOUS, Key

Unit = Literal["requests", "rows"]
UNITS: tuple[Unit, ...] = ("requests", "rows")
WINDOWS = {"s": 1, "min": 60}


class Limit(NamedTuple):
    """So many requests or rows in a window of so many seconds, and no more than `burst` at once."""

    unit: Unit
    most: int
    window_s: int
    burst: int

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.most / self.window_s


class Limits(NamedTuple):
    """Of one client. None where there is none."""

    requests: Limit | None = None
    rows: Limit | None = None

    def of(self, unit: Unit) -> Limit | None:
        """The one that is in this unit."""
        return self.requests if unit == "requests" else self.rows


NO_LIMITS = Limits()


def limits_of(said: Allowance) -> Limits:
    """The limits that are said."""
    return Limits(
        _limit("requests", said.requests, said.requests_burst),
        _limit("rows", said.rows, said.rows_burst),
    )


def demand_rates(said: Allowance, where: str) -> None:
    """Raises ConfigurationError where a burst is said without the rate that it belongs to."""
    for unit in UNITS:
        burst = getattr(said, f"{unit}_burst")
        if burst is not None and getattr(said, unit) is None:
            raise ConfigurationError(
                f"{where}.{unit}_burst: a burst needs a rate: add {unit}, such as {unit}: {burst}/s, or leave this out"
            )


def by_key(name: str) -> str:
    """What a client is called that has a key of its own."""
    return f"key:{name}"


def by_address(address: str) -> str:
    """What a client is called that is known by its address alone."""
    return f"address:{address}"


class Quotas:
    """Who has which limits: those of its key, if that says any, or else those that hold for everybody."""

    def __init__(self, said: Allowance, keys: Iterable[Key] | None = None) -> None:
        self._for_all = limits_of(said)
        self._of_keys: dict[str, Limits] = {}
        self._of_addresses = self._for_all
        self.update(keys)

    def update(self, keys: Iterable[Key] | None) -> None:
        """Other keys count from now on."""
        said = {key.name: self._for_all if key.quota is None else limits_of(key.quota) for key in keys or ()}
        self._of_addresses = said.pop(ANONYMOUS, self._for_all)
        self._of_keys = {by_key(name): limits for name, limits in said.items()}

    @property
    def any(self) -> bool:
        """Whether anybody has a limit at all."""
        return any(limits != NO_LIMITS for limits in (self._for_all, self._of_addresses, *self._of_keys.values()))

    def knows(self, client: str) -> bool:
        """Whether the client is one that has a key."""
        return client in self._of_keys

    def of(self, client: str) -> Limits:
        """The limits of a client, by what it is called."""
        if client.startswith("key:"):
            return self._of_keys.get(client, self._for_all)
        return self._of_addresses


def _limit(unit: Unit, said: str | None, burst: int | None) -> Limit | None:
    if said is None:
        return None
    most, _, window = said.partition("/")
    return Limit(unit, int(most), WINDOWS[window], int(most) if burst is None else burst)
