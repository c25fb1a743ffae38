"""The stores of a front: what cannot be opened is away, and is told of without what nobody is to read."""

import pytest

from penstock.config import Store
from penstock.inference.stores.registry import Stores
from penstock.observability.logs import Log
from tests.inference.stores.conftest import Told

pytestmark = pytest.mark.anyio


class Unreachable:
    """A store whose maker says too much when it fails."""

    def __init__(self) -> None:
        raise ConnectionError("cannot connect to postgres://app:s3cret@10.0.0.5/users")


async def test_the_reason_why_a_store_cannot_be_made_holds_no_password(log: Log, told: Told) -> None:
    Stores({"users": Store(python=f"{__name__}:Unreachable")}, log, None).close()
    (line,) = told()
    assert (line["event"], line["store"]) == ("store_failed", "users")
    assert f"{__name__}:Unreachable cannot be made: ConnectionError at {__file__}:" in line["reason"]
    assert "s3cret" not in line["reason"]
