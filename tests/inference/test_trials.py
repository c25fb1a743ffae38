"""What follows from a route besides where requests go: who is shown what was answered, and who is counted."""

from collections.abc import Iterator, Sequence

import pytest
from msgspec.structs import replace

from penstock.config import Canary, Guard, Model, Route, Shadow
from penstock.inference.batcher import Batcher
from penstock.inference.mirror import GATHER_S
from penstock.inference.outputs import Outputs
from penstock.inference.rows import Rows
from penstock.inference.served import ServedVersion
from penstock.inference.ticket import Result
from penstock.inference.trials import BESIDE, Trials
from penstock.model.control import Loaded, ModelState
from penstock.model.signature import Field, Output, OutputField, Signature
from penstock.observability import catalog
from penstock.observability.batches import BatchMeter
from penstock.observability.metrics import Figures, Metric
from penstock.testing import FakeHost, ManualTimer

SIGNATURE = Signature(inputs=(Field(name="x"),), output=Output(fields=(OutputField(name="y"),)))
TWO_OUTPUTS = replace(SIGNATURE, output=Output(fields=(OutputField(name="y"), OutputField(name="z"))))
NO_CANARY, NO_SHADOW = Canary(), Shadow()
HELD = Guard(disagreement_percent=1)


class World:
    """Some versions of a model, each with a host, and their trials."""

    def __init__(self) -> None:
        self.timer = ManualTimer()
        self.figures = Figures()
        self.trials = Trials(self.figures, self.timer)
        self.served: dict[tuple[str, str], ServedVersion] = {}
        self.hosts: dict[str, FakeHost] = {}
        for version in "123":
            self.serve(version)

    def serve(self, version: str, signature: Signature = SIGNATURE) -> ServedVersion:
        """Makes it anew."""
        settings = Model(path="")
        meter = BatchMeter(self.figures, "m", version, signature)
        batcher = Batcher(settings, timer=self.timer, soon=lambda _: None, meter=meter, hung=lambda _: None)
        self.hosts[version] = FakeHost(batcher)
        batcher.attach(self.hosts[version])
        loaded = Loaded(signature=signature, sha256="0" * 64, bytes=1, runtime="test", device="cpu")
        served = self.served["m", version] = ServedVersion("m", version, loaded, settings, batcher)
        return served

    def update(self, canary: Canary = NO_CANARY, shadow: Shadow = NO_SHADOW, default: str = "1") -> None:
        route = Route(canary=canary, shadow=shadow)
        model = ModelState(name="m", default=default, canary=canary, shadow=shadow, route=route, versions=())
        self.trials.update({"m": model}, self.served)

    def show(self, seconds: float = 0.001) -> list[str]:
        """The versions that are asked what the first one has answered, which takes them so long."""
        for mirror in self.served["m", "1"].mirrors:
            mirror.copy(Rows(1, [bytes(8)]), Result([[1.0]], None, None, 0.0, 0.001), "some-id")
        self.timer.advance(GATHER_S)
        asked = [version for version, host in self.hosts.items() if host.flight]
        self.timer.advance(seconds)
        for version in asked:
            self.hosts[version].answer(Outputs([[1.0]], None, None, {}), seconds=seconds)
        return asked

    def tried(self) -> list[str]:
        return [version for (_, version), served in self.served.items() if served.trial is not None]

    def counted(self, metric: Metric) -> dict[Sequence[str], float]:
        """What is not 0, by the labels but for the model."""
        series = self.figures.snapshot()["counters"].get(metric.name, [])
        return {tuple(labels[1:]): value for labels, (value,) in series if value}


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for served in made.served.values():
        served.batcher.close()


@pytest.mark.parametrize(
    ("canary", "shadow", "shown", "tried"),
    [
        (NO_CANARY, NO_SHADOW, [], []),
        (NO_CANARY, Shadow(version="2"), ["2"], []),
        (NO_CANARY, Shadow(version="2", percent=0), [], []),
        (NO_CANARY, Shadow(version="9"), [], []),
        (Canary(version="2", percent=5), NO_SHADOW, [], ["1", "2"]),
        (Canary(version="2", percent=5, guard=HELD), NO_SHADOW, ["2"], ["1", "2"]),
        (Canary(version="2", percent=0, guard=HELD), NO_SHADOW, [], []),
        (Canary(version="9", percent=5, guard=HELD), NO_SHADOW, [], []),
        (Canary(version="2", percent=5, guard=HELD), Shadow(version="3"), ["2", "3"], ["1", "2"]),
        (Canary(version="2", percent=5, guard=HELD), Shadow(version="2"), ["2"], ["1", "2"]),
        (Canary(version="2", percent=5, guard=HELD), Shadow(version="2", percent=0), ["2"], ["1", "2"]),
        (Canary(version="1", percent=5, guard=HELD), NO_SHADOW, [], []),
    ],
)
def test_who_is_shown_what_was_answered_and_who_is_counted(
    world: World, canary: Canary, shadow: Shadow, shown: list[str], tried: list[str]
) -> None:
    world.update(canary, shadow)
    assert len(world.served["m", "1"].mirrors) == len(shown)
    assert (world.show(), world.tried()) == (shown, tried)
    assert not world.served["m", "2"].mirrors  # only what the default version answers is shown


def test_a_version_of_another_model_is_another(world: World) -> None:
    world.served["n", "2"] = world.served["m", "3"]
    world.update(Canary(version="2", percent=5), Shadow(version="2"))
    assert world.show() == ["2"]
    assert world.served["n", "2"].trial is None


def test_when_a_trial_is_over_nobody_is_counted_any_more(world: World) -> None:
    world.update(Canary(version="2", percent=5))
    world.update()
    assert world.tried() == []


def test_a_canary_that_gives_something_else_is_tried_and_not_compared(world: World) -> None:
    world.serve("2", TWO_OUTPUTS)
    world.update(Canary(version="2", percent=5, guard=HELD))
    assert (world.show(), world.tried()) == ([], ["1", "2"])


def test_where_there_is_no_default_version_nothing_is_tried(world: World) -> None:
    world.update(Canary(version="2", percent=5, guard=HELD), Shadow(version="3"), default="9")
    assert (world.show(), world.tried()) == ([], [])


def test_each_side_of_a_trial_is_counted_by_itself(world: World) -> None:
    world.update(Canary(version="2", percent=5))
    for version, statuses in ("1", [200, 200, 503]), ("2", [200, 400, 499]):
        trial = world.served["m", version].trial
        assert trial is not None
        for status in statuses:
            trial.answered(status, 0.01)
    assert world.counted(catalog.TRIAL_REQUESTS) == {
        ("2", "default", "ok"): 2,
        ("2", "default", "failed"): 1,
        ("2", "canary", "ok"): 1,
        ("2", "canary", "gone"): 1,
    }


@pytest.mark.parametrize(
    ("canary", "shadow", "gap_s"),
    [
        (NO_CANARY, Shadow(version="2"), 0.0),
        (Canary(version="2", percent=5), Shadow(version="2"), 0.1 / BESIDE - 0.1),
        (Canary(version="2", percent=5, guard=HELD), NO_SHADOW, 0.1 / BESIDE - 0.1),
    ],
    ids=["shadow", "canary as shadow", "canary"],
)
def test_who_has_requests_of_its_own_is_left_time_for_them(
    world: World, canary: Canary, shadow: Shadow, gap_s: float
) -> None:
    world.update(canary, shadow)
    world.show(seconds=0.1)
    world.show()
    world.timer.advance(max(0.0, gap_s - 1))
    assert len(world.hosts["2"].sent) == (1 if gap_s else 2)
    world.timer.advance(1)
    assert len(world.hosts["2"].sent) == 2


def test_what_stays_as_it_is_keeps_its_mirror(world: World) -> None:
    world.update(Canary(version="3", percent=5, guard=HELD), Shadow(version="2"))
    first = world.served["m", "1"].mirrors
    world.update(Canary(version="3", percent=50, guard=HELD), Shadow(version="2"))
    assert world.served["m", "1"].mirrors == first
    world.update(NO_CANARY, Shadow(version="2"))
    assert world.served["m", "1"].mirrors == first[1:]


def test_what_is_another_gets_another_mirror_and_the_one_before_is_closed(world: World) -> None:
    world.update(NO_CANARY, Shadow(version="2"))
    (first,) = world.served["m", "1"].mirrors
    world.serve("2")
    world.update(NO_CANARY, Shadow(version="2"))
    (second,) = world.served["m", "1"].mirrors
    assert second is not first
    first.copy(Rows(1, [bytes(8)]), Result([[1.0]], None, None, 0.0, 0.001), "")
    world.timer.advance(1)
    assert world.hosts["2"].sent == []


def test_a_shadow_that_ends_gives_up_what_waits_for_it(world: World) -> None:
    world.update(NO_CANARY, Shadow(version="2"))
    (mirror,) = world.served["m", "1"].mirrors
    mirror.copy(Rows(3, [bytes(24)]), Result([[1.0] * 3], None, None, 0.0, 0.001), "")
    world.update()
    assert world.served["m", "1"].mirrors == ()
    assert world.counted(catalog.COMPARED_ROWS) == {("2", "1", "dropped"): 3}


def test_a_version_that_has_the_traffic_no_more_is_shown_to_nobody(world: World) -> None:
    world.update(NO_CANARY, Shadow(version="3"))
    world.update(NO_CANARY, Shadow(version="3"), default="2")
    assert [len(world.served["m", version].mirrors) for version in "123"] == [0, 1, 0]
