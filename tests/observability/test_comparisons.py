"""What comparisons and trials leave in the figures."""

from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.observability import catalog
from penstock.observability.comparisons import MOST_FLIPS, ComparisonMeter, TrialMeter
from penstock.observability.metrics import Figures, Metric

Flips = dict[tuple[object, object], int]


class Difference:
    """What came of some rows."""

    def __init__(
        self,
        rows: int = 0,
        agreed: int = 0,
        firsts: list[bool] | None = None,
        flips: Flips | None = None,
        apart: Sequence[float] = (),
    ) -> None:
        self.rows = rows
        self.agreed = agreed
        self.firsts = firsts or []
        self.flips = flips or {}
        self.largest = max(apart, default=0.0)
        self._apart = apart

    def values(self) -> bytes:
        return array("d", self._apart).tobytes()


class World:
    """What version 2 of a model makes of what version 1 has answered."""

    def __init__(self) -> None:
        self.figures = Figures()
        self.meter = ComparisonMeter(self.figures, "iris", "2", "1")

    def counted(self, metric: Metric) -> dict[tuple[str, ...], float]:
        """By what stands behind the model and its versions."""
        series = self.figures.snapshot()[metric.kind][metric.name]
        assert all(labels[:3] == ["iris", "2", "1"] for labels, _ in series)
        return {tuple(labels[3:]): numbers[0] for labels, numbers in series}


def test_rows_and_requests_are_counted_by_what_became_of_them() -> None:
    world = World()
    world.meter.compared(Difference(5, 3, [True, False, True]))
    world.meter.compared(Difference(2, 2, [True]))
    world.meter.missed("lost", 4)
    world.meter.missed("dropped", 6)
    world.meter.missed("dropped", 1)
    assert world.counted(catalog.COMPARED_ROWS) == {
        ("agreed",): 5, ("differed",): 2, ("failed",): 0, ("lost",): 4, ("dropped",): 7,
    }  # fmt: skip
    assert world.counted(catalog.COMPARED_REQUESTS) == {("agreed",): 3, ("differed",): 1}


def test_how_far_numbers_are_apart_is_told_and_the_largest_of_it_stays() -> None:
    world = World()
    for apart in ([0.0, 0.5], [2.5], []):
        world.meter.compared(Difference(apart=apart))
    assert world.counted(catalog.LARGEST_DIFFERENCE) == {(): 2.5}
    ((_, (total, *buckets)),) = world.figures.snapshot()["histograms"][catalog.ANSWER_DIFFERENCE.name]
    assert (total, sum(buckets)) == (3.0, 3)


def test_the_times_of_both_add_up() -> None:
    world = World()
    world.meter.timed(0.5, 0.25)
    world.meter.timed(1.0, 0.25)
    assert world.counted(catalog.COMPARED_SECONDS) == {("this",): 1.5, ("against",): 0.5}


@given(st.lists(st.dictionaries(st.tuples(st.integers(0, 30), st.integers(0, 30)), st.integers(1, 9)), max_size=20))
def test_flips_add_up_by_the_pair_of_labels(several: list[Flips]) -> None:
    world = World()
    expected: dict[tuple[str, ...], float] = {}
    for flips in several:
        world.meter.compared(Difference(flips=flips))
        for (one, other), n in flips.items():
            pair = (f"{one}", f"{other}")
            if pair not in expected and len(expected) >= MOST_FLIPS:
                pair = ("other", "other")
            expected[pair] = expected.get(pair, 0) + n
    assert world.counted(catalog.LABEL_FLIPS) == expected


def test_so_many_pairs_are_told_apart_and_no_more_remembered() -> None:
    world = World()
    for round_ in range(2):
        world.meter.compared(Difference(flips={(label, round_): 1 for label in range(1_000)}))
    counted = world.counted(catalog.LABEL_FLIPS)
    assert len(counted) == MOST_FLIPS + 1
    assert counted["other", "other"] == 2_000 - MOST_FLIPS
    assert len(world.meter._pairs) == MOST_FLIPS


@pytest.mark.parametrize(
    ("status", "result"),
    [(200, "ok"), (400, None), (413, None), (422, "refused"), (499, "gone"), (500, "failed"), (504, "failed")],
)
@pytest.mark.parametrize("arm", ["canary", "default"])
def test_a_trial_counts_what_says_something_of_the_version(status: int, result: str | None, arm: str) -> None:
    """Who got no answer waited for longer than it took: as long as they did, or of the default version for ever."""
    figures = Figures()
    TrialMeter(figures, "iris", "2", arm).answered(status, 0.25)
    taken = figures.snapshot()
    counted = {tuple(labels): n for labels, (n,) in taken["counters"][catalog.TRIAL_REQUESTS.name] if n}
    assert counted == ({("iris", "2", arm, result): 1} if result else {})
    ((labels, (total, *buckets)),) = taken["histograms"][catalog.TRIAL_DURATION.name]
    assert labels == ["iris", "2", arm]
    waited = result in ("ok", "failed", "gone")
    told = status == 200 or arm == "canary"
    assert (total, sum(buckets), buckets[-1]) == (0.25 * (waited and told), waited, waited and not told)


def test_of_how_long_the_model_takes_an_answer_that_was_kept_says_nothing() -> None:
    figures = Figures()
    meter = TrialMeter(figures, "iris", "2", "default")
    meter.answered(200, 0.001, in_batch=False)
    meter.answered(500, 0.25, in_batch=True)
    taken = figures.snapshot()
    counted = {labels[-1]: n for labels, (n,) in taken["counters"][catalog.TRIAL_REQUESTS.name]}
    assert (counted["ok"], counted["failed"]) == (1, 1)
    ((_, (_, *buckets)),) = taken["histograms"][catalog.TRIAL_DURATION.name]
    assert sum(buckets) == 1


def test_a_batch_is_slower_if_it_takes_more_than_it_may_and_a_moment_more() -> None:
    figures = Figures()
    meter = ComparisonMeter(figures, "iris", "2", "1", ratio=2.0)
    for seconds, against_s in ((0.020, 0.009), (0.020, 0.010), (0.0005, 0.0001), (0.5, 0.3)):
        meter.timed(seconds, against_s)
    batches = figures.snapshot()["counters"][catalog.COMPARED_BATCHES.name]
    assert {labels[-1]: n for labels, (n,) in batches} == {"slower": 1, "in_time": 3}
