"""Which version answers: exact over many, the same for the same client, on every front and at every larger share."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import Canary
from penstock.errors import UnknownVersion
from penstock.inference.router import canary_share, choose_version
from penstock.model.control import Loaded, ModelState, State, VersionState
from penstock.model.signature import Field, Output, OutputField, Signature

SIGNATURE = Signature(inputs=(Field(name="x"),), output=Output(fields=(OutputField(name="y"),)))
LOADED = Loaded(signature=SIGNATURE, sha256="0" * 64, bytes=1, runtime="test", device="cpu")


NONE = Canary()


def model(canary: Canary = NONE, states: Sequence[State] = ("ready", "ready", "available")) -> ModelState:
    versions = tuple(
        VersionState(
            version=f"{i}", state=state, path="", format="onnx", loaded=None if state == "available" else LOADED
        )
        for i, state in enumerate(states, 1)
    )
    return ModelState(name="m", default="1", canary=canary, versions=versions)


@pytest.mark.parametrize(("asked", "given"), [(None, "1"), ("1", "1"), ("2", "2"), ("stable", "1"), ("canary", "2")])
def test_a_version_is_meant_by_its_name_or_its_label(asked: str | None, given: str) -> None:
    assert choose_version(model(Canary(version="2")), asked) == given


@pytest.mark.parametrize("asked", ["3", "4", "latest", ""])
def test_one_that_is_not_loaded_is_refused_with_those_that_are(asked: str) -> None:
    with pytest.raises(UnknownVersion, match=r"Versions: 1, 2\.$"):
        choose_version(model(), asked)


def test_a_version_that_leaves_takes_nobody_any_more() -> None:
    with pytest.raises(UnknownVersion, match=r"Versions: 1\.$"):
        choose_version(model(states=("ready", "unloading")), "2")


def test_without_a_canary_there_is_none_to_be_asked_for() -> None:
    with pytest.raises(UnknownVersion, match=r"^There is no canary of m now\. Versions: 1, 2\.$"):
        choose_version(model(), "canary")


@pytest.mark.parametrize("percent", [0, 0.5, 5, 50, 99.5, 100])
def test_a_share_is_what_it_says_over_many(percent: float) -> None:
    """Within five standard deviations of a binomial: one run in two million would be outside."""
    share, n, p = canary_share(model(Canary(version="2", percent=percent))), 100_000, percent / 100
    taken = sum(share.takes(b"user-%d" % i) for i in range(n))
    assert abs(taken - n * p) <= 5 * (n * p * (1 - p)) ** 0.5


@given(st.binary(max_size=100), st.floats(0, 100), st.floats(0, 100))
def test_who_gets_the_canary_gets_it_at_every_larger_share(value: bytes, one: float, other: float) -> None:
    less, more = (canary_share(model(Canary(version="2", percent=percent))) for percent in sorted([one, other]))
    assert less.takes(value) <= more.takes(value)


def test_it_is_not_always_the_same_clients_who_try_what_is_new() -> None:
    """Of a tenth for one canary and a tenth for the next, a hundredth gets both."""
    first, second = (canary_share(model(Canary(version=version, percent=10))) for version in ("2", "3"))
    both = sum(first.takes(b"%d" % i) and second.takes(b"%d" % i) for i in range(20_000))
    assert 130 <= both <= 270
