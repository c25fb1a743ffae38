"""A client's key, as far as the service knows it."""

from typing import Literal

from msgspec import Struct

Right = Literal["predict", "read", "admin"]
RIGHTS: tuple[Right, ...] = ("predict", "read", "admin")


class Key(Struct, frozen=True, kw_only=True):
    """One client. `predict` is for predictions, `read` for what there is to be known, `admin` for changes."""

    name: str
    sha256: str
    rights: tuple[Right, ...]
