"""Rows that are being computed, by their keys."""

from collections.abc import Sequence

from penstock.inference.ticket import Ticket


class Flights:
    """Which ticket has a row computed, in low priority and in high. `taken` counts those that have taken off."""

    __slots__ = ("_high", "_low", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self._low: dict[bytes, Ticket] = {}
        self._high: dict[bytes, Ticket] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._low or self._high)

    def are_new(self, keys: Sequence[bytes]) -> bool:
        """Whether none of these rows is being computed, and no two are the same."""
        low, high = self._low, self._high
        if len(keys) == 1:
            return keys[0] not in low and keys[0] not in high
        return low.keys().isdisjoint(keys) and high.keys().isdisjoint(keys) and len(set(keys)) == len(keys)

    def of(self, key: bytes, *, high: bool) -> Ticket | None:
        """Who has a row computed. One of high priority does not wait in the queue for another."""
        flight = self._high.get(key)
        if flight is None:
            flight = self._low.get(key)
            if flight is not None and high and flight.queued:
                return None
        return flight

    def take_off(self, ticket: Ticket) -> None:
        """Others can wait for a ticket's rows from now on."""
        self.taken += 1
        keys, flights = ticket.keys, self._high if ticket.high else self._low
        if len(keys) == 1:
            flights[keys[0]] = ticket
        else:
            flights.update(dict.fromkeys(keys, ticket))

    def land(self, ticket: Ticket) -> None:
        """Nobody can any more."""
        flights = self._high if ticket.high else self._low
        for key in ticket.keys:
            if flights.get(key) is ticket:
                del flights[key]
