"""What /models/{name}/comparison tells: how the versions that are tried compare with the one that has the traffic."""

from typing import Any

from penstock.model.control import ModelState
from penstock.observability import catalog
from penstock.observability.latency import percentile
from penstock.observability.metrics import Metric, Number, Snapshot, labelled

Json = dict[str, Any]
Pair = tuple[str, str]

MOST_FLIPS = 20  # the most frequent ones
FEWEST_BATCHES = 30  # before their times are told: until then it is chance
PERCENTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}


def comparison(model: ModelState, figures: Snapshot) -> Json:
    """The body. `compared` are versions that were asked what another had answered, `canaries` those with a share; first
    those that still are."""
    name, canary = model.name, model.canary.version
    asked = {model.shadow.version, canary if model.canary.guard.compares else None}
    rows = _of(name, figures, catalog.COMPARED_ROWS)
    pairs = sorted({(version, against) for version, against, _ in rows})
    trials = sorted({version for version, _, _ in _of(name, figures, catalog.TRIAL_REQUESTS)})
    compared = [
        {**_compared(name, pair, figures), "running": pair[0] in asked and pair[1] == model.default} for pair in pairs
    ]
    canaries = [{**_canary(name, version, figures), "running": version == canary} for version in trials]
    return {"name": name, "compared": _running_first(compared), "canaries": _running_first(canaries)}


def _running_first(told: list[Json]) -> list[Json]:
    return sorted(told, key=lambda each: not each["running"])


def _compared(model: str, pair: Pair, figures: Snapshot) -> Json:
    rows = {
        result: n for (*of, result), (n,) in _of(model, figures, catalog.COMPARED_ROWS).items() if tuple(of) == pair
    }
    answered = rows["agreed"] + rows["differed"] + rows["failed"]
    total, *counts = _of(model, figures, catalog.ANSWER_DIFFERENCE).get(pair, [0.0])
    (largest,) = _of(model, figures, catalog.LARGEST_DIFFERENCE).get(pair, [0.0])
    return {
        "version": pair[0],
        "against": pair[1],
        "rows": rows,
        "agreement": _part(rows["agreed"], answered),
        "flips": _flips(model, pair, figures),
        "mean_difference": _part(total, sum(counts)),
        "largest_difference": largest if sum(counts) else None,
        "times_as_long": _times_as_long(model, pair, figures),
    }


def _times_as_long(model: str, pair: Pair, figures: Snapshot) -> float | None:
    batches = [n for (*of, _), (n,) in _of(model, figures, catalog.COMPARED_BATCHES).items() if tuple(of) == pair]
    seconds = {
        of: s for (*who, of), (s,) in _of(model, figures, catalog.COMPARED_SECONDS).items() if tuple(who) == pair
    }
    return _part(seconds["this"], seconds["against"]) if sum(batches) >= FEWEST_BATCHES else None


def _flips(model: str, pair: Pair, figures: Snapshot) -> list[Json]:
    flips = _of(model, figures, catalog.LABEL_FLIPS).items()
    counted = sorted(((n, was, becomes) for (*of, was, becomes), (n,) in flips if tuple(of) == pair), reverse=True)
    return [{"from": was, "to": becomes, "rows": n} for n, was, becomes in counted[:MOST_FLIPS]]


def _canary(model: str, version: str, figures: Snapshot) -> Json:
    return {"version": version} | {arm: _arm(model, version, arm, figures) for arm in ("canary", "default")}


def _arm(model: str, version: str, arm: str, figures: Snapshot) -> Json:
    requests = _of(model, figures, catalog.TRIAL_REQUESTS)
    results = {result: requests.get((version, arm, result), [0])[0] for result in catalog.RESULTS}
    _, *counts = _of(model, figures, catalog.TRIAL_DURATION).get((version, arm), [0.0])
    times = {name: round(percentile(counts, q) * 1000, 3) if sum(counts) else None for name, q in PERCENTILES.items()}
    told = {result: n for result, n in results.items() if result != "ok"}
    return {"requests": sum(results.values()), **told, **times}


def _of(model: str, figures: Snapshot, metric: Metric) -> dict[tuple[str, ...], list[Number]]:
    """The numbers of a metric of this model, by its labels but the model's."""
    return {labels[1:]: numbers for labels, numbers in labelled(figures, metric).items() if labels[0] == model}


def _part(some: Number, of: Number) -> float | None:
    return some / of if of else None
