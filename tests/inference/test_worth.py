"""The account of a cache, and what follows from it: off where it does not pay, and on again for a trial."""

from penstock.inference.worth import EVERY, FIRST_PAUSE_S, LONGEST_PAUSE_S, PATH_S, WINDOW_ROWS, Judge, Worth
from penstock.observability.caching import CacheMeter
from penstock.observability.metrics import Figures
from penstock.testing import ManualTimer

LOOK_S = 2e-6


class World:
    """A model that takes `row_s` for a row, and requests of which a `share` is known, while the cache is on."""

    def __init__(self, row_s: float) -> None:
        self.timer = ManualTimer()
        self.meter = CacheMeter(Figures(), "m", "1")
        self.row_s = row_s
        self.worth = Worth(self.meter, lambda: self.row_s)
        self.switches: list[tuple[float, bool]] = []
        self.on = True
        self.judge = Judge(self.worth, self.meter, self.timer, self._switch)

    def _switch(self, on: bool, saved_s: float, spent_s: float) -> None:
        self.on = on
        self.switches.append((self.timer.time(), on))

    def ask(self, rows: int, share: float, look_s: float = LOOK_S) -> None:
        for row in range(rows):
            if not self.on:
                return
            hit = int(share * (row + 1)) > int(share * row)
            (self.meter.hits if hit else self.meter.misses).value += 1
            if not row % EVERY:
                self.worth.spent(EVERY * look_s)
                self.judge.look()


def test_a_slow_model_is_worth_keeping_the_answers_of_even_if_few_come_again() -> None:
    world = World(row_s=0.004)
    world.ask(10 * WINDOW_ROWS, share=0.01)
    assert world.switches == []


def test_a_quick_model_is_not_unless_many_do() -> None:
    world = World(row_s=5e-6)
    world.ask(10 * WINDOW_ROWS, share=0.5)
    assert world.switches == []
    world.ask(10 * WINDOW_ROWS, share=0.1)
    assert world.switches == [(0.0, False)]


def test_it_is_tried_again_after_pauses_that_grow_and_for_longer_each_time() -> None:
    world = World(row_s=1e-9)
    trials: list[float] = []
    for _ in range(8):
        before = world.meter.looked_up
        world.ask(100 * WINDOW_ROWS, share=0.0)
        trials.append(round((world.meter.looked_up - before) / WINDOW_ROWS))
        world.timer.advance(LONGEST_PAUSE_S)
    pauses = [later - off for (off, _), (later, _) in zip(world.switches[::2], world.switches[1::2], strict=True)]
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]
    assert trials == [1, 2, 4, 8, 16, 20, 20, 20]


def test_a_cache_that_is_gone_is_not_tried_again() -> None:
    world = World(row_s=1e-9)
    world.ask(100 * WINDOW_ROWS, share=0.0)
    world.judge.close()
    world.timer.advance(LONGEST_PAUSE_S)
    assert [on for _, on in world.switches] == [False]


def test_what_pays_once_is_believed_again() -> None:
    world = World(row_s=1e-3)
    for _ in range(2):
        world.ask(100 * WINDOW_ROWS, share=0.0)
        world.timer.advance(LONGEST_PAUSE_S)
    world.ask(5 * WINDOW_ROWS, share=0.9)
    world.ask(100 * WINDOW_ROWS, share=0.0)
    off = world.switches[-1][0]
    world.timer.advance(FIRST_PAUSE_S)
    assert world.switches[-1] == (off + FIRST_PAUSE_S, True)


def test_the_seconds_that_are_saved_are_those_of_rows_that_need_not_be_computed() -> None:
    world = World(row_s=0.001)
    world.ask(100, share=0.25)
    world.meter.shared.value += 5
    assert world.worth.saved_s() == 30 * (0.001 + PATH_S)


def test_nothing_is_judged_until_the_model_has_computed_something_here() -> None:
    """Another front may have filled the store: to find all there is no waste."""
    world = World(row_s=0.0)
    world.ask(10 * WINDOW_ROWS, share=1.0, look_s=1e-3)
    assert world.switches == []
    world.row_s = 1.0
    world.ask(10 * WINDOW_ROWS, share=0.5, look_s=1e-3)
    assert world.switches == [], "what was spent before does not count either"
    world.row_s = 1e-9
    world.ask(10 * WINDOW_ROWS, share=0.5, look_s=1e-3)
    assert len(world.switches) == 1
