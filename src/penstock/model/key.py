"""A client's key, as far as the service knows it."""

import re
from typing import Literal

from msgspec import Struct

from penstock.config import Allowance

Right = Literal["predict", "read", "admin"]
RIGHTS: tuple[Right, ...] = ("predict", "read", "admin")
Priority = Literal["high", "low"]
PRIORITIES: tuple[Priority, ...] = ("high", "low")

ANONYMOUS = "anonymous"
PREFIX = "pk_"  # so that a key that was published by mistake is known for one
_SECRET = re.compile(PREFIX + "[A-Za-z0-9_-]{20,}")


def has_secret(text: str) -> bool:
    """Whether a key itself stands in this, which a short name that begins like one is not."""
    return _SECRET.search(text) is not None


class Key(Struct, frozen=True, kw_only=True):
    """One client. `predict` is for predictions, `read` for what there is to be known, `admin` for changes.

    `priority` is what its requests have where `queue.priority` is key, and the most that they may ask for where that is
    header. A `quota` stands for the service's. The one called anonymous has no `sha256`: it is everybody who sends no
    key.
    """

    name: str
    sha256: str
    rights: tuple[Right, ...]
    priority: Priority | None = None
    quota: Allowance | None = None
