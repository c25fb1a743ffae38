"""The way out: nothing that was admitted is lost, nothing is orphaned, and a second signal forces."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.acceptance.behaving import HANG, SLEEP
from tests.acceptance.driver import Load, alive, children_of, serving, wait_until
from tests.acceptance.test_statuses import until_called


def test_sigterm_under_load_loses_nothing(iris_onnx: Path, tmp_path: Path) -> None:
    with serving(iris_onnx, "--drain-linger-s", "1", cwd=tmp_path) as service, Load(service) as load:
        load.wait_for(200)
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.get("/ready").status == 503, "not ready", service.explain)
        before = len(load.answers)
        assert service.process.wait(20) == 0
        load.stop()
        assert load.failures == []
        assert set(load.answers) == {200}
        assert len(load.answers) > before, "it serves on while load balancers take notice"


def test_ctrl_c_under_load_loses_nothing(iris_onnx: Path, tmp_path: Path) -> None:
    """The terminal sends SIGINT to the whole foreground group."""
    with serving(iris_onnx, cwd=tmp_path) as service, Load(service) as load:
        load.wait_for(200)
        os.killpg(service.process.pid, signal.SIGINT)
        assert service.process.wait(20) == 0
        load.stop()
        assert load.failures == []
        assert set(load.answers) == {200}


def test_admitted_work_finishes_and_work_that_does_not_is_cut_and_counted(
    behaving: Callable[[], Any], tmp_path: Path
) -> None:
    _, arguments, record = behaving()
    statuses: list[int] = []

    def ask(*features: float) -> None:
        statuses.append(service.predict(*features).status)

    with serving(*arguments, cwd=tmp_path) as service:
        asking = Thread(target=ask, args=(SLEEP, 101))
        asking.start()
        until_called(record, "101")
        assert service.end(signal.SIGINT) == 0
        asking.join()
    assert statuses == [200]
    with serving(*arguments, "--drain-finish-s", "0.2", cwd=tmp_path) as service:
        Thread(target=_ignore, args=(service.predict, HANG, 102), daemon=True).start()
        until_called(record, "102")
        assert service.end(signal.SIGINT) == 1
        assert service.lines("stopped")[-1]["cut"] == 1


def test_a_front_that_dies_on_the_way_out_is_told_by_the_exit_status(iris_onnx: Path, tmp_path: Path) -> None:
    with serving(iris_onnx, "--drain-linger-s", "20", cwd=tmp_path) as service:
        service.process.send_signal(signal.SIGTERM)
        service.wait_for("draining")
        os.kill(service.processes("front")[0], signal.SIGKILL)
        assert service.process.wait(20) == 1


def test_a_second_signal_forces(behaving: Callable[[], Any], tmp_path: Path) -> None:
    _, arguments, record = behaving()
    with serving(*arguments, cwd=tmp_path) as service:
        Thread(target=_ignore, args=(service.predict, HANG, 103), daemon=True).start()
        until_called(record, "103")
        service.process.send_signal(signal.SIGTERM)
        service.wait_for("draining")
        began = time.monotonic()
        assert service.end(signal.SIGTERM) == 1
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(iris_onnx: Path, tmp_path: Path, number: signal.Signals) -> None:
    with serving(iris_onnx, "--drain-linger-s", "0", cwd=tmp_path) as service:
        children = children_of(service.process.pid)
        assert len(children) >= 2
        service.end(number)
        wait_until(lambda: not any(map(alive, children)), "the end of every process", service.explain)


def _ignore(ask: Callable[..., object], *arguments: object) -> None:
    try:
        ask(*arguments)
    except OSError:
        pass
