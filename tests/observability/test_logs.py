"""Lines as they arrive in real files and pipes, from threads that must not wait."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import Logs
from penstock.errors import ConfigurationError
from penstock.observability.logs import MOST_LINES, Log, PredictionLine, encode, open_log
from penstock.observability.sink import Sink


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def answered(**fields: Any) -> PredictionLine:
    usual: dict[str, Any] = {
        "request_id": "a1",
        "model": "iris",
        "model_version": "1",
        "status": 200,
        "latency_ms": 0.8,
        "rows": 1,
    }
    return PredictionLine(**usual | fields)


def logged(path: Path, **fields: object) -> dict[str, Any]:
    """One line, as the file at `path` has it."""
    log = open_log(Logs(file=str(path)), "front-0")
    log.info("said", **fields)
    log.close()
    return lines(path)[-1]


class Pipe:
    """A pipe whose reader has not begun, and a log that writes to it."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self.log = Log(Sink(self._write), "front-0")

    def standstill(self) -> None:
        """Fills the pipe, and more."""
        for _ in range(1_000):
            self.log.info("waiting", text="x" * 200)
        time.sleep(0.1)

    def read_all(self) -> list[dict[str, Any]]:
        """Reads until the log is closed."""
        threading.Thread(target=self._end).start()
        with open(self._read) as reader:
            return [json.loads(line) for line in reader]

    def _end(self) -> None:
        self.log.close(10)
        os.close(self._write)

    def abandon(self) -> None:
        os.close(self._read)
        os.close(self._write)


def test_a_line_says_when_who_what_and_how_bad(tmp_path: Path) -> None:
    line = logged(tmp_path / "log", port=8000)
    assert list(line) == ["timestamp", "level", "event", "process", "port"]
    assert (line["level"], line["event"], line["process"], line["port"]) == ("info", "said", "front-0", 8000)
    assert line["timestamp"].endswith("Z")


def test_fields_never_displace_what_every_line_says(tmp_path: Path) -> None:
    line = logged(tmp_path / "log", level="high", process=7)
    assert (line["level"], line["process"], line["level_"], line["process_"]) == ("info", "front-0", "high", 7)


@pytest.mark.parametrize(
    ("status", "level"), [(200, "info"), (404, "warning"), (499, "warning"), (500, "error"), (504, "error")]
)
def test_the_level_of_a_prediction_follows_its_status(status: int, level: str) -> None:
    assert answered(status=status).level == level


def test_a_single_row_says_what_was_predicted_and_a_batch_does_not() -> None:
    single = json.loads(encode(answered(prediction="setosa", confidence=0.97)))
    regressor = json.loads(encode(answered(prediction=1.5, confidence=None)))
    batch = json.loads(encode(answered(rows=4, latency_ms=2.0)))
    assert (single["prediction"], single["confidence"]) == ("setosa", 0.97)
    assert regressor["confidence"] is None
    assert not batch.keys() & {"prediction", "confidence", "code", "detail"}
    assert batch["latency_per_row_ms"] == 0.5


def test_times_are_cut_to_microseconds() -> None:
    line = answered(latency_ms=1.23456789, queue_ms=0.00987654, rows=3)
    assert (line.latency_ms, line.queue_ms, line.latency_per_row_ms) == (1.234, 0.009, 0.411)


@pytest.mark.parametrize("time_ms", [math.nan, math.inf])
def test_a_time_that_is_no_number_is_logged_as_null(time_ms: float) -> None:
    assert json.loads(encode(answered(latency_ms=time_ms)))["latency_ms"] is None


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, None),
        (-math.inf, None),
        (2**70, 2**70),
        ("\ud800", "?"),
        (np.float32(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        (b"\xff", "/w=="),
        ({(1, 2): {3}}, {"(1, 2)": [3]}),
        (Hostile(), "<Hostile>"),
        (Hostile, str(Hostile)),
    ],
)
def test_odd_values_never_raise(value: object, shown: object) -> None:
    assert json.loads(encode({"event": "said", "value": value}))["value"] == shown


def test_a_value_that_holds_itself_is_cut_off() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert "[[[" in json.dumps(json.loads(encode({"event": "said", "value": endless})))


@given(
    st.dictionaries(
        st.text(max_size=9), st.recursive(st.none() | st.floats() | st.text() | st.binary(), st.lists, max_leaves=20)
    )
)
def test_whatever_is_said_becomes_one_line_of_json(fields: dict[str, object]) -> None:
    encoded = encode({"event": "said", **fields})
    assert b"\n" not in encoded
    json.loads(encoded)


def test_no_control_character_reaches_the_file(tmp_path: Path) -> None:
    text = "".join(map(chr, [*range(32), *range(127, 160), 0x2028]))
    line = logged(tmp_path / "log", text=text)
    written = (tmp_path / "log").read_text().removesuffix("\n")
    assert line["text"] == text
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in written)


def test_a_file_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot write the log file"):
        open_log(Logs(file=str(tmp_path)), "front-0")


def chatter(log: Log, times: int) -> None:
    for _ in range(times):
        log.info("said")


@pytest.fixture
def hurried_threads() -> Iterator[None]:
    """The interpreter goes from thread to thread as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hurried_threads")
def test_lines_of_many_threads_all_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.observability.logs.GATHER_S", 0.0)
    log = open_log(Logs(file=str(tmp_path / "log")), "front-0")
    threads = [threading.Thread(target=chatter, args=(log, 2_000)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len(lines(tmp_path / "log")) + log.dropped == 16_000
    assert log.dropped == 0


def test_who_logs_does_not_wait_for_a_pipe_that_nobody_reads() -> None:
    pipe = Pipe()
    pipe.standstill()
    began = time.perf_counter()
    for _ in range(2_000):
        pipe.log.info("said")
    assert time.perf_counter() - began < 0.5
    pipe.log.close(0.05)
    pipe.abandon()


def test_what_a_full_queue_drops_is_counted_and_told_once_the_pipe_flows_again() -> None:
    pipe = Pipe()
    pipe.standstill()
    sent = 1_000 + MOST_LINES + 500
    for _ in range(MOST_LINES + 500):
        pipe.log.write(answered())
    dropped = pipe.log.dropped
    assert dropped > 0
    told = pipe.read_all()
    notices = [line for line in told if line["event"] == "log_lines_dropped"]
    assert len(told) - len(notices) + dropped == sent
    assert sum(line["lines"] for line in notices) == notices[-1]["total"] == dropped


def test_closing_gives_up_a_pipe_that_nobody_reads_and_counts_the_rest() -> None:
    pipe = Pipe()
    pipe.standstill()
    began = time.perf_counter()
    pipe.log.close(0.1)
    assert time.perf_counter() - began < 1
    assert pipe.log.dropped > 500
    pipe.log.info("too late")
    pipe.abandon()


def test_a_reader_that_is_gone_costs_lines_and_nothing_else() -> None:
    pipe = Pipe()
    pipe.abandon()
    pipe.log.info("said")
    pipe.log.close()
    assert pipe.log.dropped == 1


def test_a_full_disk_keeps_nobody_waiting() -> None:
    log = open_log(Logs(file="/dev/full"), "front-0")
    log.info("said")
    began = time.perf_counter()
    log.close(0.2)
    assert time.perf_counter() - began < 1
    assert log.dropped == 1


def test_lines_that_a_full_disk_held_up_arrive_whole_when_there_is_room(tmp_path: Path) -> None:
    program = f"""
import resource, time
from penstock.config import Logs
from penstock.observability.logs import open_log
log = open_log(Logs(file={str(tmp_path / "log")!r}), "front-0")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
for number in range(100):
    log.info("said", number=number)
time.sleep(0.2)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.close(5)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert [line["number"] for line in lines(tmp_path / "log")] == list(range(100))


def test_a_file_that_was_rotated_away_is_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.observability.sink.MOVED_S", 0.0)
    log = open_log(Logs(file=str(tmp_path / "log")), "front-0")
    log.info("before")
    time.sleep(0.1)
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.info("after")
    log.close()
    assert [line["event"] for line in lines(tmp_path / "log.1")] == ["before"]
    assert [line["event"] for line in lines(tmp_path / "log")] == ["after"]


def test_the_lines_of_several_processes_on_one_pipe_are_never_mixed() -> None:
    program = """
import sys
from penstock.config import Logs
from penstock.observability.logs import open_log
log = open_log(Logs(), sys.argv[1])
for number in range(1_000):
    log.info("said", text=sys.argv[1] * (number % 700))
log.close(10)
"""
    shell = " & ".join(f"{sys.executable} -c '{program}' {letter}" for letter in "abc") + "; wait"
    printed = subprocess.run(["bash", "-c", shell], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(printed) == 3_000
    assert {line["process"] for line in map(json.loads, printed)} == {"a", "b", "c"}


@pytest.mark.parametrize(
    "fields", [{"text": "é" * 20_000}, {f"f{i}": "x" * 99 for i in range(200)}, {"v": [0.1] * 9999}]
)
def test_a_line_that_a_pipe_could_tear_is_cut_and_says_so(fields: dict[str, object]) -> None:
    pipe = Pipe()
    pipe.log.info("said", **fields)
    (line,) = pipe.read_all()
    assert line["truncated"] is True
    assert (line["event"], line["process"]) == ("said", "front-0")
    assert len(json.dumps(line, ensure_ascii=False).encode()) < 4_200


def test_what_libraries_log_and_warn_of_becomes_lines(tmp_path: Path) -> None:
    program = f"""
import logging, warnings
from penstock.config import Logs
from penstock.observability.logs import capture_stdlib, open_log
log = open_log(Logs(file={str(tmp_path / "log")!r}), "front-0")
logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler())
capture_stdlib(log)
logging.getLogger("uvicorn.error").error("it %s", "broke")
logging.getLogger("chatty").info("nothing of note")
logging.getLogger("odd").warning("%d", "no number")
warnings.warn("old ways")
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("sums")
log.close()
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    told = lines(tmp_path / "log")
    assert done.stderr == b""
    assert [(line["level"], line["logger"]) for line in told] == [
        ("error", "uvicorn.error"),
        ("warning", "odd"),
        ("warning", "py.warnings"),
        ("error", "root"),
    ]
    assert told[0]["message"] == "it broke"
    assert "ZeroDivisionError" in told[3]["traceback"]


@pytest.mark.needs("jq")
def test_the_questions_of_the_documentation_are_answered_by_real_logs(tmp_path: Path) -> None:
    log = open_log(Logs(file=str(tmp_path / "service.log")), "front-0")
    for number in range(100):
        log.write(answered(request_id=f"a{number}", latency_ms=float(number), prediction="x", confidence=number / 100))
    log.write(answered(request_id="b", rows=9, latency_ms=100.0))
    log.write(answered(request_id="c", status=503, code="queue_full", latency_ms=101.0))
    log.info("listening", url="http://127.0.0.1:8000")
    log.close()
    percentiles, unsure, wrong = (ask(question, tmp_path) for question in questions())
    assert percentiles == [{"p50": 51.0, "p95": 96.0, "p99": 100.0}]
    assert unsure == [[f"a{number}", "x", number / 100] for number in range(50)]
    assert wrong == [["prediction", "c", "queue_full"]]


def questions() -> list[str]:
    page = Path(__file__).parents[2] / "docs" / "logs.md"
    return [line.removeprefix("$ ") for line in page.read_text().splitlines() if line.startswith("$ jq ")]


def ask(question: str, folder: Path) -> list[Any]:
    """What jq answers, line by line."""
    done = subprocess.run(["bash", "-c", question], cwd=folder, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
