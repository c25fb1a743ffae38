"""A rolling restart takes one slot after the other, and in the end every front is younger than the request for it."""

import socket
from itertools import count
from pathlib import Path
from typing import cast

import pytest

from penstock.config import Logs
from penstock.observability.logs import open_log
from penstock.supervisor.backoff import Backoff
from penstock.supervisor.roll import Roll
from penstock.supervisor.slots import Front, Slot


class World:
    """Two slots with a front each, numbered as they were started."""

    def __init__(self, log: Path) -> None:
        self.numbers = count(1)
        self.slots = [Slot(i, cast(socket.socket, None), Backoff()) for i in range(2)]
        for slot in self.slots:
            slot.front = self.start(slot)
        self.roll = Roll(self.slots, open_log(Logs(file=str(log)), "supervisor"), self.numbers, self.start)

    def start(self, slot: Slot) -> Front:
        return Front(next(self.numbers), slot.number, 0.0)

    def starting(self) -> list[int]:
        return [slot.number for slot in self.slots if slot.successor]

    def succeed(self, slot: int) -> None:
        """The successor has the place, and the front that had it is gone."""
        self.slots[slot].front, self.slots[slot].successor = self.slots[slot].successor, None
        self.roll.advance()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "log")


def test_nothing_rolls_unasked(world: World) -> None:
    world.roll.advance()
    assert world.starting() == []


def test_one_front_after_the_other_is_replaced(world: World) -> None:
    world.roll.begin()
    world.roll.advance()
    assert world.starting() == [0]
    world.roll.advance()
    assert world.starting() == [0], "one at a time"
    world.succeed(0)
    assert world.starting() == [1]
    world.succeed(1)
    assert world.starting() == []


def test_asked_again_it_begins_again(world: World) -> None:
    world.roll.begin()
    world.roll.advance()
    world.succeed(0)
    world.roll.begin()
    world.succeed(1)
    assert world.starting() == [0]


def test_the_next_waits_until_the_last_has_finished(world: World) -> None:
    world.roll.begin()
    world.roll.advance()
    (old,) = [world.slots[0].front]
    assert old is not None
    world.slots[0].retiring.append(old)
    world.succeed(0)
    assert world.starting() == []
    world.slots[0].forget(old)
    world.roll.advance()
    assert world.starting() == [1]


def test_given_up_it_goes_no_further(world: World) -> None:
    world.roll.begin()
    world.roll.advance()
    world.roll.give_up()
    world.succeed(0)
    assert world.starting() == []
