"""What is expected of a wait comes true, within a batch, where the model goes as it went."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.inference.forecast import LEAST_LEFT, Capacity, Forecast
from penstock.testing import ManualTimer

MOST = 16


class Model:
    """Takes so many seconds for a batch and for each row, and so long on the way there and back."""

    def __init__(self, batch_s: float, row_s: float, way_s: float) -> None:
        self.batch_s = batch_s
        self.row_s = row_s
        self.way_s = way_s

    def seconds(self, rows: int) -> float:
        return self.batch_s + self.row_s * rows

    def turnaround_s(self, rows: int) -> float:
        return self.seconds(rows) + self.way_s

    def forecast(self) -> Forecast:
        """What is known after a batch of one row, a full one and one between."""
        made = Forecast(MOST)
        for rows in (1, MOST, MOST // 2):
            made.answered(rows, self.seconds(rows), self.turnaround_s(rows), 0.0)
        return made


class Greedy:
    """Hosts of a model that take whatever waits, each as soon as it is done, in time that is moved by hand."""

    def __init__(self, model: Model, held: list[int], requests: list[int]) -> None:
        self.timer = ManualTimer()
        self.answered_s = 0.0
        """When the last of the requests was answered."""
        self._model = model
        self._waiting = list(requests)
        for rows in held:
            self.timer.call_later(model.turnaround_s(rows), self._next)

    def _next(self) -> None:
        rows = 0
        while self._waiting and (not rows or rows + self._waiting[0] <= MOST):
            rows += self._waiting.pop(0)
        if rows:
            done_in_s = self._model.turnaround_s(rows)
            if not self._waiting:
                self.answered_s = self.timer.time() + done_in_s
            self.timer.call_later(done_in_s, self._next)

    def run(self) -> float:
        self.timer.advance(1e6)
        return self.answered_s


MODELS = st.builds(Model, st.floats(1e-4, 0.1), st.floats(0, 0.01), st.floats(0, 0.01))
HELD = st.lists(st.integers(1, MOST), min_size=1, max_size=3)
"""The rows that each of the hosts is computing."""


def expected_s(model: Model, held: list[int], ahead: int, own: int = 1) -> float:
    free_in_s = min([model.turnaround_s(each) for each in held])
    return model.forecast().answer_s(ahead, own, most=MOST, hosts=len(held), free_in_s=free_in_s)


@given(MODELS, HELD, st.integers(1, 200))
@settings(max_examples=200)
def test_the_last_of_many_rows_is_answered_when_it_is_expected_to_within_a_batch(
    model: Model, held: list[int], rows: int
) -> None:
    actual = Greedy(model, held, [1] * rows).run()
    assert abs(expected_s(model, held, rows - 1) - actual) <= model.turnaround_s(MOST) + 1e-6


@given(MODELS, st.integers(1, MOST), st.integers(1, 200))
def test_with_one_host_it_is_answered_to_the_moment(model: Model, held: int, rows: int) -> None:
    actual = Greedy(model, [held], [1] * rows).run()
    assert expected_s(model, [held], rows - 1) == pytest.approx(actual, rel=1e-6)


@given(MODELS, st.integers(1, MOST), st.integers(0, 200), st.integers(MOST + 1, 1000))
def test_a_request_larger_than_a_batch_is_one_batch_after_the_others(
    model: Model, held: int, ahead: int, own: int
) -> None:
    actual = Greedy(model, [held], [1] * ahead + [own]).run()
    assert expected_s(model, [held], ahead, own) == pytest.approx(actual, rel=1e-6)


@given(MODELS, HELD, st.lists(st.integers(1, MOST), min_size=1, max_size=60))
@settings(max_examples=200)
def test_requests_that_do_not_fit_together_are_answered_later_than_expected_but_not_sooner(
    model: Model, held: list[int], requests: list[int]
) -> None:
    """Nobody is refused who would have been answered in time, but for a batch."""
    actual = Greedy(model, held, requests).run()
    assert expected_s(model, held, sum(requests[:-1]), requests[-1]) <= actual + model.turnaround_s(MOST) + 1e-6


def test_nothing_is_expected_of_a_model_that_has_not_answered_yet() -> None:
    forecast = Forecast(MOST)
    forecast.lagged(0.5)
    assert forecast.answer_s(999, 1, most=MOST, hosts=1, free_in_s=3.0) == 0.0
    assert forecast.capacity(2) is None
    assert forecast.full_s == 0.0


def known(hurried: float = 0.0) -> Forecast:
    """Of a model that takes 20 ms for any batch, of which so many rows were of high priority."""
    forecast = Forecast(MOST)
    forecast.answered(MOST, 0.02, 0.02, hurried)
    return forecast


def wait_s(forecast: Forecast, rows: int, *, hosts: int = 1, apart: int = 0, high: bool = False) -> float:
    return forecast.answer_s(rows - 1, 1, most=MOST, hosts=hosts, free_in_s=0.0, apart=apart, high=high)


def test_what_goes_by_itself_takes_a_batch_each() -> None:
    assert wait_s(known(), 5, apart=4) == pytest.approx(0.1)
    assert wait_s(known(), 5, apart=4, hosts=2) == pytest.approx(0.06)
    assert wait_s(known(), 4 + 2 * MOST, apart=4) == pytest.approx(0.12)


def test_the_client_has_waited_already_as_long_as_the_loop_was_busy() -> None:
    forecast = known()
    forecast.lagged(0.003)
    assert wait_s(forecast, 1) == pytest.approx(0.023)


def test_what_passes_beside_the_model_is_part_of_every_batch() -> None:
    forecast = Forecast(MOST)
    forecast.answered(MOST, 0.02, 0.025, 0.0)
    assert wait_s(forecast, 3 * MOST) == pytest.approx(0.075)


def test_a_turnaround_that_seems_shorter_than_the_model_took_is_no_gain() -> None:
    forecast = Forecast(MOST)
    forecast.answered(MOST, 0.02, 0.0, 0.0)
    assert wait_s(forecast, MOST) == pytest.approx(0.02)


@pytest.mark.parametrize(("hurried", "times"), [(0.0, 1.0), (0.5, 2.0), (0.75, 4.0), (1.0, 1 / LEAST_LEFT)])
def test_the_others_wait_for_the_share_of_batches_that_the_urgent_leave_them(hurried: float, times: float) -> None:
    assert wait_s(known(hurried), MOST) == pytest.approx(0.02 * times)
    assert wait_s(known(hurried), MOST, high=True) == pytest.approx(0.02)
    assert known(hurried).full_s == pytest.approx(0.02 * times)


@given(st.lists(st.tuples(st.integers(1, MOST), st.floats(1e-4, 1.0), st.floats(0, 2.0), st.floats(0, 1)), min_size=1))
def test_a_full_batch_takes_what_is_expected_of_one_behind_the_urgent(
    batches: list[tuple[int, float, float, float]],
) -> None:
    """Which is what requests with time enough are measured by, without looking closer."""
    forecast = Forecast(MOST)
    for batch in batches:
        forecast.answered(*batch)
    assert forecast.full_s == pytest.approx(wait_s(forecast, MOST))
    assert forecast.full_s >= wait_s(forecast, 1) > 0.0


def test_capacity_is_that_of_all_hosts_at_batches_of_the_usual_size() -> None:
    forecast = Forecast(MOST)
    for rows in (4, 12):
        forecast.answered(rows, rows / 1000 + 0.002, 1.0, 0.0)
    assert forecast.capacity(3) == Capacity(rows_per_second=2400.0, batch_rows=8.0, batch_ms=10.0)


def test_a_host_less_has_no_capacity() -> None:
    capacity = known().capacity(0)
    assert capacity is not None
    assert capacity.rows_per_second == 0.0


def test_what_was_held_up_once_does_not_shut_out_the_usual_load() -> None:
    forecast = Forecast(32)
    for _ in range(20):
        forecast.answered(32, 0.020, 0.021, 0.0)
    forecast.answered(32, 5.0, 5.0, 0.0)
    assert forecast.batch_s(32) < 0.06
    assert forecast.margin_s < 0.01


def test_a_model_that_has_become_a_hundred_times_slower_is_believed_within_sixteen_batches() -> None:
    forecast = Forecast(32)
    for _ in range(20):
        forecast.answered(32, 0.020, 0.021, 0.0)
    for _ in range(16):
        forecast.answered(32, 2.0, 2.0, 0.0)
    assert forecast.batch_s(32) > 1.0
