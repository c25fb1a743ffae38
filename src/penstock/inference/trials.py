"""What follows from a model's route besides where its requests go: the copies that a shadow gets, or a canary that is
held to agree with the default version, and the figures of both sides while a canary has a share."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from penstock.config import Canary, Shadow
from penstock.inference.alarm import Timer
from penstock.inference.comparison import Comparison
from penstock.inference.mirror import Mirror
from penstock.inference.router import Share
from penstock.inference.row_answers import weigher
from penstock.inference.served import ServedVersion
from penstock.inference.translation import Translation
from penstock.model.control import ModelState
from penstock.model.fitness import strangeness_of
from penstock.observability.comparisons import ComparisonMeter, TrialMeter
from penstock.observability.metrics import Figures

BESIDE = 0.02
"""The part of a canary's time that the copies of all fronts may take: so many of its own requests may find one in their
way."""


class Pair(NamedTuple):
    """Whose answers are copied, to whom, and what of them."""

    of: ServedVersion
    to: ServedVersion
    purpose: str
    percent: float
    part: float
    tolerance: float
    ratio: float


class Trials:
    """Gives the versions of each model what they need for it, and takes it from them again."""

    def __init__(self, figures: Figures, timer: Timer, fronts: int = 1) -> None:
        self._figures = figures
        self._fronts = fronts
        self._timer = timer
        self._mirrors: dict[Pair, Mirror] = {}

    def update(self, models: Mapping[str, ModelState], served: Mapping[tuple[str, str], ServedVersion]) -> None:
        """Models or their routes are others than before; `served` are the versions by model and version."""
        for version in served.values():
            version.mirrors, version.trial = (), None
        wanted: set[Pair] = set()
        for model in models.values():
            of = {version: each for (name, version), each in served.items() if name == model.name}
            if (default := of.get(model.default)) is None:
                continue
            pairs = list(_pairs(model, default, of))
            default.mirrors = tuple(self._mirror(pair) for pair in pairs)
            wanted.update(pairs)
            if (canary := _tried(model.canary, default, of)) is not None:
                for arm, version in (("default", default), ("canary", canary)):
                    version.trial = TrialMeter(self._figures, model.name, canary.version, arm)
        for pair in self._mirrors.keys() - wanted:
            self._mirrors.pop(pair).close()

    def _mirror(self, pair: Pair) -> Mirror:
        if (mirror := self._mirrors.get(pair)) is None:
            ours, theirs = pair.of.signature, pair.to.signature
            mirror = self._mirrors[pair] = Mirror(
                pair.to.batcher,
                Share(pair.purpose, pair.percent),
                Translation(ours, theirs),
                Comparison(ours, theirs, pair.tolerance),
                ComparisonMeter(self._figures, pair.of.model, pair.to.version, pair.of.version, pair.ratio),
                self._timer,
                pair.part if pair.part == 1 else pair.part / self._fronts,
                pair.to.max_rows,
                weigher(ours),
            )
        return mirror


def _tried(route: Canary | Shadow, default: ServedVersion, of: Mapping[str, ServedVersion]) -> ServedVersion | None:
    """The version that is tried beside the default one, if any is."""
    tried = of.get(route.version or "") if route.percent else None
    return tried if tried is not default else None


def _pairs(model: ModelState, default: ServedVersion, of: Mapping[str, ServedVersion]) -> Iterator[Pair]:
    shadow, canary = _tried(model.shadow, default, of), _tried(model.canary, default, of)
    tolerance, guard = model.route.tolerance, model.canary.guard
    if guard.compares and canary is not None and strangeness_of(default.signature, canary.signature) is None:
        ratio = guard.latency_ratio or 1.0
        yield Pair(default, canary, f"guard of {model.name}", 100.0, BESIDE, tolerance, ratio)
        if canary is shadow:
            return
    if shadow is not None:
        part = BESIDE if canary is shadow else 1.0
        yield Pair(default, shadow, f"shadow of {model.name}", model.shadow.percent, part, tolerance, 1.0)
