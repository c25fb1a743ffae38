"""The guard sends away canaries that are worse than it allows, and nearly never another, however often it looks."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest

from penstock.config import Guard
from penstock.observability import catalog
from penstock.observability.comparisons import ComparisonMeter, TrialMeter
from penstock.observability.guard import FALSE_ALARMS, Arm, Evidence, Finding, evidence, judge
from penstock.observability.metrics import Figures, merge

RATIO = 1.5
PAIRS = 5  # batches of the same size that are compared, in each look
GUARD = Guard(error_percent=0.5, latency_ratio=RATIO, disagreement_percent=5, min_requests=100)
Scale = Callable[[int, int], int]


class Version(NamedTuple):
    """How a simulated version behaves: `errors` and `unlike` are shares of its requests."""

    errors: float = 0.0
    median_s: float = 0.01
    unlike: float = 0.0


def trial(canary: Version, default: Version, looks: int, seed: int, per_look: int = 50) -> Iterator[Evidence]:
    """What is seen at each look of a canary with a tenth of the traffic."""
    random = np.random.default_rng(seed)
    seen = Evidence()
    for _ in range(looks):
        differed = int(random.binomial(per_look, canary.unlike))
        apart = random.lognormal(np.log(canary.median_s / default.median_s / RATIO), 0.5, PAIRS)
        slower = int((apart > 1).sum())
        seen = Evidence(
            more(seen.canary, canary, per_look, random),
            more(seen.default, default, 9 * per_look, random),
            seen.agreed + per_look - differed,
            seen.differed + differed,
            seen.slower + slower,
            seen.in_time + PAIRS - slower,
        )
        yield seen


def more(arm: Arm, version: Version, n: int, random: np.random.Generator) -> Arm:
    failed = int(random.binomial(n, version.errors))
    taken = random.lognormal(np.log(version.median_s), 0.5, n - failed)
    at = np.searchsorted(catalog.DURATIONS, taken)
    counts = np.array(arm.latencies) + np.bincount(at, minlength=len(arm.latencies))
    return Arm(arm.ok + n - failed, arm.failed + failed, tuple(counts.tolist()))


def first(guard: Guard, looks: Iterator[Evidence]) -> tuple[Finding, float] | None:
    """What it found first, and after how many of the canary's requests."""
    found = ((judge(seen, guard), seen.canary.requests) for seen in looks)
    return next(((finding, requests) for finding, requests in found if finding is not None), None)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("canary", "default"),
    [
        (Version(), Version()),
        (Version(errors=0.02, unlike=0.02), Version(errors=0.02)),
        (Version(errors=0.015, unlike=0.05, median_s=0.015), Version(errors=0.01)),
    ],
    ids=["equal", "equal and imperfect", "as bad as may be"],
)
def test_canaries_that_keep_the_limits_are_nearly_never_sent_away(
    canary: Version, default: Version, scale: Scale
) -> None:
    """Of a thousand at most one in a hundred, and three deviations."""
    canaries, looks = scale(15, 1000), scale(20, 100)
    alarms = sum(first(GUARD, trial(canary, default, looks, seed)) is not None for seed in range(canaries))
    assert alarms <= canaries * FALSE_ALARMS + 3 * (canaries * FALSE_ALARMS) ** 0.5


@pytest.mark.parametrize(
    ("canary", "limit", "within"),
    [
        (Version(errors=0.02), "error", 3000),
        (Version(median_s=0.03), "latency", 300),
        (Version(unlike=0.1), "disagreement", 1000),
        (Version(unlike=1.0), "disagreement", 100),
    ],
    ids=["errs on 2 %", "three times as slow", "disagrees in 10 %", "never agrees"],
)
def test_worse_ones_are_caught_soon(canary: Version, limit: str, within: int) -> None:
    for seed in range(10):
        found = first(GUARD, trial(canary, Version(), looks=100, seed=seed))
        assert found is not None
        finding, requests = found
        assert finding.limit == limit
        assert requests <= within


def test_what_is_found_is_told_in_numbers() -> None:
    seen = Evidence(Arm(98, 22), Arm(900, 0), 0, 0)
    found = judge(seen, GUARD)
    assert found == Finding(
        "error",
        "18.33% of 120 requests failed, and with the default version 0.00% of 900 requests; 0.5 % more may",
    )


def test_nobody_is_judged_before_there_is_enough_of_it() -> None:
    bad = Arm(0, 99)
    assert judge(Evidence(bad, Arm(10_000, 0)), GUARD) is None
    assert judge(Evidence(Arm(0, 100), Arm(10_000, 0)), GUARD) is not None


def test_a_model_that_is_slower_is_found_although_its_requests_are_not() -> None:
    """With a small share they wait less than those of the default version do."""
    quick = Arm(ok=500, latencies=(500,) + (0,) * len(catalog.DURATIONS))
    late = Arm(ok=9000, latencies=(0,) * len(catalog.DURATIONS) + (9000,))
    assert judge(Evidence(quick, late, slower=10, in_time=10), GUARD) is None
    found = judge(Evidence(quick, late, slower=40, in_time=2), GUARD)
    assert found == Finding("latency", "40 of 42 batches took more than 1.5 times as long as with the default version")


def test_who_waited_in_vain_waited_long() -> None:
    slow = Arm(failed=200, latencies=(0,) * 150 + (200,) + (0,) * (len(catalog.DURATIONS) - 150))
    quick = Arm(ok=2000, latencies=(2000,) + (0,) * len(catalog.DURATIONS))
    found = judge(Evidence(slow, quick), Guard(latency_ratio=3.0))
    assert found is not None
    assert found.limit == "latency"


def test_a_default_that_nobody_asked_says_nothing_against_the_canary() -> None:
    assert judge(Evidence(Arm(0, 1000)), GUARD) is None


@pytest.mark.parametrize("limit", ["error_percent", "latency_ratio", "disagreement_percent"])
def test_it_is_held_to_what_is_said_alone(limit: str) -> None:
    worst = Version(errors=0.5, median_s=1.0, unlike=0.9)
    guard = Guard(**{limit: getattr(GUARD, limit)})
    assert first(Guard(), trial(worst, Version(), looks=10, seed=1)) is None
    found = first(guard, trial(worst, Version(), looks=10, seed=1))
    assert found is not None
    assert limit.startswith(found[0].limit)


class Differs(NamedTuple):
    """What came of one request of one row."""

    agrees: bool
    rows: int = 1
    largest: float = 0.0

    @property
    def agreed(self) -> int:
        return int(self.agrees)

    @property
    def firsts(self) -> list[bool]:
        return [self.agrees]

    @property
    def flips(self) -> dict[tuple[object, object], int]:
        return {}

    def values(self) -> bytes:
        return b""


def test_the_evidence_is_what_all_fronts_have_counted_of_this_canary_and_this_default() -> None:
    fronts = [Figures(), Figures()]
    for figures in fronts:
        for version in ("2", "3"):
            meter = TrialMeter(figures, "m", version, "canary")
            for status in (200, 200, 422, 500, 503, 499):
                meter.answered(status, 0.02)
            TrialMeter(figures, "m", version, "default").answered(200, 0.01)
        for against in ("1", "0"):
            compared = ComparisonMeter(figures, "m", "2", against)
            for agrees in (True, True, False):
                compared.compared(Differs(agrees))
            compared.timed(0.01, 0.001)
            compared.timed(0.01, 0.01)
    seen = evidence(merge(figures.snapshot() for figures in fronts), "m", "2", "1")
    assert (seen.canary.ok, seen.canary.failed, seen.default.ok, seen.default.failed) == (4, 8, 2, 0)
    assert (seen.agreed, seen.differed, seen.slower, seen.in_time) == (4, 2, 2, 2)
    assert seen.canary.latencies[bisect_left(catalog.DURATIONS, 0.02)] == 10
    assert seen.since(seen) == Evidence()
    assert seen.is_sound
    assert not Evidence().since(seen).is_sound
