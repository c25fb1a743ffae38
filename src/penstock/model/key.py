"""A client's key, as far as the service knows it."""

from typing import Literal

from msgspec import Struct

from penstock.config import Allowance

Right = Literal["predict", "read", "admin"]
RIGHTS: tuple[Right, ...] = ("predict", "read", "admin")


ANONYMOUS = "anonymous"


class Key(Struct, frozen=True, kw_only=True):
    """One client. `predict` is for predictions, `read` for what there is to be known, `admin` for changes.

    The one called anonymous has no `sha256`: it is everybody who sends no key. A `quota` stands for the
    service's.
    """

    name: str
    sha256: str
    rights: tuple[Right, ...]
    quota: Allowance | None = None
