"""The stores of a front: what cannot be opened is away, and is told of without what nobody is to read."""

import asyncio
from pathlib import Path

import pytest

from penstock.config import Store
from penstock.inference.context import Completion
from penstock.inference.stores import AWAY
from penstock.inference.stores.registry import Stores
from penstock.inference.stores.table import Table
from penstock.model.context import Context, Feature
from penstock.model.control import Loaded
from penstock.model.signature import Field, Output, OutputField, Signature
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


async def test_a_class_that_its_module_has_not_is_named_with_the_one_that_is_like_it(log: Log, told: Told) -> None:
    Stores({"users": Store(python=f"{__name__}:Unreachible")}, log, None).close()
    (line,) = told()
    assert line["reason"] == f"{__name__} has no Unreachible; did you mean 'Unreachable'? (stores.users.python)"


FEATURES = (Feature(name="age", field="age"),)


def completed(stores: Stores, context: Context) -> Completion:
    """The look-ups of a version that has this context."""
    signature = Signature(inputs=(Field(name="age", dtype="string"),), output=Output(fields=(OutputField(name="y"),)))
    completion = stores.completion(
        Loaded(signature=signature, context=(context,), sha256="", bytes=0, runtime="none", device="cpu")
    )
    assert completion is not None
    return completion


async def test_versions_share_a_table_until_the_last_of_them_has_gone(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "users.csv"
    path.write_text("user_id,shop_id,age\nu1,s1,41\n")
    stores = Stores({}, log, None)
    by_user, by_shop = (Context(key=key, file=str(path), features=FEATURES) for key in ("user_id", "shop_id"))
    first, second, another = (completed(stores, each) for each in (by_user, by_user, by_shop))
    table = first.entries[0].source
    assert isinstance(table, Table)
    assert second.entries[0].source is table
    assert another.entries[0].source is not table
    first.close()
    closed = [table.closed]
    second.close()
    assert [*closed, table.closed] == [False, True]
    third = completed(stores, by_user)
    assert third.entries[0].source is not table
    for each in (another, third):
        each.close()


async def test_what_a_link_leads_to_is_no_table_beside_a_model(tmp_path: Path, log: Log, told: Told) -> None:
    (tmp_path / "secret.csv").write_text("user_id,age\nu1,666\n")
    (tmp_path / "users.csv").symlink_to(tmp_path / "secret.csv")
    context = Context(key="user_id", file=str(tmp_path / "users.csv"), features=FEATURES)
    completion = completed(Stores({}, log, None), context)
    answer = completion.entries[0].look("u1")
    assert isinstance(answer, asyncio.Future)
    assert await asyncio.wait_for(answer, 30) is AWAY
    completion.close()
    assert [line["reason"] for line in told()] == ["a link has taken its place: put the table itself there"]
