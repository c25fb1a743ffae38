"""What a model does to a batch stays with that batch: errors, nonsense and numbers that are none."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.host.driver import Front, HostProcess, artifact, declared

MODEL = """
import numpy as np

class Model:
    '''Does what the first number of its input says.'''

    def predict(self, rows):
        order = int(rows[-1, 0])
        if order == 1: raise ValueError("the turbine\\nis dry")
        if order == 2: return np.full(len(rows), np.nan)
        if order == 3: return np.zeros(len(rows) + 1)
        if order == 4: return ["no", "numbers"] * len(rows)
        if order == 5: raise SystemExit(3)
        if order == 6: return np.where(rows[:, 1] < 0, np.inf, rows[:, 1])
        if order == 7: return np.zeros((len(rows), 2))
        if order == 8: return np.full(len(rows), 1e308)
        return rows[:, 1] * 2.0
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostProcess]:
    """A host of a model that misbehaves on demand."""
    import pickle
    import sys
    import types

    (tmp_path / "orders.py").write_text(MODEL)
    module = types.ModuleType("orders")
    exec(MODEL, module.__dict__)
    sys.modules["orders"] = module
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(module.Model()))
    del sys.modules["orders"]
    said = {"code": (str(tmp_path / "orders.py"),), "inputs": declared("f0", "f1")}
    with HostProcess(artifact(tmp_path / "model.pkl", **said)) as running:
        running.loaded()
        yield running


def works(front: Front) -> bool:
    return bool(front.ask(np.array([[0.0, 21.0]]))[0] == [42.0])


def test_a_batch_that_nobody_waits_for_any_more_is_not_computed(host: HostProcess) -> None:
    front = host.front()
    front.send(np.full((2, 2), 1.0), expires=time.monotonic())
    answer, columns = front.receive()
    assert (answer.expired, answer.error, answer.seconds, columns) == (True, None, 0.0, [])
    assert "Traceback" not in host.words()
    front.send(np.array([[0.0, 21.0]]), expires=time.monotonic() + 60)
    assert front.receive()[1][0] == [42.0]


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (1.0, "ValueError: the turbine is dry"),
        (3.0, "shape (3,) where (2,) was expected"),
        (4.0, "shape (4,) where (2,) was expected"),
        (5.0, "SystemExit: 3"),
        (7.0, "shape (2, 2) where (2,) was expected"),
    ],
)
def test_a_model_that_fails_answers_with_an_error_and_lives_on(order: float, error: str, host: HostProcess) -> None:
    front = host.front()
    answer, columns = front.answer(np.full((2, 2), order))
    assert error in (answer.error or "")
    assert columns == []
    assert "Traceback" in host.words()
    assert works(front)


def test_rows_that_are_not_finite_are_named_and_the_others_served(host: HostProcess) -> None:
    front = host.front()
    answer, (values,) = front.answer(np.array([[6.0, 1.0], [6.0, -1.0], [6.0, 3.0], [6.0, -2.0]]))
    assert answer.failed == (1, 3)
    assert values[[0, 2]].tolist() == [1.0, 3.0]
    assert front.answer(np.full((3, 2), 2.0))[0].failed == (0, 1, 2)


def test_finite_numbers_whose_sum_is_not_are_finite(host: HostProcess) -> None:
    answer, (values,) = host.front().answer(np.full((64, 2), 8.0))
    assert answer.failed == ()
    assert values.tolist() == [1e308] * 64


def test_a_model_that_answers_text_where_numbers_were_is_wrong(host: HostProcess) -> None:
    answer, _ = host.front().answer(np.full((1, 2), 4.0))
    assert "prediction" in (answer.error or "")


def test_the_seconds_are_those_of_the_model(host: HostProcess) -> None:
    answer, _ = host.front().answer(np.zeros((1, 2)))
    assert 0 < answer.seconds < 0.1
