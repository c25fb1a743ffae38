"""Rows that are being computed, by their keys."""

from penstock.inference.ticket import Ticket


class Flights:
    """Which ticket has a row computed, in `low` priority and in `high`, by the row's key. `changes` counts how
    often any have taken off or landed."""

    __slots__ = ("changes", "high", "low")

    def __init__(self) -> None:
        self.changes = 0
        self.low: dict[bytes, Ticket] = {}
        self.high: dict[bytes, Ticket] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.low or self.high)

    def of(self, key: bytes, *, high: bool) -> Ticket | None:
        """Who has a row computed. One of high priority does not wait in the queue for another."""
        flight = self.high.get(key)
        if flight is None:
            flight = self.low.get(key)
            if flight is not None and high and flight.queued:
                return None
        return flight

    def take_off(self, ticket: Ticket) -> None:
        """Others can wait from now on for a ticket's rows, which are in none of the same priority."""
        self.changes += 1
        keys, flights = ticket.keys, self.high if ticket.high else self.low
        if len(keys) == 1:
            flights[keys[0]] = ticket
        else:
            flights.update(dict.fromkeys(keys, ticket))

    def land(self, *tickets: Ticket) -> None:
        """Nobody can any more."""
        self.changes += 1
        low, high = self.low, self.high
        for ticket in tickets:
            flights = high if ticket.high else low
            for key in ticket.keys:
                flights.pop(key, None)
