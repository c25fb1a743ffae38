"""When the service is healthy, and when it is ready."""

import pytest

from penstock.model.control import Loaded, ModelState, State, VersionState
from penstock.model.signature import Field, Output, OutputField, Signature
from penstock.observability.health import has_live_host, has_started, health, is_ready, readiness

LOADED = Loaded(
    signature=Signature(inputs=(Field(name="x"),), output=Output(fields=(OutputField(name="y"),))),
    sha256="0" * 64,
    bytes=1,
    runtime="onnx",
    device="cpu",
)
NOW = "2026-11-23T09:31:02.123Z"


def model(state: State, default: str = "1") -> ModelState:
    """A model whose version 1 is in this state."""
    passed = LOADED if state in ("ready", "restarting") else None
    version = VersionState(
        version="1", state=state, path="/m.onnx", format="onnx", loaded=passed, live=int(state == "ready")
    )
    return ModelState(name="m", default=default, versions=(version,))


@pytest.mark.parametrize(
    ("states", "started", "live"),
    [
        ((), False, False),
        (("loading",), False, False),
        (("ready",), True, True),
        (("ready", "loading"), False, True),
        (("ready", "refused"), False, True),
        (("ready", "restarting"), True, True),
        (("restarting",), True, False),
    ],
)
def test_the_start_is_over_when_every_default_version_has_passed(
    states: tuple[State, ...], started: bool, live: bool
) -> None:
    models = [model(state) for state in states]
    assert (has_started(models), has_live_host(models)) == (started, live)


def test_a_default_version_that_is_not_there_has_not_passed() -> None:
    assert not has_started([model("ready", default="2")])


@pytest.mark.parametrize(
    ("states", "started", "draining", "ready"),
    [
        (("ready",), True, False, True),
        (("ready",), True, True, False),
        (("ready",), False, False, False),
        (("ready", "refused"), True, False, True),
        (("restarting", "refused"), True, False, False),
    ],
)
def test_after_the_start_one_live_model_is_enough(
    states: tuple[State, ...], started: bool, draining: bool, ready: bool
) -> None:
    assert is_ready([model(state) for state in states], started=started, draining=draining) is ready


def test_the_bodies_are_the_documented_ones() -> None:
    assert health([model("ready")], NOW) == {"status": "healthy", "model_loaded": True, "timestamp": NOW}
    assert health([model("loading")], NOW) == {"status": "unhealthy", "model_loaded": False, "timestamp": NOW}
    assert readiness([model("ready")], NOW, ready=True) == {"status": "ready", "model_loaded": True, "timestamp": NOW}
    assert readiness([model("ready")], NOW, ready=False)["status"] == "not_ready"
