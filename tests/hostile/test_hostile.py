"""Hostile input by the thousand: nothing but what the status table says, and a service that is none the worse for it.

`make fuzz` sends a million and prints how to send again what it finds.
"""

import re
from collections.abc import Callable, Iterator

import pytest
import uvloop

from tests.acceptance.driver import Service, wait_until
from tests.hostile import judge
from tests.hostile.fuzz import Outcome, fuzz
from tests.hostile.served import Model, hostile_service

SEED = 20260701
EVENTS = frozenset({"prediction", "request_refused", "unusual_input", "latency_stats", "model_output"})
LABELS = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

World = tuple[Service, tuple[Model, ...]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with hostile_service(tmp_path_factory.mktemp("hostile")) as made:
        service, models = made
        wait_until(lambda: len(service.lines("model_ready")) == len(models), "the log of the start", service.explain)
        yield made


def send(world: World, first: int, count: int) -> Outcome:
    service, models = world
    outcome: Outcome = uvloop.run(fuzz(service.port, models, SEED, range(first, first + count)))
    print(outcome)
    assert not outcome.findings, "\n".join(finding.told(SEED) for finding in outcome.findings[:5])
    return outcome


def series(service: Service) -> set[str]:
    """What /metrics tells, without the numbers."""
    lines = service.get("/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


@pytest.mark.soak
def test_hostile_input_gets_the_right_status_and_leaves_the_service_as_it_was(
    world: World, scale: Callable[[int, int], int]
) -> None:
    service, _ = world
    processes = service.processes("front") + service.processes("host")
    began = len(service.log.read_bytes())
    outcome = send(world, 0, scale(3000, 100_000))
    assert outcome.canaries > outcome.inputs / 20
    assert service.get("/health").body["status"] == "healthy"
    assert service.get("/ready").status == 200
    assert service.processes("front") + service.processes("host") == processes
    assert not [line for line in series(service) if "restarts_total{" in line]
    assert [*judge.wrong_with_log(service.log.read_bytes()[began:], EVENTS)] == []


@pytest.mark.soak
def test_no_word_of_a_client_becomes_a_label(world: World, scale: Callable[[int, int], int]) -> None:
    """A first pass brings out every route and status there is; after that, more of the same adds no series."""
    service, _ = world
    send(world, 1_000_000, scale(3000, 20_000))
    before = series(service)
    send(world, 2_000_000, scale(1000, 100_000))
    after = series(service)
    assert {values_of(line)[1:] for line in after} == {values_of(line)[1:] for line in before}
    assert len(after) <= len(before) + scale(10, 0)


def values_of(line: str) -> tuple[str, ...]:
    """The name of a series and the values of its labels, but for those of a fixed range: status, code and bucket."""
    name = line.partition("{")[0]
    return (name, *(value for label, value in LABELS.findall(line) if label not in ("status", "code", "le", "class")))
