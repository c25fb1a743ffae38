"""Bounds that may be looked at after every observation: they are what their formula says, and seldom ever wrong."""

from bisect import bisect_left
from collections.abc import Callable
from math import inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from penstock.observability.sequential import PRIOR, quantile, share

ALPHA = 0.05
Scale = Callable[[int, int], int]


@pytest.mark.parametrize(("hits", "n"), [(3, 40), (1, 2), (50, 100), (199, 200)])
def test_a_bound_is_where_other_shares_explain_it_so_many_times_as_well(hits: int, n: int) -> None:
    """By integrating over the mixture, which the code does in closed form."""

    def likelihood(p: float) -> float:
        return float(p**hits * (1 - p) ** (n - hits))

    mixture, _ = quad(lambda p: likelihood(p) * beta.pdf(p, PRIOR, PRIOR), 0, 1, epsabs=0, limit=200)
    for bound in share(hits, n, ALPHA):
        assert mixture / likelihood(bound) == pytest.approx(1 / ALPHA, rel=1e-4)


@given(st.integers(0, 500), st.integers(0, 500), st.floats(1e-6, 0.5))
def test_a_bound_is_a_share_on_the_right_side_and_mirrored(hits: int, misses: int, alpha: float) -> None:
    n = hits + misses
    lower, upper = share(hits, n, alpha)
    assert 0 <= lower <= (hits / n if n else 0.5) <= upper <= 1
    other_lower, other_upper = share(misses, n, alpha)
    assert (other_lower, other_upper) == pytest.approx((1 - upper, 1 - lower), abs=1e-9)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(1e-6, 0.4))
def test_more_hits_raise_both_bounds_and_less_risk_widens_them(hits: int, misses: int, alpha: float) -> None:
    n = hits + misses + 1
    less, more = share(hits, n, alpha), share(hits + 1, n, alpha)
    assert less[0] <= more[0] + 1e-12
    assert less[1] <= more[1] + 1e-12
    wide = share(hits, n, alpha / 2)
    assert wide[0] <= less[0]
    assert less[1] <= wide[1]


def test_nothing_is_credible_of_nothing_and_all_of_it_in_the_end() -> None:
    assert share(0, 0, ALPHA) == (0.0, 1.0)
    assert share(300_000, 1_000_000, ALPHA) == pytest.approx((0.3, 0.3), abs=0.003)


@pytest.mark.soak
@pytest.mark.parametrize("p", [0.003, 0.02, 0.3, 0.9])
def test_the_truth_is_seldom_ever_outside_whenever_one_looks(p: float, scale: Scale) -> None:
    """In a thousand runs at most 5 % and three deviations; a bound for a fixed sample fails in a third of them."""
    runs, length = scale(100, 1000), scale(300, 3000)
    random = np.random.default_rng(7)
    wrong = 0
    for _ in range(runs):
        hits = np.cumsum(random.random(length) < p)
        looks = [n for n in range(1, length + 1) if n < 60 or n % 10 == 0]
        wrong += any(share(float(hits[n - 1]), n, ALPHA)[0] > p for n in looks)
    assert wrong <= runs * ALPHA + 3 * (runs * ALPHA * (1 - ALPHA)) ** 0.5


# ------------------------------------------------------------------ quantiles
EDGES = (1.0, 2.0, 3.0, 5.0, 8.0)


@given(st.lists(st.integers(0, 50), min_size=len(EDGES) + 1, max_size=len(EDGES) + 1), st.floats(0.05, 0.95))
def test_a_quantile_lies_between_the_edges_that_are_surely_below_and_above(counts: list[int], q: float) -> None:
    """As the definition has it, edge by edge."""
    n = sum(counts)
    upto = [sum(counts[: i + 1]) for i in range(len(EDGES))]
    below = [edge for edge, hits in zip(EDGES, upto, strict=True) if n and share(hits, n, ALPHA)[1] < q]
    above = [edge for edge, hits in zip(EDGES, upto, strict=True) if n and share(hits, n, ALPHA)[0] > q]
    assert quantile(q, EDGES, counts, ALPHA) == (max(below, default=0.0), min(above, default=inf))


def test_the_true_quantile_is_seldom_ever_outside() -> None:
    """Log-normal latencies, looked at as often as they come."""
    random = np.random.default_rng(11)
    edges = tuple(float(edge) for edge in np.geomspace(0.1, 100, 60))
    truth = float(np.exp(1.2815515655446004))  # the 0.9-quantile
    wrong, lower, upper = 0, 0.0, inf
    for _ in range(60):
        counts = [0] * (len(edges) + 1)
        outside = False
        for n, value in enumerate(random.lognormal(size=400), 1):
            counts[bisect_left(edges, value)] += 1
            if n % 20 == 0:
                lower, upper = quantile(0.9, edges, counts, ALPHA)
                outside |= not lower <= truth <= upper
        wrong += outside
    assert wrong <= 60 * 2 * ALPHA + 3 * (60 * 2 * ALPHA) ** 0.5
    assert lower > 0
    assert log(upper / lower) < log(2.5)
