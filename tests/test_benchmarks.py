"""The benchmarks run, every server in them gives the model's own answers, and their sums are right."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.needs("wrk", "skl2onnx", "structlog")
def test_each_server_is_checked_and_measured() -> None:
    options = [
        "--targets",
        "naive,penstock,bare",
        "--cells",
        "iris:1x1",
        "--rounds",
        "1",
        "--seconds",
        "0.5",
        "--warmup",
        "0",
    ]
    told = output_of("bench.py", *options)
    assert re.findall(r"^\| iris:1x1 \| (\w+) \|", told, re.MULTILINE) == ["naive", "penstock", "bare"]
    assert re.search(r"^\| naive, penstock, bare \| Python 3\S+, penstock \S+,.* numpy \S+ \|$", told, re.MULTILINE)


@pytest.mark.needs("wrk", "skl2onnx")
def test_fronts_are_measured_idle_and_at_work() -> None:
    told = output_of("fronts.py", "--rounds", "1", "--seconds", "1", "--idle", "0.5")
    assert re.search(r"^An idle front: \d+\.\d\d % of a core, RSS \d+\.\d MB, PSS \d+\.\d MB$", told, re.MULTILINE)
    assert re.findall(r"^\| (1 front|2 fronts) \|.*\| 0 \|$", told, re.MULTILINE) == ["1 front", "2 fronts"]


@pytest.mark.needs("wrk", "skl2onnx")
def test_overload_is_measured_and_agrees_with_the_server() -> None:
    """A busy machine may make a run void for falling behind its schedule, but never for a wrong answer or sum."""
    done = run("overload.py", "--cases", "sleeper:200", "--loads", "0.5,3", "--seconds", "1", "--calm", "2")
    rows = r"^\| (\S+) × .* × (?:200|50[34] \w+) \|$"
    assert re.findall(rows, done.stdout, re.MULTILINE) == ["0.5", "3"], done.stderr
    for reason in re.findall(r"^- \*\*void\*\*, .*?: (.*)$", done.stdout, re.MULTILINE):
        assert "behind schedule" in reason


def output_of(program: str, *options: str) -> str:
    done = run(program, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / program), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_row_has_the_medians_of_its_rounds_and_the_ratio_within_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates of 100, 200 and 400 against 200, 100 and 300: the ratios are 2, 1/2 and 3/4, and 3/4 is in the middle."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    fronts: Any = importlib.import_module("fronts")

    def runs(*rates: float, errors: int = 0) -> list[Any]:
        return [fronts.Figures(rate, rate, 1000 / rate, 2000 / rate, errors, {}, 0.0, 0.0) for rate in rates]

    alone, two = runs(100, 200, 400), runs(200, 100, 300, errors=1)
    assert fronts.row(1, alone, alone) == ["1 front", "200", "5.00", "10.0", "1.00", "0"]
    assert fronts.row(2, two, alone) == ["2 fronts", "200", "5.00", "10.0", "0.75", "3"]
    assert fronts.table({1: alone, 2: two}).count("\n") == 3


def test_rows_are_told_for_each_second_of_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 rows a second from two processes that had 0.3 and 0.2 of a core: 200 for a whole one."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    load: Any = importlib.import_module("load")
    figures = load.Figures(50, 100, 1.0, 2.0, 0, {"front": 0.3, "host": 0.2}, 0.9, 0.0)
    assert figures.rows_core_s == pytest.approx(200)
    assert figures._replace(cpu={}).rows_core_s == 0.0
