"""What real processes use."""

import os
import subprocess
import sys
import time

import pytest

from penstock.observability import catalog
from penstock.observability.metrics import Figures
from penstock.observability.processes import ProcessMeter


def test_processes_are_measured_by_name_and_forgotten_when_they_are_gone() -> None:
    figures = Figures()
    meter = ProcessMeter(figures)
    began = time.time()
    child = subprocess.Popen([sys.executable, "-c", "sum(range(10**6)); input()"], stdin=subprocess.PIPE)
    meter.measure({"supervisor": os.getpid(), "host": child.pid})
    started = {name: value for (name,), (value,) in figures.snapshot()["gauges"][catalog.STARTED.name]}
    memory = {name: value for (name,), (value,) in figures.snapshot()["gauges"][catalog.MEMORY.name]}
    assert started["host"] == pytest.approx(began, abs=2)
    assert started["supervisor"] < started["host"]
    assert memory["supervisor"] > 2**20
    child.communicate(b"\n")
    meter.measure({"supervisor": os.getpid(), "host": child.pid})
    ((name, (seconds,)),) = figures.snapshot()["counters"][catalog.CPU.name]
    assert name == ["supervisor"]
    assert seconds == pytest.approx(time.process_time(), abs=0.5)
