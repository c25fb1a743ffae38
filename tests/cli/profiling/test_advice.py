"""Advice follows from what was measured, and names the setting or the request that would help."""

from typing import Any

import pytest

from penstock.cli.probe import Latency
from penstock.cli.profiling.advice import advice
from penstock.cli.profiling.stages import Load
from penstock.model.certificate import Certificate
from penstock.model.control import Loaded
from penstock.model.signature import Field, Output, OutputField, Signature

SIGNATURE = Signature(inputs=(Field(name="f0"),), output=Output(fields=(OutputField(name="prediction"),)))
EVEN = {"decode": 0.1, "queue": 0.1, "inference": 0.1, "encode": 0.1, "rest": 0.6}
HELPS = (Latency(rows=1, batches=9, total_ms=1, model_ms=0.5), Latency(rows=100, batches=9, total_ms=2, model_ms=1.0))
HELPS_NOT = (
    Latency(rows=1, batches=9, total_ms=1, model_ms=0.5),
    Latency(rows=100, batches=9, total_ms=60, model_ms=50),
)


def load(connections: int, **stages: float) -> Load:
    """A load whose round trip takes a millisecond."""
    return Load(
        connections=connections, requests=9, errors=0, per_second=9, mean_ms=1.0, p50_ms=1, p99_ms=1, rows=8.5,
        stages_ms=EVEN | stages,
    )  # fmt: skip


def given(
    one: Load | None = None, many: Load | None = None, latency: Any = HELPS, cpus: int = 4, **said: Any
) -> list[str]:
    loaded = Loaded(signature=SIGNATURE, sha256="", bytes=0, device="cpu", **{"runtime": "onnxruntime"} | said)
    return list(advice(loaded, one or load(1), many or load(64), latency, cpus))


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ({"inference": 0.7}, "the model dominates: 70% of a lone request; see its hot spots"),
        (
            {"decode": 0.5, "encode": 0.3},
            "the JSON dominates: 80% of a lone request; several rows in one /predict-batch",
        ),
        ({"queue": 0.7}, "the queue dominates: 70% of a lone request; the model was still busy"),
        ({}, "HTTP dominates: 60% of a lone request; the connection, the log and the client; --workers 2 speaks HTTP"),
    ],
)
def test_what_dominates_a_lone_request_is_named_with_the_way_out(stages: dict[str, float], told: str) -> None:
    assert given(load(1, **stages))[0].startswith(told)


def test_a_model_that_is_not_compiled_is_told_why_first() -> None:
    why = Certificate(verdict="original", reason="labels differ")
    assert given(certificate=why)[0] == "it runs as it was trained, and not compiled: labels differ"
    assert given(runtime="sklearn")[0].startswith("it runs as it was trained, as compiling is off: ")
    assert "trained" not in given(certificate=Certificate(verdict="compiled"))[0]


def test_batching_is_told_to_help_only_where_a_row_costs_less_among_others() -> None:
    assert given()[-1] == (
        "batching helps: a row among 100 takes 50 times less of the model than alone, "
        "and 64 connections fill batches of 8.5"
    )
    assert "batching brings little: a row takes as long among 100 as alone; replicas would bring more" in given(
        latency=HELPS_NOT
    )
    assert not any("batching" in each for each in given(latency=(Latency(rows=1, error="it failed"),)))


def test_a_queue_calls_for_replicas_where_there_are_cpus_for_them() -> None:
    waiting = load(64, queue=0.7)
    assert given(many=waiting)[-1] == (
        "requests wait for the model: 70% of 64 connections' time; --replicas 2 answers on two of 4 CPUs"
    )
    assert given(many=waiting, cpus=1)[-1].endswith("; more than this one CPU would help")
    assert not any("replicas 2" in each for each in given())
