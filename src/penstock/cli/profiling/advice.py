"""Advice: what would make a model faster, by what was measured of it."""

from collections.abc import Iterator, Sequence

from penstock.cli.probe import Latency
from penstock.cli.profiling.stages import REST, Load
from penstock.model.control import Loaded

LARGE = 0.5  # a share of the time that is worth a word
CHEAPER = 2.0  # times: a row in a batch against a row alone


def advice(loaded: Loaded, one: Load, many: Load, latency: Sequence[Latency], cpus: int) -> Iterator[str]:
    """What would help, or what need not be tried: a sentence each, the one that matters most first.

    `one` is the load of a single connection and `many` that of several, on a machine with so many `cpus`.
    """
    if loaded.certificate and loaded.certificate.verdict == "original":
        yield f"it runs as it was trained, and not compiled: {loaded.certificate.reason}"
    elif loaded.certificate is None and loaded.runtime == "sklearn":
        yield "it runs as it was trained, as compiling is off: leave --compile out and it runs faster where it can"
    yield _largest(one, cpus)
    yield from _batching(many, latency)
    waiting = many.stages_ms["queue"] / many.mean_ms
    if waiting >= LARGE:
        yield f"requests wait for the model: {waiting:.0%} of {many.connections} connections' time; {_replicas(cpus)}"


def _largest(one: Load, cpus: int) -> str:
    """What most of a lone request's time goes into."""
    stages = one.stages_ms
    parts = {
        "the model": (stages["inference"], "see its hot spots"),
        "the JSON": (stages["decode"] + stages["encode"], "several rows in one /predict-batch share it"),
        "the queue": (stages["queue"], "the model was still busy with the request before"),
        "HTTP": (stages[REST], f"the connection, the log and the client; {_fronts(cpus)}"),
    }
    name, (milliseconds, remedy) = max(parts.items(), key=lambda part: part[1][0])
    return f"{name} dominates: {milliseconds / one.mean_ms:.0%} of a lone request; {remedy}"


def _batching(many: Load, latency: Sequence[Latency]) -> Iterator[str]:
    told = [(each.rows, each.model_ms / each.rows) for each in latency if each.model_ms]
    if len(told) < 2:
        return
    alone, (rows, together) = told[0][1], told[-1]
    times = alone / together if together else 1.0
    if times < CHEAPER:
        yield f"batching brings little: a row takes as long among {rows} as alone; replicas would bring more"
    else:
        yield (
            f"batching helps: a row among {rows} takes {times:.0f} times less of the model than alone, "
            f"and {many.connections} connections fill batches of {many.rows:g}"
        )


def _fronts(cpus: int) -> str:
    return f"--workers 2 speaks HTTP on two of {cpus} CPUs" if cpus > 1 else "more than this one CPU would help"


def _replicas(cpus: int) -> str:
    return f"--replicas 2 answers on two of {cpus} CPUs" if cpus > 1 else "more than this one CPU would help"
