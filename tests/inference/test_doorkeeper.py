"""Strangers and acquaintances: hardly anybody is taken for another."""

from penstock.inference.doorkeeper import Doorkeeper


def keys(*names: int) -> list[bytes]:
    return [name.to_bytes(8, "little") for name in names]


def test_whoever_was_here_lately_is_known() -> None:
    door = Doorkeeper(1000)
    assert door.known(keys(1, 2, 3)) == []
    assert door.known(keys(4, 3, 5, 1)) == [1, 3]


def test_of_as_many_as_it_is_for_it_remembers_nearly_all() -> None:
    door = Doorkeeper(1000)
    door.known(keys(*range(1000)))
    assert len(door.known(keys(*range(1000)))) > 700


def test_few_strangers_are_taken_for_somebody_else() -> None:
    door = Doorkeeper(1000)
    assert len(door.known(keys(*range(100_000)))) < 2_000


def test_without_room_for_any_it_asks_nobody_to_stay() -> None:
    assert Doorkeeper(0).known(keys(1, 2)) == []
