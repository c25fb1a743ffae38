"""Several versions of a model in one service: which are loaded, who gets which, and how they come and go."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.driver import Service, serving, wait_until
from tests.acceptance.numbered import constant, publish


def told_of(service: Service, name: str = "m") -> dict[str, Any]:
    body: dict[str, Any] = service.get(f"/models/{name}").body
    return body


def states(service: Service, name: str = "m") -> dict[str, str]:
    return {version["version"]: version["state"] for version in told_of(service, name)["versions"]}


def everywhere(holds: Callable[[], bool], service: Service) -> None:
    """Waits until it holds of whichever front takes the connection: of so many, each takes some."""
    wait_until(lambda: all(holds() for _ in range(40)), "all fronts to follow", service.explain)


def answer(service: Service, query: str = "", **headers: str) -> tuple[float, str]:
    """What is predicted, and by which version by its own word."""
    reply = service.predict(0.0, path=f"/predict{query}", **headers)
    assert reply.status == 200, reply.body
    return reply.body["prediction"], reply.body["model_version"]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A model with three versions, each of which answers with its number."""
    for version in ("1", "2", "10"):
        publish(tmp_path / "m", version)
    return tmp_path / "m"


@pytest.fixture
def configured(shelf: Path) -> Callable[[str], list[str | Path]]:
    """Writes the settings of the model, and returns what serves it with them."""

    def write(settings: str) -> list[str | Path]:
        file = shelf.parent / "penstock.yaml"
        file.write_text(f"models: {{m: {{path: m, compile: off, {settings}}}}}\n")
        return [file]

    return write


Configured = Callable[[str], list[str | Path]]


def test_the_newest_answers_and_the_others_are_there_to_be_loaded(shelf: Path) -> None:
    with serving(shelf, cwd=shelf.parent) as service:
        assert answer(service) == (10.0, "10")
        assert states(service) == {"1": "available", "2": "available", "10": "ready"}
        refused = service.predict(0.0, path="/predict?model_version=1")
        assert (refused.status, refused.body["code"]) == (404, "unknown_version")
        assert refused.body["detail"] == "That version of m is not loaded. Versions: 10."


def test_every_loaded_version_answers_who_names_it_or_its_label(configured: Configured, tmp_path: Path) -> None:
    arguments = configured("load: all, route: {default: 2, canary: {version: 10}}")
    with serving(*arguments, cwd=tmp_path) as service:
        assert answer(service) == (2.0, "2")
        wait_until(lambda: set(states(service).values()) == {"ready"}, "all to be loaded", service.explain)
        assert answer(service, "?model_version=1") == (1.0, "1")
        assert answer(service, X_Model_Version="10") == (10.0, "10")
        assert answer(service, "?model_version=stable") == (2.0, "2")
        assert answer(service, "?model_version=canary") == (10.0, "10")
        assert told_of(service)["route"] == {
            "default": "2",
            "wanted": "2",
            "tolerance": 0.01,
            "canary": {"version": "10", "percent": 0.0},
        }


def test_a_canary_gets_its_share_and_a_client_always_the_same(configured: Configured, tmp_path: Path) -> None:
    arguments = configured("route: {default: 2, canary: {version: 10, percent: 25, sticky: X-User-ID}}")
    with serving(*arguments, "--workers", "2", cwd=tmp_path) as service:
        everywhere(lambda: states(service)["10"] == "ready", service)
        first = [answer(service, X_User_ID=f"user-{i}") for i in range(400)]
        assert [answer(service, X_User_ID=f"user-{i}") for i in range(400)] == first
        shares = Counter(first)
        assert shares.keys() == {(2.0, "2"), (10.0, "10")}
        assert 60 <= shares[10.0, "10"] <= 140  # of 400 with p = 1/4: 100 and less than five deviations
        expected = {"2": 2 * shares[2.0, "2"], "10": 2 * shares[10.0, "10"]}
        counted = {"route": "/predict", "status": "200"}
        wait_until(lambda: metric(service, "penstock_requests_total", **counted) == expected, "all to be counted")


def metric(service: Service, name: str, **labels: str) -> dict[str, float]:
    """The values of a metric by version, with these labels."""
    from prometheus_client.parser import text_string_to_metric_families

    text = service.get("/metrics").body.decode()
    return {
        sample.labels["version"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    }


# ------------------------------------------------------------------ as they come and go
@pytest.fixture
def running(shelf: Path) -> Iterator[Service]:
    with serving(shelf, cwd=shelf.parent) as service:
        yield service


def test_a_new_version_takes_the_traffic_once_it_has_passed_and_the_old_one_ends(running: Service, shelf: Path) -> None:
    publish(shelf, "11")
    wait_until(
        lambda: states(running) == {"1": "available", "2": "available", "10": "available", "11": "ready"},
        "the new version to serve",
    )
    assert answer(running) == (11.0, "11")
    switched = running.wait_for("version_switched")
    assert (switched["version"], switched["before"]) == ("11", "10")
    assert running.wait_for("version_unloaded")["version"] == "10"
    assert metric(running, "penstock_hosts_live") == {"11": 1}


def test_a_broken_version_is_told_of_and_the_old_one_serves_on(running: Service, shelf: Path) -> None:
    (shelf / ".12").mkdir()
    (shelf / ".12" / "model.onnx").write_bytes(constant(12.0)[:100])
    (shelf / ".12").rename(shelf / "12")
    wait_until(lambda: states(running).get("12") == "refused", "the broken one to be refused")
    assert answer(running) == (10.0, "10")
    assert metric(running, "penstock_model_refusals_total") == {"12": 1}
    assert running.get("/ready").status == 200
    reason = next(version["reason"] for version in told_of(running)["versions"] if version["version"] == "12")
    assert reason == running.wait_for("model_refused")["reason"].replace(f"{shelf}/", "")
    (shelf / "12" / "model.onnx").write_bytes(constant(12.0))
    wait_until(lambda: states(running)["12"] == "ready", "the mended one to serve")
    assert answer(running) == (12.0, "12")


def test_a_new_version_is_compared_and_one_that_clients_would_notice_is_held(running: Service, shelf: Path) -> None:
    example = [{"features": [0.0], "prediction": 10.0}]
    publish(shelf, "11", 11.0, {"examples.json": json.dumps([{**example[0], "prediction": 11.0}])})
    wait_until(lambda: answer(running) == (11.0, "11"), "the new version", running.explain)
    assert running.wait_for("version_compared")["examples"] == 0, "the one before has none"
    publish(shelf, "12", 12.0)
    told = running.wait_for("version_compared", lambda line: line["version"] == "12")
    assert (told["with_version"], told["examples"], told["differing"], told["unanswered"]) == ("11", 1, 1, 0)
    publish(shelf, "13", 13.0, width=2)
    assert running.wait_for("version_held")["reason"].startswith("it takes 2 features and not 1")
    assert answer(running) == (12.0, "12")
    held = next(version for version in told_of(running)["versions"] if version["version"] == "13")
    assert (held["state"], held["held"]) == ("ready", running.wait_for("version_held")["reason"])


def test_what_is_loaded_serves_on_whatever_becomes_of_its_files(running: Service, shelf: Path) -> None:
    (shelf / "10" / "model.onnx").write_bytes(constant(99.0))
    running.wait_for("version_touched")
    assert answer(running) == (10.0, "10")
    (shelf / "10" / "model.onnx").unlink()
    (shelf / "10").rmdir()
    wait_until(lambda: states(running) == {"1": "available", "2": "ready"}, "an older one to serve")
    assert answer(running) == (2.0, "2")


def test_a_changed_route_is_taken_over_and_one_that_cannot_be_read_is_not(
    configured: Configured, tmp_path: Path
) -> None:
    arguments = configured("load: {latest: 2}, route: {shadow: {version: 77}}")
    with serving(*arguments, cwd=tmp_path) as service:
        assert service.wait_for("version_missing")["setting"] == "route.shadow.version"
        assert answer(service) == (10.0, "10")
        configured("load: {latest: 2}, route: {default: 2}")
        wait_until(lambda: answer(service) == (2.0, "2"), "the changed route")
        configured("load: {latest: two}")
        assert "expected latest: N, all, or a list" in service.wait_for("reload_refused")["reason"]
        assert answer(service) == (2.0, "2")
        configured("load: {latest: 2}, route: {default: 2, canary: {version: latest, percent: 50}}")
        wait_until(lambda: len(service.lines("reload_refused")) == 2, "the canary to be refused", service.explain)
        assert "'latest' is a label, and no version" in service.lines("reload_refused")[-1]["reason"]
        configured("load: {latest: 2}, route: {default: 7}, replicas: 2")
        wait_until(
            lambda: len(service.lines("version_missing")) == 2, "the missing version to be told", service.explain
        )
        assert service.lines("version_missing")[-1]["setting"] == "route.default"
        assert service.wait_for("restart_needed")["settings"] == ["models.m.replicas"]
        assert answer(service) == (2.0, "2")


def test_an_empty_configuration_takes_nothing_away(configured: Configured, tmp_path: Path) -> None:
    with serving(*configured("load: {latest: 1}"), cwd=tmp_path) as service:
        (tmp_path / "penstock.yaml").write_text("")
        assert "nothing is named any more" in service.wait_for("reload_refused")["reason"]
        assert answer(service) == (10.0, "10")


def test_a_file_that_strays_among_the_versions_takes_nothing_away(running: Service, shelf: Path) -> None:
    (shelf / "stray.onnx").write_bytes(constant(99.0))
    publish(shelf, "11")
    wait_until(lambda: answer(running) == (11.0, "11"), "the new version", running.explain)
    (shelf / "latest").mkdir()
    (shelf / "latest" / "model.onnx").write_bytes(constant(99.0))
    assert "'latest' is a label" in running.wait_for("reload_noticed", lambda line: "label" in line["detail"])["detail"]
    assert answer(running) == (11.0, "11")


def test_whatever_is_put_among_the_versions_it_stays_one_model(running: Service, shelf: Path) -> None:
    (shelf / "backup").mkdir()
    (shelf / "newest").symlink_to("10")
    (shelf / "outside").symlink_to("/usr")
    wait_until(lambda: "backup" in states(running), "the directory to be seen", running.explain)
    assert answer(running) == (10.0, "10")
    assert [model["name"] for model in running.get("/models").body["models"]] == ["m"]


def test_what_is_put_into_a_repository_takes_no_model_away(shelf: Path) -> None:
    folder = shelf.parent
    with serving(folder, cwd=folder.parent) as service:
        (folder / "stray.onnx").write_bytes(constant(99.0))
        publish(shelf, "11")
        wait_until(lambda: answer(service) == (11.0, "11"), "the new version", service.explain)


def test_while_the_only_version_is_exchanged_it_serves_on(tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    with serving(tmp_path / "m", cwd=tmp_path) as service:
        (tmp_path / "m" / "2").mkdir()
        (tmp_path / "m" / "1" / "model.onnx").unlink()
        (tmp_path / "m" / "1").rmdir()
        for i in range(6):  # of a copy that takes its time
            (tmp_path / "m" / "2" / f"part-{i}").write_text("x")
            assert answer(service) == (1.0, "1")
            time.sleep(0.5)
        (tmp_path / "m" / "2" / "model.onnx").write_bytes(constant(2.0))
        wait_until(lambda: answer(service) == (2.0, "2"), "the new version", service.explain)


def test_models_come_and_go(shelf: Path) -> None:
    folder = shelf.parent
    with serving(folder, cwd=folder.parent) as service:
        assert service.predict(0.0, path="/predict").status == 200
        publish(folder / "other", "1")
        wait_until(
            lambda: service.get("/models/other").status == 200 and states(service, "other") == {"1": "ready"},
            "the model to come",
        )
        assert service.predict(0.0, path="/predict").status == 404  # of two models, which?
        assert service.predict(0.0, path="/models/other/predict").body["prediction"] == 1.0
        (folder / "m").rename(folder / ".m")
        wait_until(lambda: service.get("/models/m").status == 404, "the model to go")
        assert json.dumps(service.predict(0.0, path="/predict").body["model"]) == '"other"'
        wait_until(lambda: len(service.lines("version_unloaded")) == 1, "its version to be unloaded")


def test_a_broken_model_that_comes_later_makes_no_new_front_unready(shelf: Path) -> None:
    folder = shelf.parent
    with serving(folder, "--drain-linger-s", "0", cwd=folder.parent) as service:
        publish(folder / "broken", "1", 1.0)
        wait_until(lambda: service.get("/models/broken").status == 200, "the new model", service.explain)
        (folder / "worse" / "1").mkdir(parents=True)
        (folder / "worse" / "1" / "model.onnx").write_bytes(b"nonsense")
        service.wait_for("model_refused")
        front = service.processes("front")
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("fronts_rolled")
        wait_until(lambda: set(service.processes("front")).isdisjoint(front), "a new front", service.explain)
        assert service.get("/ready").status == 200
        assert service.get("/models/worse/ready").status == 503
