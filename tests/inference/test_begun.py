"""Two fronts of a real host, one of which waits for the batch of the other: when is the host taken to hang?"""

import asyncio
import math
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from penstock.config import Model
from penstock.errors import HostLost, PredictTimeout
from penstock.inference.batcher import Batcher
from penstock.inference.hosts import Flight, HostLink
from penstock.inference.rows import Rows
from penstock.inference.ticket import Ticket
from penstock.inference.versions import LoopTimer
from penstock.model.control import Loaded
from tests.host.driver import HostProcess, artifact
from tests.inference.test_wire import Tally

pytestmark = pytest.mark.anyio
TIMEOUT_S = 1.0
LONG_S = 60.0
MANY = 50  # fronts: a turn for each of them, and whoever goes by the stamp has long been done

HOLDING = """
import time
from pathlib import Path

HERE = Path(__file__).parent

class Predictor:
    signature = "1"

    def load(self, path): pass

    def predict(self, batch):
        number = int(batch[0, 0])
        (HERE / f"begun-{number}").touch()
        while number > 1 and not (HERE / f"release-{number}").exists():
            time.sleep(0.01)
        return batch[:, 0]
"""


class Scene:
    """A host that begins batch `n` and, but for the first two numbers, holds it until it is released."""

    def __init__(self, folder: Path, host: HostProcess, loaded: Loaded) -> None:
        self.folder = folder
        self.host = host
        self.hung: list[str] = []
        self.loaded = loaded
        self._fronts: list[Batcher] = []

    def front(self, name: str, *, timeout_s: float = TIMEOUT_S, fronts: int = MANY) -> Batcher:
        loop = asyncio.get_running_loop()
        batcher = Batcher(
            Model(path="", predict_timeout_s=timeout_s),
            timer=LoopTimer(loop),
            soon=loop.call_soon,
            meter=Tally(),
            hung=lambda host: self.hung.append(name),
            fronts=fronts,
        )
        end = self.host.front()
        batcher.attach(HostLink(0, end.socket, end.stamp, self.loaded.signature, batcher))
        self._fronts.append(batcher)
        return batcher

    def begun(self, number: int) -> bool:
        return (self.folder / f"begun-{number}").exists()

    def release(self, number: int) -> None:
        (self.folder / f"release-{number}").touch()

    def close(self) -> None:
        for front in self._fronts:
            front.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    (tmp_path / "predictor.py").write_text(HOLDING)
    with HostProcess(artifact(tmp_path / "predictor.py")) as host:
        scene = Scene(tmp_path, host, host.loaded())
        yield scene
        scene.close()


def ask(front: Batcher, number: int) -> Ticket:
    now = time.monotonic()
    row = Rows(1, [np.array([[number]], "float64").tobytes()])
    ticket = Ticket(row, lambda _: None, deadline=now + LONG_S, queued_at=now)
    front.submit(ticket)
    return ticket


async def until(holds: Callable[[], object]) -> None:
    for _ in range(6000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


async def test_a_batch_that_waits_for_anothers_for_longer_than_its_own_time_is_answered(scene: Scene) -> None:
    slow, quick = scene.front("slow", timeout_s=LONG_S), scene.front("quick")
    first = ask(slow, 2)
    await until(partial(scene.begun, 2))
    second = ask(quick, 1)
    await asyncio.sleep(2.5 * TIMEOUT_S)  # which is the claim, and nothing that is waited for
    assert (scene.hung, second.done, quick.hosts) == ([], False, 1)
    scene.release(2)
    await until(lambda: first.done and second.done)
    assert (first.error, second.error, scene.hung) == (None, None, [])


async def test_a_batch_that_hangs_is_found_out_by_its_own_front_while_the_other_waits(scene: Scene) -> None:
    hanging, waiting = scene.front("hanging"), scene.front("waiting")
    first = ask(hanging, 2)
    await until(partial(scene.begun, 2))
    second = ask(waiting, 1)
    await until(lambda: scene.hung)
    assert (scene.hung, type(first.error), second.done) == (["hanging"], PredictTimeout, False)
    assert TIMEOUT_S <= time.monotonic() - first.sent_at < MANY * TIMEOUT_S / 2
    os.kill(scene.host.pid, signal.SIGKILL)
    await until(lambda: second.done)
    assert type(second.error) is HostLost, "it was never begun, so that it is not to blame"
    assert scene.hung == ["hanging"]


async def test_a_batch_that_waited_and_then_hangs_is_found_out_its_time_after_it_began(scene: Scene) -> None:
    slow, hanging = scene.front("slow", timeout_s=LONG_S), scene.front("hanging")
    ask(slow, 2)
    await until(partial(scene.begun, 2))
    second = ask(hanging, 3)
    await asyncio.sleep(1.5 * TIMEOUT_S)
    scene.release(2)
    await until(partial(scene.begun, 3))
    await until(lambda: scene.hung)
    assert (scene.hung, type(second.error)) == (["hanging"], PredictTimeout)
    assert 2.5 * TIMEOUT_S <= time.monotonic() - second.sent_at < MANY * TIMEOUT_S / 2


async def test_a_stopped_host_is_found_out_after_a_turn_of_each_front(scene: Scene) -> None:
    front = scene.front("only", timeout_s=0.3, fronts=3)
    os.kill(scene.host.pid, signal.SIGSTOP)
    unread = ask(front, 1)
    await until(lambda: scene.hung)
    assert type(unread.error) is PredictTimeout
    assert time.monotonic() >= unread.sent_at + 3 * 0.3


async def test_the_stamp_of_a_batch_before_says_nothing_of_this_one(scene: Scene) -> None:
    end = scene.host.front()
    link = HostLink(0, end.socket, end.stamp, scene.loaded.signature, scene.front("unused"))
    link.flight = Flight([Ticket(Rows(1, [b""]), lambda _: None, deadline=60.0, queued_at=2.0)], 2.0)
    said = []
    for stamp in (0.0, 1.9, math.nan, 2.0, 2.1):
        end.stamp.write(stamp)
        said.append(link.begun_at())
    link.close()
    assert said == [None, None, None, 2.0, 2.1]
