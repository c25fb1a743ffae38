"""The buckets of a machine: bounded however many clients there are, and nobody gets more for that."""

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config import Allowance, Logs
from penstock.model.control import Demand, Demands
from penstock.model.key import Key
from penstock.model.quota import Unit, by_address, by_key
from penstock.observability.logs import open_log
from penstock.supervisor.ledger import Ledger
from penstock.supervisor.quotas import Lender
from penstock.testing import ManualTimer


class World:
    """A lender whose time passes when told to."""

    def __init__(self, said: Allowance, *keys: Key, most: int = 8, fronts: int = 1) -> None:
        self.timer = ManualTimer()
        self.ledger = Ledger(open_log(Logs(file="/dev/null"), "supervisor"))
        self.lender = Lender(said, keys, fronts, self.ledger, self.timer.time, most)

    def ask(self, client: str, *sizes: int, unit: Unit = "requests", front: int = 1) -> int:
        """How many of the sizes may pass."""
        (grant,) = self.lender.grant(front, Demands((Demand(client, unit, sizes),))).grants
        return sum(grant.verdicts(sizes))

    def figure(self, name: str) -> float:
        told = self.ledger.merged({})
        return float((told["gauges"] | told["counters"])[f"penstock_quota_{name}"][0][1][0])


def key(name: str, requests: str | None = None) -> Key:
    quota = None if requests is None else Allowance(requests=requests)
    return Key(name=name, sha256="0" * 64, rights=("predict",), quota=quota)


def test_each_client_has_its_own_bucket_and_each_unit_of_it() -> None:
    world = World(Allowance(requests="2/s", rows="10/min"))
    assert [world.ask(by_address("192.0.2.1"), 1) for _ in range(3)] == [1, 1, 0]
    assert world.ask(by_address("192.0.2.1"), 4, 4, 4, unit="rows") == 2
    assert world.ask(by_address("192.0.2.2"), 1) == 1
    assert world.ask(by_key("192.0.2.1"), 1) == 1, "a name that looks like an address is none"


def test_a_key_has_the_quota_that_it_says_and_anonymous_is_everybody_without_one() -> None:
    world = World(
        Allowance(requests="2/s"),
        key("fast", requests="5/s"),
        key("plain"),
        Key(name="free", sha256="1" * 64, rights=("predict",), quota=Allowance()),
        key("anonymous", requests="1/min"),
    )
    asked = {name: world.ask(by_key(name), *[1] * 9) for name in ("fast", "plain", "free")}
    assert asked == {"fast": 5, "plain": 2, "free": 9}
    assert [world.ask(by_address(f"192.0.2.{n}"), 1, 1) for n in (1, 2)] == [1, 1]


def test_quotas_that_change_hold_at_once_and_forget_nothing() -> None:
    world = World(Allowance(), key("a", requests="10/min"), key("b", requests="10/min"))
    assert world.ask(by_key("a"), *[1] * 8) == 8
    world.lender.update([key("a", requests="4/min")])
    assert world.ask(by_key("a"), *[1] * 8) == 2
    assert world.ask(by_key("b"), *[1] * 99) == 99, "the service has none, and the key is gone"


def test_who_is_as_good_as_new_is_forgotten() -> None:
    world = World(Allowance(requests="1/s"))
    for n in range(8):
        world.ask(by_address(f"192.0.2.{n}"), 1)
    assert world.figure("buckets_live") == 8
    world.timer.advance(2.0)
    for n in range(8, 16):
        assert world.ask(by_address(f"192.0.2.{n}"), 1) == 1
    assert world.figure("buckets_live") <= 8
    assert world.figure("shared_total") == 0


def test_addresses_beyond_those_there_is_room_for_share_a_quota_and_keys_never_do() -> None:
    world = World(Allowance(requests="10/min"), key("a"))
    for n in range(8):
        world.ask(by_address(f"192.0.2.{n}"), 1)
    assert world.ask(by_address("198.51.100.1"), *[1] * 7) == 7
    assert world.ask(by_address("198.51.100.2"), *[1] * 7) == 3
    assert world.ask(by_key("a"), *[1] * 20) == 10
    assert world.ask(by_address("192.0.2.0"), *[1] * 20) == 9, "who was there first has its own"
    assert world.figure("shared_total") == 2


STEPS = st.lists(st.one_of(st.integers(0, 3), st.sampled_from([0.1, 0.7, 1.3])), min_size=20, max_size=80)


@settings(max_examples=200)
@given(st.sampled_from([1, 2]), STEPS)
def test_nobody_gets_more_than_its_quota_by_coming_and_going_between_buckets(
    most: int, steps: list[int | float]
) -> None:
    """2 a second, 4 at once. Each asks for all there is; with room for so few, most of them share and change places."""
    world = World(Allowance(requests="2/s", requests_burst=4), most=most)
    spent: dict[int, list[tuple[float, int]]] = {client: [] for client in range(4)}
    for step in steps:
        if isinstance(step, float):
            world.timer.advance(step)
        else:
            spent[step].append((world.timer.now, world.ask(by_address(str(step)), 1, 1, 1, 1)))
    for times in spent.values():
        for first, (began, _) in enumerate(times):
            total = 0
            for at, tokens in times[first:]:
                total += tokens
                assert total <= 4 + 2 * (at - began) + 1e-6


@pytest.mark.soak
def test_a_million_addresses_take_no_more_room_than_a_few_thousand(scale: Callable[[int, int], int]) -> None:
    world = World(Allowance(requests="10/min"), most=2_000)
    tracemalloc.start()
    try:
        for n in range(0, scale(30_000, 1_000_000), 1_000):
            world.timer.advance(0.01)
            world.lender.grant(1, Demands(tuple(Demand(f"address:{i}", "requests", (1,)) for i in range(n, n + 1000))))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert world.figure("buckets_live") == 2_000
    assert held < 4 * 2**20
