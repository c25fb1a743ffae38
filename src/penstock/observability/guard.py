"""Whether a canary does worse than its guard allows, by the figures of all fronts."""

from typing import NamedTuple, Self

from penstock.config import Guard
from penstock.observability import catalog
from penstock.observability.metrics import Number, Snapshot, labelled
from penstock.observability.sequential import quantile, share

FALSE_ALARMS = 0.01
"""The chance that a canary which keeps all the limits of its guard is ever sent away, however long it is tried."""
EACH = FALSE_ALARMS / 3  # of the three limits, and of that a part for each bound that a limit needs
SLOWEST = 0.9  # the quantile of the latency that is compared

EVEN = 0.5  # of the batches may be slower: that is what a median says
METRICS = (catalog.TRIAL_REQUESTS, catalog.TRIAL_DURATION, catalog.COMPARED_REQUESTS, catalog.COMPARED_BATCHES)
"""What is to be known for it."""


class Arm(NamedTuple):
    """The requests of one side: how many were answered, how many failed (whoever gave up waiting among them), and how
    many took how long."""

    ok: Number = 0
    failed: Number = 0
    latencies: tuple[Number, ...] = (0,) * (len(catalog.DURATIONS) + 1)

    @property
    def requests(self) -> Number:
        return self.ok + self.failed

    def since(self, before: Self) -> "Arm":
        counts = zip(self.latencies, before.latencies, strict=True)
        return Arm(self.ok - before.ok, self.failed - before.failed, tuple(now - then for now, then in counts))


class Evidence(NamedTuple):
    """What was seen of a canary and of the default version: how many requests both have answered alike or not, and for
    how many batches of the same size the canary took longer than it may."""

    canary: Arm = Arm()
    default: Arm = Arm()
    agreed: Number = 0
    differed: Number = 0
    slower: Number = 0
    in_time: Number = 0

    def since(self, before: Self) -> "Evidence":
        """What was seen after that."""
        return Evidence(
            self.canary.since(before.canary),
            self.default.since(before.default),
            *(now - then for now, then in zip(self[2:], before[2:], strict=True)),
        )

    @property
    def is_sound(self) -> bool:
        """Whether nothing is negative: figures are forgotten with a version, and begin anew if it comes again."""
        arms = (self.canary, self.default)
        numbers = [n for arm in arms for n in (arm.ok, arm.failed, *arm.latencies)]
        return min(*numbers, *self[2:]) >= 0


class Finding(NamedTuple):
    """A limit that the canary does not keep, and in what way."""

    limit: str
    reason: str


def evidence(figures: Snapshot, model: str, canary: str, default: str) -> Evidence:
    """What the figures say of a canary and of the version that has the rest of the traffic."""
    requests = labelled(figures, catalog.TRIAL_REQUESTS)
    latencies = labelled(figures, catalog.TRIAL_DURATION)
    compared = labelled(figures, catalog.COMPARED_REQUESTS)
    batches = labelled(figures, catalog.COMPARED_BATCHES)

    def arm(name: str) -> Arm:
        _, *counts = latencies.get((model, canary, name), [0, *Arm().latencies])
        ok, *others = (requests.get((model, canary, name, result), [0])[0] for result in catalog.RESULTS)
        return Arm(ok, sum(others), tuple(counts))

    agreed, differed = (compared.get((model, canary, default, result), [0])[0] for result in ("agreed", "differed"))
    slower, in_time = (batches.get((model, canary, default, result), [0])[0] for result in ("slower", "in_time"))
    return Evidence(arm("canary"), arm("default"), agreed, differed, slower, in_time)


def judge(seen: Evidence, guard: Guard) -> Finding | None:
    """The limit that the canary surely breaks; None while it may still keep all of them.

    May be asked as often as one likes; see `sequential`.
    """
    if seen.canary.requests < guard.min_requests:
        return None
    reasons = {
        "error": _errs(seen.canary, seen.default, guard.error_percent),
        "latency": _is_late(seen.canary, seen.default, guard.latency_ratio) or _is_slow(seen, guard.latency_ratio),
        "disagreement": _disagrees(seen, guard),
    }
    return next((Finding(limit, reason) for limit, reason in reasons.items() if reason is not None), None)


def _errs(canary: Arm, default: Arm, percent: float | None) -> str | None:
    """Why, if it fails so many more of a hundred requests."""
    if percent is None:
        return None
    least, _ = share(canary.failed, canary.requests, EACH / 2)
    _, most = share(default.failed, default.requests, EACH / 2)
    if least <= most + percent / 100:
        return None
    return f"{_failed(canary)} failed, and with the default version {_failed(default)}; {percent:g} % more may"


def _is_late(canary: Arm, default: Arm, ratio: float | None) -> str | None:
    """Why, if its requests take so many times as long."""
    if ratio is None:
        return None
    least, _ = quantile(SLOWEST, catalog.DURATIONS, canary.latencies, EACH / 4)
    _, most = quantile(SLOWEST, catalog.DURATIONS, default.latencies, EACH / 4)
    if least <= ratio * most:
        return None
    return (
        f"a tenth of {canary.requests:,} requests took more than {least * 1000:.3g} ms, and with the default version "
        f"all but a tenth of {default.requests:,} less than {most * 1000:.3g} ms; {ratio:g} times as long is allowed"
    )


def _is_slow(seen: Evidence, ratio: float | None) -> str | None:
    """Why, if the model itself takes so many times as long: with a small share of the traffic its requests wait less
    than those of the default version, and may be the sooner answered for all that.

    A sign test: batches of the same size are compared one by one, and more than half of them were slower.
    """
    batches = seen.slower + seen.in_time
    if ratio is None or share(seen.slower, batches, EACH / 2)[0] <= EVEN:
        return None
    return f"{seen.slower:,} of {batches:,} batches took more than {ratio:g} times as long as with the default version"


def _disagrees(seen: Evidence, guard: Guard) -> str | None:
    """Why, if it answers so many of a hundred otherwise."""
    compared = seen.agreed + seen.differed
    if guard.disagreement_percent is None or compared < guard.min_requests:
        return None
    least, _ = share(seen.differed, compared, EACH)
    if least <= guard.disagreement_percent / 100:
        return None
    told = f"{_part(seen.differed, compared)} were answered otherwise than by the default version"
    return f"{told}; {guard.disagreement_percent:g} % may be"


def _failed(arm: Arm) -> str:
    return _part(arm.failed, arm.requests)


def _part(some: Number, of: Number) -> str:
    return f"{some / of if of else 0:.2%} of {of:,} requests"
