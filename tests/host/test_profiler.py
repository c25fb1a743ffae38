"""The profiler tells where the time of answers goes: in the model's functions, and not in ours."""

from penstock.host.profiler import Profiler
from penstock.model.frames import Buffer, Frame, encode

FRAME = Frame(1, b"", memoryview(b""))


def sluggish() -> int:
    return sum(range(200_000))


def answer(frame: Frame) -> list[Buffer]:
    sluggish()
    return encode(1, {})


def test_the_functions_that_take_the_time_are_told_and_ours_are_left_out() -> None:
    profiler = Profiler(answer)
    assert [profiler.answer(FRAME) for _ in range(5)] == [encode(1, {})] * 5
    found = profiler.found()
    spots = {spot.function: spot for spot in found.spots}
    assert found.answers == 5
    assert (spots["sluggish"].calls, spots["sluggish"].where.partition(":")[0]) == (5, "test_profiler.py")
    assert spots["sluggish"].total_s >= spots["built-in method builtins.sum"].own_s > spots["sluggish"].own_s
    assert spots["sluggish"].total_s <= found.seconds
    assert "encode" not in spots
    assert [spot.total_s for spot in found.spots] == sorted((spot.total_s for spot in found.spots), reverse=True)
