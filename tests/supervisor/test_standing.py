"""What should run and what does: told apart through any sequence of loads, deaths and refusals."""

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.config import Model
from penstock.model.certificate import Certificate
from penstock.model.control import Artifact, Loaded, Refused
from penstock.model.source import ModelSource
from penstock.supervisor.standing import Standing
from tests.supervisor.children import SIGNATURE

LOADED = Loaded(signature=SIGNATURE, sha256="abc", bytes=1, runtime="test", device="cpu")
DIED = Refused("host_lost", "the process died with SIGKILL")
CRASHED = Refused("failed_start", "the process died with SIGSEGV while loading")
CHANGED = Refused("changed_artifact", "other bytes than before")


def source(replicas: int = 1, refusal: Refused | None = None) -> ModelSource:
    return ModelSource(
        name="iris",
        version="1",
        path="/m/iris.onnx",
        artifact=Artifact(path="/m/iris.onnx", format="onnx", root="/m"),
        settings=Model(path="/m/iris.onnx", replicas=replicas),
        refusal=refusal,
    )


def ready(replicas: int = 1) -> Standing:
    standing = Standing(source(replicas))
    standing.started(0)
    for number in standing.has_loaded(0, LOADED, now=0.0):
        standing.started(number)
        standing.has_loaded(number, LOADED, now=0.0)
    return standing


def test_the_first_replica_loads_alone_and_pins_what_the_others_have_to_find() -> None:
    standing = Standing(source(replicas=3))
    standing.started(0)
    assert (standing.artifact.pinned, standing.state().state) == (None, "loading")
    assert standing.has_loaded(0, LOADED, now=1.0) == [1, 2]
    assert (standing.artifact.pinned, standing.state().state) == ("abc", "ready")


@pytest.mark.parametrize(
    ("certificate", "settled"),
    [
        (Certificate(verdict="compiled"), "require"),
        (Certificate(verdict="original", reason="slower"), "off"),
        (None, "off"),
    ],
)
def test_what_the_first_load_found_out_about_compiling_stays_so(certificate: Certificate | None, settled: str) -> None:
    """What serves is never exchanged for something else by a restart."""
    standing = Standing(source(replicas=2))
    standing.started(0)
    standing.has_loaded(0, msgspec.structs.replace(LOADED, certificate=certificate), now=1.0)
    assert standing.artifact.compile == settled
    standing.has_loaded(1, msgspec.structs.replace(LOADED, certificate=None), now=2.0)
    assert standing.artifact.compile == settled


def test_a_first_load_that_fails_is_final() -> None:
    standing = Standing(source())
    standing.started(0)
    assert standing.has_ended(0, CRASHED, now=1.0) is None
    state = standing.state()
    assert (state.state, state.code, state.reason) == ("refused", "failed_start", CRASHED.message)


def test_what_may_not_be_loaded_is_refused_from_the_start() -> None:
    standing = Standing(source(refusal=CHANGED))
    assert standing.refused
    assert standing.state().reason == "other bytes than before"


def test_after_a_death_the_version_is_restarting_and_counts_the_restart_when_it_comes() -> None:
    standing = ready()
    assert standing.has_ended(0, DIED, now=5.0) == 0.0
    assert (standing.state().state, standing.state().restarts) == ("restarting", 0)
    standing.started(0)
    standing.has_loaded(0, LOADED, now=6.0)
    assert (standing.state().state, standing.state().restarts, standing.state().reason) == ("ready", 1, None)


def test_a_restart_that_finds_other_bytes_is_refused_and_tried_again() -> None:
    standing = ready()
    standing.has_ended(0, DIED, now=5.0)
    standing.started(0)
    assert standing.has_ended(0, CHANGED, now=6.0) == 1.0
    assert (standing.state().state, standing.state().code) == ("refused", "changed_artifact")
    assert not standing.refused


def test_one_replica_left_is_ready_and_says_what_is_wrong_with_the_other() -> None:
    standing = ready(replicas=2)
    standing.has_ended(1, DIED, now=5.0)
    state = standing.state()
    assert (state.state, state.live, state.replicas, state.reason) == ("ready", 1, 2, DIED.message)


class Fate(RuleBasedStateMachine):
    """Three replicas that load, die and are restarted at random, on a clock of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.standing = Standing(source(replicas=3))
        self.standing.started(0)
        self.due: dict[int, float] = {}
        self.restarts = 0

    def of(self, *phases: str) -> list[int]:
        return [i for i, phase in enumerate(self.standing.phases()) if phase in phases]

    @rule(seconds=st.floats(0.1, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for number in [n for n, at in self.due.items() if at <= self.now]:
            del self.due[number]
            self.standing.started(number)
            self.restarts += 1

    @precondition(lambda self: self.of("starting"))
    @rule(data=st.data())
    def one_loads(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.of("starting")))
        for further in self.standing.has_loaded(number, LOADED, self.now):
            self.standing.started(further)

    @precondition(lambda self: self.of("starting", "ready"))
    @rule(data=st.data(), why=st.sampled_from([DIED, CRASHED, CHANGED]))
    def one_ends(self, data: st.DataObject, why: Refused) -> None:
        number = data.draw(st.sampled_from(self.of("starting", "ready")))
        wait = self.standing.has_ended(number, why, self.now)
        if wait is not None:
            assert 0 <= wait <= 60
            self.due[number] = self.now + wait

    @invariant()
    def each_replica_runs_or_is_due_unless_the_first_load_decides(self) -> None:
        assert self.of("waiting") == sorted(self.due)
        assert bool(self.of("idle", "refused")) == (self.standing.loaded is None)

    @invariant()
    def the_state_is_what_the_replicas_are(self) -> None:
        state = self.standing.state()
        assert state.live == len(self.of("ready"))
        assert (state.state == "ready") == (state.live > 0)
        assert (state.state == "loading") == (self.standing.loaded is None and not self.of("refused"))
        assert (state.reason is None) <= (state.state in ("ready", "loading"))
        assert state.restarts == self.restarts
        assert (self.standing.artifact.pinned == "abc") == (self.standing.loaded is not None)


test_every_replica_that_ought_to_run_does_or_will = Fate.TestCase
