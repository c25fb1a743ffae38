"""Stores: where those features come from that clients do not send. Each kind is a file here."""

import asyncio
from collections.abc import Mapping
from enum import Enum
from typing import Protocol


class Away(Enum):
    """What stands for an answer where a store gave none."""

    AWAY = "away"


AWAY = Away.AWAY
UNREADABLE = object()
"""Stands for each field of what is no record at all: it is a value of none."""
Record = Mapping[str, object]
"""The fields of an entity, as the store holds them; what it has not may be absent, or None."""
Answer = Record | Away | None
"""None is an entity that the store does not know."""


class Source(Protocol):
    """A store as a front asks it. Nothing here waits or raises; futures are never cancelled by those who wait."""

    timeout_s: float

    def look(self, entity: str, fields: tuple[str, ...]) -> "Answer | asyncio.Future[Answer]":
        """These fields of an entity, at once if they are there."""

    def close(self) -> None:
        """Nobody asks any more."""


class Nowhere:
    """A store that is not there, as its operator was told: every look-up finds it away."""

    timeout_s = 0.0

    def look(self, entity: str, fields: tuple[str, ...]) -> Answer:
        return AWAY

    def close(self) -> None:
        pass
