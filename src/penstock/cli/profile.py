"""`penstock profile`: where the time of a request goes, where that of the model goes, and what would help."""

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from penstock.cli.arguments import Parser, add_settings, configuration_of
from penstock.cli.check import SETTINGS
from penstock.cli.hosted import Hosted, hosted
from penstock.cli.packing import golden
from penstock.cli.packing.wire import Row, encoded
from penstock.cli.probe import Latency, measured
from penstock.cli.profiling.advice import advice
from penstock.cli.profiling.report import Report, lines
from penstock.cli.profiling.shortlived import get, service
from penstock.cli.profiling.stages import Load, figures, load_of
from penstock.cli.profiling.traffic import load, requests
from penstock.cli.progress import progress
from penstock.errors import ArtifactError, ConfigurationError
from penstock.model.control import Loaded, Profiled, Refused
from penstock.model.repository import resolve
from penstock.model.source import ModelSource
from penstock.option import options
from penstock.supervisor.cpus import usable_cpus

EXAMPLES = """\
examples:
  penstock profile model.pkl
  penstock profile models/iris --seconds 10
  penstock profile model.pkl --compile off      the original, where it would run compiled
  penstock profile model.onnx --json | jq .

It starts a service of its own on a free port of the loopback, and stops it. Measure on a quiet machine.
"""
CONNECTIONS = (1, 64)
PREDICTIONS = 500
BUDGET_S = 10.0  # for the predictions that are profiled
MOST_BODIES = 50
WARM_UP_S = 0.3


class Asked(NamedTuple):
    """What the model's process told: of itself, how fast it is, and where its time goes. `rows` are those it takes."""

    loaded: Loaded
    latency: tuple[Latency, ...]
    profile: Profiled
    rows: list[Row]


def run(words: Sequence[str]) -> int:
    """Profiles the model that is named; returns the exit code."""
    parser = Parser("profile", "[NAME=]PATH [options]", "Measure where the time of a request goes.", EXAMPLES)
    parser.add_argument("path", metavar="[NAME=]PATH", help="an artifact, or the directory of a model")
    parser.add_argument("--seconds", metavar="N", default="3", help="how long each load lasts [3]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_settings(parser, only=SETTINGS)
    namespace = parser.read(words)
    source, seconds = _source(namespace), _seconds(namespace.seconds)
    with progress() as tell:
        asked = _asked(source, tell)
        loads = tuple(_loads(source, namespace, asked, seconds, tell))
    certificate = asked.loaded.certificate
    report = Report(
        model=source.name,
        version=source.version,
        path=source.path,
        runtime=asked.loaded.runtime,
        compiled=certificate.summary if certificate else None,
        loads=loads,
        profile=asked.profile,
        advice=tuple(advice(asked.loaded, loads[0], loads[-1], asked.latency, usable_cpus())),
    )
    print(msgspec.json.encode(report).decode() if namespace.json else "\n".join(lines(report)))
    return 0


def _source(namespace: Namespace) -> ModelSource:
    sources = resolve([namespace.path], configuration_of(namespace)).sources
    if len(sources) != 1:
        raise ConfigurationError(f"one model at a time: name one of {', '.join(each.path for each in sources[:5])}")
    return sources[0]


def _seconds(said: str) -> float:
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise ConfigurationError(f"--seconds: expected a number up to 3600, got '{said}'")
    return seconds


def _asked(source: ModelSource, tell: Callable[[str], object]) -> Asked:
    """Raises ArtifactError where the model cannot be served, HostLost."""
    with hosted(source, tell) as model:
        if isinstance(model, Refused):
            raise ArtifactError(f"cannot profile {source.name}: {model.message}")
        rows = _rows(source, model)
        tell("profiling the model")
        profile = model.profiled(lambda: _predict(model, rows))
        return Asked(model.loaded, measured(model), profile, rows)


def _rows(source: ModelSource, model: Hosted) -> list[Row]:
    """Rows that the model answers: its golden examples, or else ones that are made up."""
    inputs = model.loaded.signature.inputs
    if source.artifact.examples is None:
        return [each.row for each in golden.ask(model, golden.plausible(inputs)).given[:MOST_BODIES]]
    features = [each["features"] for each in json.loads(Path(source.artifact.examples).read_bytes())][:MOST_BODIES]
    return [_listed(row, [field.name for field in inputs]) for row in features]


def _listed(features: Any, names: Sequence[str]) -> Row:
    """An example's features in the order of the fields."""
    if isinstance(features, dict):
        return [features.get(name) for name in names]
    return features if isinstance(features, list) and len(features) == len(names) else [features]


def _predict(model: Hosted, rows: Sequence[Row]) -> None:
    """Single rows, as a lone client would send them."""
    batches = [encoded(model.loaded.signature, [row]) for row in rows]
    until = time.monotonic() + BUDGET_S
    for number in range(PREDICTIONS):
        model.ask(1, *batches[number % len(batches)])
        if time.monotonic() > until:
            break


def _loads(
    source: ModelSource, namespace: Namespace, asked: Asked, seconds: float, tell: Callable[[str], object]
) -> Iterator[Load]:
    """What clients get of a service that is started for them. Raises FailedStart, OSError."""
    tell("starting a service")
    bodies = requests("/predict", [_body(row, asked.loaded) for row in asked.rows])
    with service([namespace.path, *_flags(namespace)], source.settings.start_timeout_s) as port:
        load(port, bodies, 1, WARM_UP_S)
        for connections in CONNECTIONS:
            tell(f"{connections} connections for {seconds:g} s")
            before = figures(get(port, "/metrics")[1])
            traffic = load(port, bodies, connections, seconds)
            yield load_of(connections, traffic, before, figures(get(port, "/metrics")[1]))


def _body(row: Row, loaded: Loaded) -> bytes:
    only = loaded.signature.inputs[0]
    features = row[0] if len(row) == 1 and only.shape else row
    return msgspec.json.encode({"features": features})


def _flags(namespace: Namespace) -> Iterator[str]:
    """The settings that were said, as the service is to be told them."""
    said = vars(namespace)
    yield from (
        word for path, option in options().items() for text in said.get(path, ()) for word in (option.flag, text)
    )
    if namespace.config:
        yield from ("--config", namespace.config)
