"""Bounds that hold at all times at once, so that they may be looked at as often as one likes.

A bound for a fixed sample is wrong more and more often the more often it is looked at, and who stops at the first alarm
is alarmed sooner or later. These are confidence sequences instead: the chance that the truth is *ever* outside is at
most `alpha`, whatever the number of looks, and whenever one stops.

The method of mixtures (H. Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of
Mathematical Statistics 41(5), 1970): a share p is doubted as soon as a mixture of other shares explains what was seen
1/alpha times as well, which by Ville's inequality happens to the true one with a chance of at most alpha. With a Beta
mixture and yes-or-no observations: S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric,
nonasymptotic confidence sequences", Annals of Statistics 49(2), 2021. For quantiles: S. Howard, A. Ramdas, "Sequential
estimation of quantiles with applications to A/B testing and best-arm identification", Bernoulli 28(3), 2022.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import inf, lgamma, log

PRIOR = 0.5  # of both parameters of the mixture: Jeffreys', which knows shares near 0 and 1
STEPS = 50  # of a bisection, after which no float64 is left between


def share(hits: float, n: float, alpha: float) -> tuple[float, float]:
    """The least and the largest share that is credible after `hits` of `n`. Each of the two is ever wrong with a chance
    of at most `alpha`."""
    misses = n - hits
    middle = hits / n if n else 0.5
    mixture = _log_beta(hits + PRIOR, misses + PRIOR) - _log_beta(PRIOR, PRIOR)

    def is_doubted(p: float) -> bool:
        return mixture - hits * log(p) - misses * log(1 - p) >= log(1 / alpha)

    lower = _border(is_doubted, 0.0, middle) if hits else 0.0
    upper = _border(is_doubted, 1.0, middle) if misses else 1.0
    return lower, upper


def quantile(q: float, edges: Sequence[float], counts: Sequence[float], alpha: float) -> tuple[float, float]:
    """The least and the largest credible `q`-quantile of what a histogram has counted: `counts[i]` observations up to
    and including `edges[i]`, the last ones beyond all edges. Each is ever wrong with a chance of at most `alpha`.

    It lies above an edge where too few observations do not, and not above one where enough do not: a statement about
    the one true quantile, so that it may be made of all edges at once.
    """
    n = sum(counts)
    upto = list(accumulate(counts))[: len(edges)]
    above = bisect_left(upto, True, key=lambda hits: share(hits, n, alpha)[1] >= q)  # edges that it surely lies above
    enough = bisect_left(upto, True, key=lambda hits: share(hits, n, alpha)[0] > q)
    return edges[above - 1] if above else 0.0, edges[enough] if enough < len(edges) else inf


def _border(is_doubted: Callable[[float], bool], doubted: float, credible: float) -> float:
    """Where doubt begins, from the doubted side, between the two."""
    for _ in range(STEPS):
        between = (doubted + credible) / 2
        if between in (doubted, credible):
            break
        if is_doubted(between):
            doubted = between
        else:
            credible = between
    return doubted


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
