"""The benchmarks run, every server in them gives the model's own answers, and their sums are right."""

import importlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
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
        "--tries",
        "1",
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
def test_what_is_kept_is_measured_beside_what_is_not() -> None:
    once = ("--rounds", "1", "--seconds", "1", "--warmup", "2", "--tries", "1")
    told = output_of("cached.py", "--subjects", "iris", "--modes", "off,hits", *once)
    row = r"^\| iris \| (\d+) \| (\w+) \|.*\| (\d+) % \| \S+ \| 0 \|$"
    found = re.findall(row, told, re.MULTILINE)
    assert found == [("1", "off", "0"), ("1", "hits", "100"), ("64", "off", "0"), ("64", "hits", "100")]


@pytest.mark.needs("wrk", "skl2onnx")
def test_overload_is_measured_and_agrees_with_the_server() -> None:
    """A busy machine may make a run void for falling behind its schedule, but never for a wrong answer or sum."""
    done = run("overload.py", "--cases", "sleeper:200", "--loads", "0.5,3", "--seconds", "1", "--calm", "2")
    rows = r"^\| (\S+) × .* × (?:200|50[34] \w+) \|$"
    assert re.findall(rows, done.stdout, re.MULTILINE) == ["0.5", "3"], done.stderr
    for reason in re.findall(r"^- \*\*void\*\*, .*?: (.*)$", done.stdout, re.MULTILINE):
        assert "behind schedule" in reason


@pytest.mark.needs("wrk", "skl2onnx")
def test_what_keys_quotas_and_a_cache_cost_is_measured_without_hits_or_errors() -> None:
    told = output_of("gate.py", "--cells", "iris:1x1", "--pairs", "1", "--seconds", "1", "--patience", "0")
    assert re.search(r"^\| iris:1x1 \| 1 \|.*\| 0 \|$", told, re.MULTILINE)
    assert "0 rows came from the cache" in told


@pytest.mark.needs("wrk", "skl2onnx")
def test_a_shadow_is_asked_in_one_half_of_each_pair() -> None:
    """A busy machine may make a pair void for falling behind its schedule, but never for a wrong answer or sum."""
    done = run("shadow.py", "--pairs", "2", "--seconds", "1", "--tries", "1", "--rate", "300")
    row = r"^\| (\d)(?: \*\*void\*\*)? \| (with|without) \|.*\| (\d+) \| (\d+) \| \d+ \| (\d+) \|$"
    pairs = re.findall(row, done.stdout.replace(",", ""), re.MULTILINE)
    assert [pair[:2] for pair in pairs] == [("1", "without"), ("2", "with")], done.stderr
    for _, _, without, compared, failed in pairs:
        assert (without, int(compared) > 0, failed) == ("0", True, "0"), done.stdout
    assert "**wrong**" not in done.stdout
    assert re.search(r"^- p99 .*, median of \d pairs: ", done.stdout, re.MULTILINE)


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


def test_a_pair_has_a_ratio_and_knows_which_rows_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latencies of 10 ms and of 11 ms; a first second that is slow in both is left out. Of four rows one was lost."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    pairs: Any = importlib.import_module("pairs")
    course, step = importlib.import_module("course"), importlib.import_module("step")

    def half(seconds: float, **rows: int) -> Any:
        due, latency = np.array([0.5, 1.5, 1.6, 2.0]), np.array([9.0, seconds, seconds, seconds])
        seen = course.Course(due, latency, np.array(["200"] * 4), 1.0)
        return pairs.Half(seen, Counter(rows), step.Work(1.0, 0.5, 0.2), 1.5, 1.0, "")

    pair = pairs.Pair(half(0.010), half(0.011, agreed=3, dropped=1), False)
    assert pair.ratio == pytest.approx(1.1)
    assert (pair.shadowed.compared, pair.others, pair.faults()) == (3, 0.1, [])
    assert pairs.Pair(half(0.010, agreed=1), half(0.010, agreed=3), False).faults() == [
        "1 rows went to the shadow while it was off",
        "4 rows were answered, and 3 are accounted for",
    ]
    assert pairs.Spread.of([3.0, 1.0, 2.0, 5.0, 4.0]) == (1.0, 2.0, 3.0, 4.0, 5.0)
