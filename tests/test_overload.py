"""The open load waits for nobody, knows when it failed, and its sums are right."""

import importlib
import select
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
PREDICTED = b'HTTP/1.1 200 OK\r\ncontent-length: 36\r\n\r\n{"prediction":%d,"confidence":null}'
REFUSED = b'HTTP/1.1 503 Service Unavailable\r\n%scontent-length: 21\r\n\r\n{"code":"queue_full"}'

Module = Callable[[str], Any]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Module:
    """Imports a file of the benchmarks."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@contextmanager
def stubborn_server(connections: int, requests: int) -> Iterator[int]:
    """A server, on the port that is told, that answers no request until so many have come, and then each in two pieces.

    It takes so many connections, each of which is greeted at once.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            held = [stack.enter_context(greeted(listener)) for _ in range(connections)]
            asked: list[socket.socket] = []
            with suppress(ConnectionResetError):  # whoever asked has given up
                while len(asked) < requests:
                    for sock in select.select(held, [], [])[0]:
                        sock.recv(4096)
                        asked.append(sock)
                for part in (HELLO[:30], HELLO[30:]):
                    for sock in asked:
                        sock.sendall(part)

        thread = Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


def greeted(listener: socket.socket) -> socket.socket:
    sock, _ = listener.accept()
    sock.recv(4096)
    sock.sendall(HELLO)
    return sock


@pytest.mark.parametrize("load", ["Load", "SharingLoad"])
def test_no_arrival_waits_for_an_earlier_answer(module: Module, load: str) -> None:
    """The server answers the first request once it has the last: whoever waits for an answer sends no second one."""
    due = np.linspace(0, 0.1, 30)
    with stubborn_server(30, 30) as port, module("connections").Connections(port, 30) as connections:
        record = getattr(module("openloop"), load)(connections, [b"one", b"two"], due).run()
    assert record.sent.max() < record.done.min()
    assert (record.sent >= due).all()
    assert record.answers == [HELLO] * 30


def test_an_arrival_that_finds_no_free_connection_is_behind(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("openloop"), "GRACE_S", 0.1)
    with stubborn_server(10, 11) as port, module("connections").Connections(port, 10) as connections:
        record = module("openloop").Load(connections, [b"one"], np.linspace(0, 0.1, 20)).run()
    assert np.isnan(record.sent).tolist() == [False] * 10 + [True] * 10
    assert np.isnan(record.done).all()
    assert "50.0% found no free connection" in record.behind


def test_a_run_is_void_when_a_twentieth_left_late_or_a_thousandth_never(module: Module) -> None:
    """Of 1000 arrivals 49 are 6 ms late and 1 is never sent: that is still in order; one more of either is not."""
    due = np.zeros(1000)
    sent = np.array([np.nan] + [0.006] * 49 + [0.001] * 950)
    record = module("openloop").Record
    assert record(due, sent, sent, []).behind == ""
    sent[50] = 0.006
    assert record(due, sent, sent, []).behind.startswith("5.1% behind schedule (0.1% found no free connection")
    sent[:] = [np.nan] * 2 + [0.001] * 998
    assert record(due, sent, sent, []).behind.startswith("0.2% behind schedule (0.2% found no free connection")


def test_arrivals_are_poisson_and_the_same_for_the_same_seed(module: Module) -> None:
    """Of 10,000 expected ones there are 10,000 ± 5 √10,000, and gaps vary as much as they last."""
    arrivals = module("openloop").arrivals
    due = arrivals(1000, 10, seed=1)
    gaps = np.diff(due)
    assert abs(len(due) - 10_000) < 500
    assert due[-1] < 10
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.1)
    assert (due == arrivals(1000, 10, seed=1)).all()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (PREDICTED % 3, "200"),
        (PREDICTED % 4, "wrong"),
        (REFUSED % b"retry-after: 1\r\n", "503 queue_full"),
        (REFUSED % b"", "wrong"),
        (b'HTTP/1.1 504 Gateway Timeout\r\n\r\n{"code":"deadline_exceeded"}', "504 deadline_exceeded"),
        (b"", "unanswered"),
    ],
)
def test_an_answer_is_right_only_for_the_row_that_asked(module: Module, answer: bytes, outcome: str) -> None:
    asked = module("asked")
    questions = asked.Asked.of(asked.sleeper(), 1000)
    assert questions.outcome(3 + len(questions.requests), answer) == outcome


def course_of(module: Module, *answers: tuple[float, float, str], deadline_s: float = 1.0) -> Any:
    """Of (due, latency, outcome)."""
    due, latency, outcomes = zip(*answers, strict=True)
    return module("course").Course(np.array(due), np.array(latency), np.array(outcomes), deadline_s)


def test_only_right_answers_within_their_deadline_are_good(module: Module) -> None:
    """Of six one is not sent and one refused; four are admitted, and one of these is answered in time: 3/4 are late."""
    late, never = (0.1, 1.1, "200"), (0.4, np.nan, "unanswered")
    expired, refused = (0.2, 1.0, "504 deadline_exceeded"), (0.3, 0.01, "503 queue_full")
    course = course_of(module, (0.0, 0.9, "200"), late, expired, refused, never, (0.5, np.nan, "unsent"))
    assert (course.good, course.late) == (1, 0.75)
    assert course.faults() == ["1 unanswered"]
    latencies = module("course").Latencies.of(course.latency[course.admitted])
    assert latencies == (1100, np.inf)


def test_it_is_calm_when_a_whole_second_is_as_before(module: Module) -> None:
    """The last refusal is due half a second after the drop, and until then all take three times as long."""
    before = [(due, 0.03, "503 queue_full" if due > 1.49 else "200") for due in np.arange(0, 1.5, 0.01)]
    after = [(due, 0.01, "200") for due in np.arange(1.5, 5, 0.01)]
    course = course_of(module, *before, *after)
    assert course.calm_after(1.0, 10) == pytest.approx(0.5)
    assert course.calm_after(1.0, 5) is None


def test_a_refusal_costs_what_predictions_do_not(module: Module) -> None:
    """100 and 200 predictions a second take the front 0.3 and 0.4 cores: 1 ms each, and 0.2 for nothing. With 100
    predictions and 1,000 refusals it takes 0.35, so 0.05 / 1,000 s are left for a refusal.
    """
    step, results = module("step"), module("results")

    def ten_seconds(predicted_s: int, refused_s: int, cores: float) -> Any:
        outcomes = np.array(["200"] * 10 * predicted_s + ["503 queue_full"] * 10 * refused_s)
        due = np.linspace(0, 10, len(outcomes))
        course = module("course").Course(due, np.zeros(len(due)), outcomes, 1.0)
        return step.Step(course, (0.0, 0.0), step.Work(20 * cores, 10 * cores, 0.0), {}, [])

    steps = {0.5: ten_seconds(100, 0, 0.3), 0.8: ten_seconds(200, 0, 0.4), 2.0: ten_seconds(100, 1000, 0.35)}
    measured = results.Results(results.Case("sleeper", 1000), 250, 1.0, steps, steps[0.5])
    assert measured.refusal_us(2.0) == pytest.approx(50)
    assert np.isnan(measured.refusal_us(0.5))


def test_a_run_is_void_when_the_server_counted_otherwise(module: Module) -> None:
    record = module("openloop").Record(*np.zeros((3, 3)), [PREDICTED % 3, PREDICTED % 4, REFUSED % b""])
    mismatch = module("step").mismatch
    assert mismatch(record, Counter({200: 2, 503: 1})) == []
    assert mismatch(record, Counter({200: 2})) == ["the server counted {200: 2}, and {200: 2, 503: 1} came"]
