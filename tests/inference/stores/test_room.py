"""Room: what is taken is never more than there is, and who was turned away hears of what is given back."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.inference.stores.room import Room

SIZE = 10


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2 * SIZE))))
def test_no_more_is_taken_than_there_is(steps: list[tuple[int, int]]) -> None:
    room, held, told = Room(SIZE), dict.fromkeys(range(4), 0), set[int]()
    agains = [lambda i=i: told.add(i) for i in range(4)]
    away: set[int] = set()
    for who, size in steps:
        told.clear()
        fits = sum(held.values()) - held[who] + size <= SIZE
        assert room.exchange(held[who], size, agains[who]) is fits
        if not fits:
            away.add(who)
        elif size < held[who]:
            assert told == away
            away.clear()
        if fits:
            held[who] = size
    assert sum(held.values()) <= SIZE


def test_who_has_left_is_told_nothing() -> None:
    room, told = Room(SIZE), list[str]()

    def again() -> None:
        told.append("again")

    assert room.exchange(0, SIZE, again)
    assert not room.exchange(0, 1, again)
    room.leave(SIZE, again)
    assert told == []
    assert room.exchange(0, SIZE, again)
