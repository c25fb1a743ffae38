"""More than can be answered: who cannot be answered in time is told so at once, and the model never hears of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.acceptance.behaving import HOLD, SLEEP
from tests.acceptance.driver import penstock, serving
from tests.acceptance.test_hosts import Asking
from tests.acceptance.test_statuses import assert_error, until_called, until_queued


def test_who_cannot_be_answered_in_time_is_refused_at_once(behaving: Callable[[], Any], tmp_path: Path) -> None:
    _, arguments, record = behaving()
    with serving(*arguments, cwd=tmp_path) as service:
        assert service.get("/models/behaving").body["versions"][0]["capacity"] is None
        for name in (101, 102):
            service.predict(SLEEP, name)
        capacity = service.get("/models/behaving").body["versions"][0]["capacity"]
        assert 500 <= capacity["batch_ms"] < 2000
        assert capacity["rows_per_second"] == round(1000 / capacity["batch_ms"], 1)
        holding = Asking(service, HOLD, 103)
        until_called(record, "103")
        refused = service.predict(0, 104, x_request_timeout_ms="400")
        assert_error(refused, 503)
        assert (refused.body["code"], refused.headers["retry-after"]) == ("wait_too_long", "1")
        patient = Asking(service, 0, 105)
        until_queued(service, 1)
        record.with_name("release").touch()
        assert {holding.wait().status, patient.wait().status} == {200}
        assert "104" not in record.read_text().split()
        figures = service.get("/metrics").body.decode()
        assert (
            'penstock_errors_total{code="wait_too_long",model="behaving",route="/predict",version="1"} 1.0' in figures
        )


def test_low_priority_gives_way_where_that_is_configured(behaving: Callable[[], Any], tmp_path: Path) -> None:
    _, arguments, record = behaving()
    with serving(*arguments, "--queue-rows", "2", "--queue-priority", "header", cwd=tmp_path) as service:
        holding = Asking(service, HOLD, 101)
        until_called(record, "101")
        early = Asking(service, 0, 102)
        until_queued(service, 1)
        late = Asking(service, 0, 103, x_priority="low")
        until_queued(service, 2)
        urgent = Asking(service, 0, 104, x_priority="high")
        assert_error(late.wait(), 503)
        assert late.wait().body["code"] == "gave_way"
        assert_error(service.predict(0, 105), 503)
        assert_error(service.predict(0, 106, x_priority="urgent"), 400)
        record.with_name("release").touch()
        assert [each.wait().status for each in (holding, early, urgent)] == [200, 200, 200]
        assert {"103", "105", "106"}.isdisjoint(record.read_text().split())
        left = 'penstock_queue_left_total{model="behaving",reason="gave_way",version="1"} 1.0'
        assert left in service.get("/metrics").body.decode()


def test_a_key_of_high_priority_passes_those_of_low_ones(behaving: Callable[[], Any], tmp_path: Path) -> None:
    """Whatever their headers say; in a full queue the latest of the others gives way to it."""
    _, arguments, record = behaving()
    keys = {
        name: penstock("key", "new", name, *said, cwd=tmp_path).stdout.strip()
        for name, said in {"shop": ("--priority", "high"), "batch": ("--priority", "low"), "any": ()}.items()
    }
    with (tmp_path / "penstock.keys").open("a") as file:
        file.write("anonymous: {rights: [read]}\n")  # who looks at the figures
    limits = ("--queue-rows", "2", "--max-rows", "1", "--queue-priority", "key", "--keys", "penstock.keys")
    with serving(*arguments, *limits, cwd=tmp_path) as service:
        holding = Asking(service, HOLD, 101, x_api_key=keys["any"])
        until_called(record, "101")
        early = Asking(service, 0, 102, x_api_key=keys["batch"], x_priority="high")
        until_queued(service, 1)
        late = Asking(service, 0, 103, x_api_key=keys["any"], x_priority="high")
        until_queued(service, 2)
        urgent = Asking(service, 0, 104, x_api_key=keys["shop"], x_priority="low")
        assert_error(late.wait(), 503)
        assert late.wait().body["code"] == "gave_way"
        record.with_name("release").touch()
        assert [each.wait().status for each in (holding, early, urgent)] == [200, 200, 200]
        asked = [name for name in record.read_text().split() if name in ("101", "102", "103", "104")]
        assert asked == ["101", "104", "102"]
