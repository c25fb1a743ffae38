"""New versions beside the one that has the traffic: asked the same and compared, or tried and sent away."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.driver import Reply, Service, penstock, serving, wait_until
from tests.acceptance.numbered import publish
from tests.acceptance.test_admin import KEY, OPTIONS, lay_keys, order
from tests.acceptance.test_versions import everywhere

PREDICTOR = """\
import os, time
import numpy as np

class Predictor:
    signature = "id:int64"

    def load(self, path):
        pass

    def predict(self, batch):
        ids = batch[:, 0]
        {deed}
        return ids * 2
"""
ERRS = "if (ids % 50 == 1).any(): raise ValueError('told to')"  # 2 %
IS_SLOW = "time.sleep({seconds})"
DISAGREES = "ids = np.where(ids % 10 == 1, -ids, ids)"  # in 10 %
HANGS = "if (ids > 1).any(): time.sleep(3600)"  # not when it is warmed up, with zeros and ones
DIES = "if (ids > 1).any(): os._exit(1)"


def lay_out(folder: Path, deeds: dict[str, str]) -> None:
    """A model whose versions do what these words say, pinned."""
    for version, deed in deeds.items():
        (folder / "m" / version).mkdir(parents=True)
        (folder / "m" / version / "predictor.py").write_text(PREDICTOR.format(deed=deed))
    assert penstock("lock", "m", cwd=folder).returncode == 0


def configure(folder: Path, settings: str) -> Path:
    file = folder / "penstock.yaml"
    file.write_text(f"models: {{m: {{path: m, {settings}}}}}\n")
    return file


@contextmanager
def asked(service: Service, clients: int = 8) -> Iterator[list[Reply]]:
    """Clients that send one row each, with the next id, without pause; what they are answered."""
    replies: list[Reply] = []
    ids, stop = count(2), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            replies.append(service.predict(next(ids)))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield replies
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


@contextmanager
def impatient(service: Service, seconds: float, clients: int = 8) -> Iterator[None]:
    """Clients that wait for their answers no longer than that."""
    ids, stop = count(2), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                service.request("POST", "/predict", {"features": [next(ids)]}, timeout=seconds)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def compared(service: Service) -> dict[str, Any]:
    """What is told of the only pair of versions."""
    (pair,) = service.get("/models/m/comparison").body["compared"]
    return dict(pair)


def rows(service: Service) -> int:
    return sum(sum(pair["rows"].values()) for pair in service.get("/models/m/comparison").body["compared"])


# ------------------------------------------------------------------ the shadow
def test_a_shadow_is_asked_the_same_and_compared(tmp_path: Path) -> None:
    for version in ("1", "3"):
        publish(tmp_path / "m", version)
    file = configure(tmp_path, "compile: off, route: {default: 1, shadow: {version: 3}}")
    with serving(file, "--workers", "2", cwd=tmp_path) as service:
        everywhere(lambda: "shadow" in service.get("/models/m").body["route"], service)
        for _ in range(20):
            assert service.predict(0.0).body["prediction"] == 1.0
        batch = service.request("POST", "/predict-batch", {"batch": [[0.0]] * 5})
        assert batch.body["predictions"] == [1.0] * 5
        assert service.predict(0.0, path="/predict?model_version=1").status == 200  # it named a version: no copy
        wait_until(lambda: rows(service) >= 20, "the copies to be compared", service.explain)
        told = compared(service)
        assert told["rows"] == {"agreed": 0, "differed": rows(service), "failed": 0, "lost": 0, "dropped": 0}
        assert (told["version"], told["against"], told["agreement"]) == ("3", "1", 0.0)
        assert (told["mean_difference"], told["largest_difference"]) == (2.0, 2.0)
        assert told["times_as_long"] is None, "of so few batches it would be chance"
        text = penstock("models", "m", "--comparison", "--url", f"127.0.0.1:{service.port}", cwd=tmp_path).stdout
        assert "rows, 0.00% agreed" in text


def test_labels_that_flip_are_told_by_pairs(tmp_path: Path) -> None:
    import pickle

    from sklearn.dummy import DummyClassifier

    for version, label in (("1", "cat"), ("2", "dog")):
        model = DummyClassifier(strategy="constant", constant=label).fit([[0.0], [1.0]], ["cat", "dog"])
        (tmp_path / "m" / version).mkdir(parents=True)
        (tmp_path / "m" / version / "model.pkl").write_bytes(pickle.dumps(model))
    assert penstock("lock", "m", cwd=tmp_path).returncode == 0
    file = configure(tmp_path, "compile: off, route: {default: 1, shadow: {version: 2}}")
    with serving(file, cwd=tmp_path) as service:
        wait_until(lambda: "shadow" in service.get("/models/m").body["route"], "the shadow", service.explain)
        service.request("POST", "/predict-batch", {"batch": [[0.0]] * 7})
        wait_until(lambda: rows(service) == 7, "the copies to be compared", service.explain)
        assert compared(service)["flips"] == [{"from": "cat", "to": "dog", "rows": 7}]
        assert compared(service)["mean_difference"] == 0.0  # both are sure


@pytest.mark.parametrize("deed", [HANGS, DIES], ids=["hangs", "dies"])
def test_nothing_is_lost_with_a_shadow_that(deed: str, tmp_path: Path) -> None:
    lay_out(tmp_path, {"1": "pass", "2": deed})
    file = configure(tmp_path, "predict_timeout_s: 0.5, route: {default: 1, shadow: {version: 2}}")
    with serving(file, cwd=tmp_path) as service:
        wait_until(lambda: "shadow" in service.get("/models/m").body["route"], "the shadow", service.explain)
        with asked(service) as replies:
            wait_until(
                lambda: len(service.lines("host_died")) >= 2 and len(replies) > 500,
                "the shadow's process to be given up twice",
                service.explain,
            )
        assert {reply.status for reply in replies} == {200}
        assert {reply.body["model_version"] for reply in replies} == {"1"}
        wait_until(lambda: rows(service) >= len(replies) - 300, "what was copied to be accounted for", service.explain)
        told = compared(service)["rows"]
        assert told["lost"] > 0
        assert told["agreed"] == told["differed"] == 0


def test_a_shadow_that_takes_other_requests_is_not_asked_and_says_why(tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    publish(tmp_path / "m", "2", width=3)
    file = configure(tmp_path, "compile: off, route: {default: 1, shadow: {version: 2}}")
    with serving(file, cwd=tmp_path) as service:
        unfit = service.wait_for("shadow_unfit")
        assert unfit["reason"] == "it takes 3 features and not 1"
        assert service.get("/models/m").body["route"]["shadow"]["unfit"] == unfit["reason"]
        assert service.predict(0.0).body["model_version"] == "1"
        assert service.get("/models/m/comparison").body["compared"] == []
        url = ("--url", f"127.0.0.1:{service.port}")
        said = f"shadow 2 is not asked: {unfit['reason']}\n"
        assert penstock("route", "m", *url, cwd=tmp_path).stdout == f"m: default 1, shadow 2\n  {said}"
        assert penstock("models", "m", "--comparison", *url, cwd=tmp_path).stdout == said
        told = penstock("models", *url, cwd=tmp_path).stdout.splitlines()
        assert told[1].endswith(f"shadow, 100 %  not asked: {unfit['reason']}")


# ------------------------------------------------------------------ the guard
WORSE = {
    "errs on 2 %": (ERRS, "error_percent: 0.1", "pass"),
    "three times as slow": (IS_SLOW.format(seconds=0.03), "latency_ratio: 1.5", IS_SLOW.format(seconds=0.01)),
    "disagrees": (DISAGREES, "disagreement_percent: 5", "pass"),
}


@pytest.mark.parametrize(("canary", "limit", "default"), WORSE.values(), ids=WORSE)
def test_a_canary_is_sent_away_that(canary: str, limit: str, default: str, tmp_path: Path) -> None:
    lay_out(tmp_path, {"1": default, "2": canary})
    settings = f"route: {{default: 1, canary: {{version: 2, percent: 50, guard: {{{limit}}}}}}}"
    with serving(configure(tmp_path, settings), "--workers", "2", cwd=tmp_path) as service:
        with asked(service) as replies:
            breach = service.wait_for("guard_breached")
            limited = limit.partition("_")[0]
            assert (breach["version"], breach["limit"]) == ("2", limited)
            wait_until(lambda: service.get("/models/m").body["breach"] is not None, "it to be told")
            wait_until(lambda: {reply.body.get("model_version") for reply in replies[-50:]} == {"1"}, "its end")
        after = [service.predict(2 * i) for i in range(40)]
        assert {(reply.status, reply.body["model_version"]) for reply in after} == {(200, "1")}
        told = service.get("/models/m").body
        assert told["route"] == {"default": "1", "wanted": "1", "tolerance": 0.01}
        assert (told["breach"]["version"], told["breach"]["reason"]) == ("2", breach["reason"])
        text = service.get("/metrics").body.decode()
        assert f'penstock_guard_breaches_total{{limit="{limited}",model="m",version="2"}} 1.0' in text
    with serving(configure(tmp_path, settings), "--workers", "2", cwd=tmp_path) as service:
        told = service.get("/models/m").body
        assert told["breach"]["reason"] == breach["reason"], "a restart does not try it again"
        assert "canary" not in told["route"]


def test_a_guard_that_cannot_tell_says_so(tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    publish(tmp_path / "m", "2", width=3)
    guard = "{disagreement_percent: 5}"
    settings = f"compile: off, route: {{default: 1, canary: {{version: 2, percent: 5, guard: {guard}}}}}"
    with serving(configure(tmp_path, settings), cwd=tmp_path) as service:
        assert service.wait_for("canary_unfit")["reason"] == "it takes 3 features and not 1"
        assert service.predict(0.0).status in (200, 422)
        told = service.get("/models/m").body["route"]["canary"]
        assert (told["unfit"], told["guard"]["disagreement_percent"]) == ("it takes 3 features and not 1", 5.0)
        url = ("--url", f"127.0.0.1:{service.port}")
        assert penstock("route", "m", *url, cwd=tmp_path).stdout == (
            "m: default 1, canary 2 with 5 %, guard: 5 % otherwise\n  canary 2: it takes 3 features and not 1\n"
        )
        assert "canary, 5 %  it takes 3 features" in penstock("models", *url, cwd=tmp_path).stdout
        assert "canary 2: it takes 3" in penstock("models", "m", "--comparison", *url, cwd=tmp_path).stdout
        (*_, logged) = service.lines("route")
        assert logged["canary_guard"] == {"disagreement_percent": 5.0, "min_requests": 100}
        assert logged["tolerance"] == 0.01


def test_a_canary_as_good_as_the_default_stays(tmp_path: Path) -> None:
    lay_out(tmp_path, {"1": ERRS, "2": ERRS})
    guard = "{error_percent: 0, latency_ratio: 2, disagreement_percent: 1}"
    settings = f"route: {{default: 1, canary: {{version: 2, percent: 50, guard: {guard}}}}}"
    with serving(configure(tmp_path, settings), cwd=tmp_path) as service:
        with asked(service) as replies:
            wait_until(lambda: len(replies) > 1000, "1000 answers", service.explain)
        assert service.lines("guard_breached") == []
        (canary,) = service.get("/models/m/comparison").body["canaries"]
        assert canary["canary"]["requests"] > 300
        assert canary["canary"]["failed"] > 0
        assert canary["canary"]["p50_ms"] > 0


def test_a_canary_that_keeps_its_clients_waiting_in_vain_is_sent_away(tmp_path: Path) -> None:
    lay_out(tmp_path, {"1": "pass", "2": "time.sleep(0.4)"})
    settings = "route: {default: 1, canary: {version: 2, percent: 50, guard: {error_percent: 5}}}"
    with serving(configure(tmp_path, settings), cwd=tmp_path) as service:
        with impatient(service, seconds=0.15):
            breach = service.wait_for("guard_breached")
        assert breach["limit"] == "error"
        (canary,) = service.get("/models/m/comparison").body["canaries"]
        assert canary["canary"]["gone"] > 50
        assert canary["default"]["failed"] == 0


def test_what_is_asked_of_a_canary_for_its_guard_leaves_its_requests_alone(tmp_path: Path) -> None:
    """It takes 10 ms a row, and in the place of one row it would be asked hundreds."""
    slow = "time.sleep(0.01 * len(ids))"
    lay_out(tmp_path, {"1": slow, "2": slow})
    guard = "{latency_ratio: 2, disagreement_percent: 5}"
    settings = f"deadline_ms: 1000, route: {{default: 1, canary: {{version: 2, percent: 20, guard: {guard}}}}}"
    with serving(configure(tmp_path, settings), cwd=tmp_path) as service:
        wait_until(lambda: "canary" in service.get("/models/m").body["route"], "the canary", service.explain)
        with asked(service, clients=4) as replies:
            wait_until(lambda: len(replies) > 600, "600 answers", service.explain)
        told = service.get("/models/m/comparison").body
        assert {reply.status for reply in replies} == {200}
        assert service.lines("guard_breached") == []
        assert told["canaries"][0]["canary"]["p90_ms"] < 100
        assert 0 < told["compared"][0]["rows"]["agreed"] < 100


def test_a_breach_stays_told_and_concerns_no_other_order(tmp_path: Path) -> None:
    lay_out(tmp_path, {"1": "pass", "2": ERRS.replace("50", "5"), "3": "pass"})
    lay_keys(tmp_path)
    with serving(configure(tmp_path, "load: {latest: 3}"), *OPTIONS, cwd=tmp_path) as service:
        assert order(service, "route", {"default": "1"}).status == 200
        guarded = {"version": "2", "percent": 50, "guard": {"error_percent": 1}}
        assert order(service, "route", {"canary": guarded}).status == 200
        with asked(service):
            service.wait_for("guard_breached")
        wait_until(lambda: service.get("/models/m").body["breach"] is not None, "it to be told")
        assert service.get("/models/m").body["breach"]["limit"] == "error"
        assert order(service, "load", {"version": "3"}).status == 200
        assert order(service, "promote", {"version": "9"}).status == 409
        assert service.get("/models/m").body["breach"]["version"] == "2"
        assert order(service, "promote", {"version": "3"}).status == 200
        assert service.get("/models/m").body["breach"] is None


def test_the_newest_that_was_sent_away_takes_the_traffic_neither_by_itself_nor_at_the_next_start(
    tmp_path: Path,
) -> None:
    lay_out(tmp_path, {"1": "pass"})
    two_outputs = "return {'a': ids * 2, 'b': ids}"
    lay_keys(tmp_path)
    with serving(tmp_path / "m", *OPTIONS, cwd=tmp_path) as service:
        lay_out(tmp_path, {"2": f"{ERRS.replace('50', '5')}\n        {two_outputs}"})
        service.wait_for("version_held")
        guarded = {"version": "2", "percent": 50, "guard": {"error_percent": 1}}
        assert order(service, "route", {"canary": guarded}).status == 200
        assert service.get("/models/m").body["route"]["wanted"] == "latest"
        with asked(service):
            service.wait_for("guard_breached")
        wait_until(lambda: "canary" not in service.get("/models/m").body["route"], "its end")
        assert service.get("/models/m").body["route"]["default"] == "1"
    with serving(tmp_path / "m", *OPTIONS, cwd=tmp_path) as service:
        assert {service.predict(2).body["model_version"] for _ in range(20)} == {"1"}
        assert service.get("/models/m").body["breach"]["version"] == "2"


def test_who_was_sent_away_may_be_tried_again(tmp_path: Path) -> None:
    lay_out(tmp_path, {"1": "pass", "2": DISAGREES})
    settings = "route: {default: 1, canary: {version: 2, percent: 50, guard: {disagreement_percent: 5}}}"
    lay_keys(tmp_path)
    with serving(configure(tmp_path, settings), *OPTIONS, cwd=tmp_path) as service:
        with asked(service):
            service.wait_for("guard_breached")
        (change,) = service.request("GET", "/admin/models/m/history", None, {"x-api-key": KEY}).body["history"]
        assert (change["by"], change["action"], change["version"]) == ("guard", "rollback", "2")
        again = order(service, "route", {"canary": {"version": "2", "percent": 50, "guard": None}})
        assert again.status == 200
        told = service.get("/models/m").body
        assert (told["route"]["canary"], told["breach"]) == ({"version": "2", "percent": 50.0}, None)
        with asked(service) as replies:
            wait_until(lambda: len(replies) > 300, "300 answers")
        assert {reply.body["model_version"] for reply in replies} == {"1", "2"}
