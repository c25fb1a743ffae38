"""Administration: versions are promoted, tried and taken back by hand, with a key, and it is so when it is answered."""

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.driver import Load, Reply, Service, alive, children_of, penstock, serving, wait_until
from tests.acceptance.numbered import constant, publish

KEY = "a key that nobody guesses"
UNDER_WAY = "Another change of this model is under way:"
DIGEST = sha256(KEY.encode()).hexdigest()
OPTIONS = ("--workers", "2", "--drain-linger-s", "0", "--keys", "penstock.keys")


def lay_keys(folder: Path) -> None:
    """One that may do everything; whoever has none may still predict and read."""
    rights = "[predict, read, admin]"
    (folder / "penstock.keys").write_text(
        f"admin: {{sha256: {DIGEST}, rights: {rights}}}\nanonymous: {{rights: [predict, read]}}\n"
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A model with three versions, each of which answers with its number."""
    for version in ("1", "2", "3"):
        publish(tmp_path / "m", version)
    lay_keys(tmp_path)
    return tmp_path / "m"


@pytest.fixture
def service(shelf: Path) -> Iterator[Service]:
    with serving(shelf, *OPTIONS, "--load", "latest:2", cwd=shelf.parent) as running:
        both = {"1": "available", "2": "ready", "3": "ready"}
        wait_until(lambda: states(running) == both, "both of them", running.explain)
        yield running


def order(service: Service, action: str, body: Any = None, key: str | None = KEY, model: str = "m") -> Reply:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return service.request("POST", f"/admin/models/{model}/{action}", {} if body is None else body, headers)


def answering(service: Service, requests: int = 40) -> Counter[str]:
    """Which versions answer, over connections that reach both fronts."""
    bodies = [service.predict(0.0).body for _ in range(requests)]
    assert all(body["prediction"] == float(body["model_version"]) for body in bodies)
    return Counter(body["model_version"] for body in bodies)


def states(service: Service) -> dict[str, str]:
    return {version["version"]: version["state"] for version in service.get("/models/m").body["versions"]}


# ------------------------------------------------------------------ who may
def test_without_a_key_in_the_configuration_nobody_may(shelf: Path) -> None:
    with serving(shelf, cwd=shelf.parent) as service:
        reply = order(service, "promote", {"version": "2"})
        assert (reply.status, reply.body["code"]) == (403, "admin_off")


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer wrong"}, {"x-api-key": DIGEST}, {"authorization": KEY}, {"x-api-key": f"{KEY}\xe9"}],
)
def test_nobody_may_without_the_key(talking: Service, headers: dict[str, str]) -> None:
    for method, action in (("POST", "promote"), ("POST", "route"), ("GET", "history")):
        reply = talking.request(method, f"/admin/models/m/{action}", {} if method == "POST" else None, headers)
        assert (reply.status, reply.body["code"], reply.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that no test changes."""
    folder = tmp_path_factory.mktemp("talking")
    publish(folder / "m", "1")
    lay_keys(folder)
    with serving(folder / "m", *OPTIONS, cwd=folder) as running:
        yield running


@pytest.mark.parametrize(
    ("action", "body", "status", "code"),
    [
        ("promote", {}, 422, "invalid_request"),
        ("promote", {"version": 2}, 422, "invalid_request"),
        ("promote", {"version": "../2"}, 422, "invalid_request"),
        ("promote", {"version": "1", "path": "/etc"}, 422, "invalid_request"),
        ("promote", {"version": "1", "why": "a\nb"}, 422, "invalid_request"),
        ("promote", {"version": "9"}, 409, "conflict"),
        ("route", {"canary": {"version": "1", "percent": 101}}, 422, "invalid_request"),
        ("route", {"canary": {"version": "1", "percent": 5}}, 409, "conflict"),
        ("route", {"canary": {"version": "latest", "percent": 5}}, 409, "conflict"),
        ("route", {"canary": {"sticky": "X-User-ID"}}, 409, "conflict"),
        ("rollback", {}, 409, "conflict"),
        ("unload", {"version": "1"}, 409, "conflict"),
        ("promote", b"{", 400, "malformed_request"),
        ("promote", b"x" * 20_000, 413, "body_too_large"),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused(
    talking: Service, action: str, body: Any, status: int, code: str
) -> None:
    reply = order(talking, action, body)
    assert (reply.status, reply.body["code"]) == (status, code), reply.body
    assert len(json.dumps(reply.body)) < 2000


def test_only_what_the_configuration_knows_can_be_named(talking: Service) -> None:
    reply = order(talking, "promote", {"version": "1"}, model="other")
    assert (reply.status, reply.body["code"]) == (404, "unknown_model")


# ------------------------------------------------------------------ what they may
def test_when_an_order_is_answered_it_is_so_on_every_front(service: Service) -> None:
    assert states(service) == {"1": "available", "2": "ready", "3": "ready"}
    reply = order(service, "promote", {"version": "1", "why": "a try"})
    assert (reply.status, reply.body["before"]["default"], reply.body["after"]["default"]) == (200, "3", "1")
    assert answering(service) == {"1": 40}
    back = order(service, "rollback")
    assert (back.status, back.body["after"]["default"]) == (200, "3")
    assert answering(service) == {"3": 40}
    refused = order(service, "rollback")
    assert (refused.status, refused.body["code"]) == (409, "conflict")
    route = {"default": "2", "canary": {"version": "3", "percent": 50}}
    assert order(service, "route", route).status == 200
    assert answering(service).keys() == {"2", "3"}
    assert order(service, "route", {"canary": None}).body["after"]["route"]["default"] == "2"
    assert answering(service) == {"2": 40}
    history = service.request("GET", "/admin/models/m/history", None, {"x-api-key": KEY}).body["history"]
    assert [change["action"] for change in history] == ["promote", "rollback", "route", "route"]
    assert (history[0]["by"], history[0]["why"], history[0]["default_before"]) == ("admin", "a try", "3")


def test_a_version_is_loaded_and_unloaded_beside_the_traffic(service: Service) -> None:
    assert order(service, "load", {"version": "1"}).status == 200
    assert states(service) == {"1": "ready", "2": "ready", "3": "ready"}
    assert service.predict(0.0, path="/predict?model_version=1").body["prediction"] == 1.0
    assert order(service, "unload", {"version": "1"}).status == 200
    assert states(service) == {"1": "available", "2": "ready", "3": "ready"}
    refused = order(service, "unload", {"version": "3"})
    assert (refused.status, refused.body["detail"]) == (409, "Requests go to that version: change the route first.")


def dead(service: Service, shelf: Path, version: str) -> None:
    """Has a version that is loaded end, and not come back: its file is another one now."""
    pids = {each["version"]: each["pids"] for each in service.get("/models/m").body["versions"]}
    (shelf / version / "model.onnx").write_bytes(constant(0.0))
    for pid in pids[version]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: states(service)[version] == "refused", "its end to be final", service.explain)


def test_traffic_is_given_to_none_that_cannot_answer(service: Service, shelf: Path) -> None:
    dead(service, shelf, "2")
    with Load(service, features=[0.0]) as load:
        for _ in range(5):
            load.wait_for(len(load.answers) + 20)
            reply = order(service, "promote", {"version": "2"})
            assert (reply.status, reply.body["detail"].partition(":")[0]) == (409, "Version 2 is refused")
        load.stop()
    assert (load.failures, set(load.answers)) == ([], {200})
    assert answering(service) == {"3": 40}


def test_a_canary_without_a_process_harms_nobody(service: Service, shelf: Path) -> None:
    assert order(service, "route", {"canary": {"version": "2", "percent": 50}}).status == 200
    assert answering(service).keys() == {"2", "3"}
    dead(service, shelf, "2")
    assert answering(service) == {"3": 40}
    (shelf / "2" / "model.onnx").write_bytes(constant(2.0))
    wait_until(lambda: states(service)["2"] == "ready", "it to be back with its file", service.explain)
    assert answering(service).keys() == {"2", "3"}
    assert order(service, "rollback").status == 200
    assert answering(service) == {"3": 40}


def test_what_cannot_be_loaded_changes_nothing(service: Service, shelf: Path) -> None:
    (shelf / ".0").mkdir()
    (shelf / ".0" / "model.onnx").write_bytes(constant(0.0)[:50])
    (shelf / ".0").rename(shelf / "0")
    wait_until(lambda: "0" in states(service), "the broken version to be seen", service.explain)
    reply = order(service, "promote", {"version": "0"})
    assert reply.status == 409
    assert reply.body["detail"].startswith("Version 0 is refused: ")
    assert answering(service) == {"3": 40}
    assert service.get("/models/m").body["route"] == {"default": "3", "wanted": "latest", "tolerance": 0.01}
    assert service.request("GET", "/admin/models/m/history", None, {"x-api-key": KEY}).body["history"] == []
    assert order(service, "promote", {"version": "2"}).status == 200


def test_it_stays_so_when_fronts_and_the_service_are_started_anew(shelf: Path, tmp_path: Path) -> None:
    arguments: list[str | Path] = [shelf, *OPTIONS]
    with serving(*arguments, cwd=tmp_path) as service:
        assert order(service, "promote", {"version": "2"}).status == 200
        for pid in service.processes("front"):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: answering(service, 1) == {"2": 1}, "new fronts", service.explain)
        assert service.end() == 0
    with serving(*arguments, cwd=tmp_path) as service:
        assert answering(service) == {"2": 40}
        assert order(service, "rollback").body["after"]["default"] == "3"
        assert answering(service) == {"3": 40}


def test_a_later_edit_of_the_route_counts_more(shelf: Path, tmp_path: Path) -> None:
    file = tmp_path / "penstock.yaml"
    file.write_text("models: {m: {path: m}}\n")
    with serving(file, *OPTIONS, cwd=tmp_path) as service:
        assert order(service, "promote", {"version": "1"}).status == 200
        file.write_text("models: {m: {path: m, route: {default: 2}}}\n")
        service.wait_for("overlay_dropped")
        wait_until(lambda: answering(service, 1) == {"2": 1}, "the edited route", service.explain)


def test_what_cannot_be_kept_is_not_done(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "state" / ".state.json").mkdir(parents=True)  # where the file would be written
    with serving(shelf, *OPTIONS, "--state-dir", "state", cwd=tmp_path) as service:
        reply = order(service, "promote", {"version": "1"})
        assert (reply.status, reply.body["code"]) == (409, "conflict")
        assert "state_dir" in reply.body["detail"]
        assert answering(service) == {"3": 40}


# ------------------------------------------------------------------ what may come between
@contextmanager
def under_way(service: Service, shelf: Path) -> Iterator[Future[Reply]]:
    """An order for a version whose process was stopped while it loads."""
    publish(shelf, "0")
    wait_until(lambda: "0" in states(service), "the version", service.explain)
    before = set(service.processes("host"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(order, service, "promote", {"version": "0"})
        wait_until(lambda: len(service.processes("host")) > len(before), "it to begin", service.explain)
        for pid in set(service.processes("host")) - before:
            os.kill(pid, signal.SIGSTOP)
        yield waiting


def test_one_order_at_a_time_is_carried_out(service: Service, shelf: Path) -> None:
    with under_way(service, shelf) as first:
        second = order(service, "promote", {"version": "2"})
        assert (second.status, second.body["detail"]) == (409, f"{UNDER_WAY} wait for its end.")
        shutil.rmtree(shelf / "0")
        assert (first.result().status, first.result().body["detail"]) == (409, "There is no version 0 any more.")
    assert order(service, "promote", {"version": "2"}).status == 200


def test_what_was_not_confirmed_is_not_kept(service: Service, shelf: Path) -> None:
    with under_way(service, shelf) as waiting:
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(30)
        assert (waiting.result().status, waiting.result().body["detail"]) == (409, "The service is ending.")
    with serving(shelf, *OPTIONS, "--load", "latest:2", cwd=shelf.parent) as anew:
        assert answering(anew) == {"3": 40}


def test_a_supervisor_that_is_killed_has_kept_what_it_confirmed_and_nothing_else(service: Service, shelf: Path) -> None:
    assert order(service, "promote", {"version": "2"}).status == 200
    with under_way(service, shelf) as waiting:
        children = children_of(service.process.pid)
        service.process.kill()
        with pytest.raises((OSError, HTTPException)):
            waiting.result()
        for pid in filter(alive, children):
            os.kill(pid, signal.SIGCONT)  # the one that was stopped, before it could know of its supervisor
        wait_until(lambda: not any(map(alive, children)), "all of its children to end")
    with serving(shelf, *OPTIONS, "--load", "latest:2", cwd=shelf.parent) as anew:
        assert answering(anew) == {"2": 40}
        assert order(anew, "promote", {"version": "3"}).status == 200


def test_a_later_edit_of_the_route_counts_more_than_an_order_that_waits(shelf: Path, tmp_path: Path) -> None:
    file = tmp_path / "penstock.yaml"
    file.write_text("models: {m: {path: m}}\n")
    with serving(file, *OPTIONS, cwd=tmp_path) as service, under_way(service, shelf) as waiting:
        file.write_text("models: {m: {path: m, route: {default: 2}}}\n")
        assert waiting.result().status == 409
        assert "changed meanwhile" in waiting.result().body["detail"]
        wait_until(lambda: answering(service, 1) == {"2": 1}, "the edited route", service.explain)


def test_what_the_configuration_loads_is_not_unloaded_by_hand(service: Service) -> None:
    assert order(service, "load", {"version": "2"}).status == 200
    refused = order(service, "unload", {"version": "2"})
    assert (refused.status, refused.body["detail"].partition(":")[0]) == (
        409,
        "That version is loaded because the configuration says so (load)",
    )
    assert order(service, "promote", {"version": "2"}).status == 200


# ------------------------------------------------------------------ from the command line
@pytest.fixture
def told(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a command prints, with the key in the environment."""
    monkeypatch.setenv("PENSTOCK_ADMIN_KEY", KEY)
    monkeypatch.setenv("PENSTOCK_URL", f"http://127.0.0.1:{service.port}")

    def run(*words: str, code: int = 0) -> str:
        done = penstock(*words, cwd=tmp_path)
        assert done.returncode == code, done
        return done.stdout if code == 0 else done.stderr

    return run


def test_the_same_from_the_command_line(told: Callable[..., str]) -> None:
    assert told("models").split() == [
        "m",
        "1",
        "available",
        "m",
        "2",
        "ready",
        "m",
        "3",
        "ready",
        "default",
        "(latest)",
    ]
    assert told("promote", "m", "2") == "m: default 2\n   (before: default 3 (latest))\n"
    assert told("promote", "m", "2") == "m: default 2 (as before)\n"
    said = told("route", "m", "--canary", "3", "--percent", "5", "--sticky", "X-User-ID", "--why", "a try")
    assert said == "m: default 2, canary 3 with 5 % by X-User-ID\n   (before: default 2)\n"
    assert told("route", "m") == "m: default 2, canary 3 with 5 % by X-User-ID\n"
    assert told("route", "m", "--yaml") == (
        'models:\n  "m":\n    route:\n      default: "2"\n'
        '      canary: {version: "3", percent: 5.0, sticky: "X-User-ID"}\n'
    )
    guarded = ("--error-percent", "1", "--min-requests", "50", "--shadow", "1", "--shadow-percent", "50")
    guard = "guard: errors +1 %, not before 50 requests"
    assert told("route", "m", *guarded, "--yaml").splitlines()[4:] == [
        (
            '      canary: {version: "3", percent: 5.0, sticky: "X-User-ID", '
            "guard: {error_percent: 1.0, min_requests: 50}}"
        ),
        '      shadow: {version: "1", percent: 50.0}',
    ]
    said = f"m: default 2, canary 3 with 5 % by X-User-ID, {guard}, shadow 1 with 50 %\n"
    assert told("route", "m", *guarded).startswith(said)
    assert (
        told("route", "m", "--latency-ratio", "2", "--yaml")
        .splitlines()[4]
        .endswith("guard: {error_percent: 1.0, latency_ratio: 2.0, min_requests: 50}}")
    )
    assert "No version is tried" not in told("models", "m", "--comparison")
    assert told("route", "m", "--no-shadow").startswith(f"m: default 2, canary 3 with 5 % by X-User-ID, {guard}\n")
    assert told("route", "m", "--percent", "20").startswith(f"m: default 2, canary 3 with 20 % by X-User-ID, {guard}\n")
    free = told("route", "m", "--no-guard", "--no-sticky", "--tolerance", "0.1")
    assert free.startswith("m: default 2, canary 3 with 20 %, tolerance 0.1\n")
    assert told("route", "m", "--yaml").splitlines()[4:] == [
        '      canary: {version: "3", percent: 20.0}',
        "      tolerance: 0.1",
    ]
    assert told("route", "m", "--tolerance", "0.01").startswith("m: default 2, canary 3 with 20 %\n")
    assert (
        told("route", "m", "--default", "1", "--no-canary", "--yaml")
        == 'models:\n  "m":\n    route:\n      default: "1"\n'
    )
    assert told("rollback", "m").startswith("m: default 2\n")
    assert told("promote", "m", "3").startswith("m: default 3\n")
    assert told("rollback", "m").startswith("m: default 2\n")
    assert told("rollback", "m").startswith("m: default 3\n")
    assert "a try" in told("models", "m", "--history")
    assert told("models", "m", "--load", "1").splitlines()[0].split() == ["m", "1", "ready"]


def test_the_command_line_says_what_is_wrong(told: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "There is no version 9. Versions: 1, 2, 3." in told("promote", "m", "9", code=1)
    assert "Models: m." in told("promote", "n", "1", code=1)
    assert "--canary: say with --percent" in told("route", "m", "--canary", "3", code=2)
    assert "There is no version 9. Versions: 1, 2, 3." in told("route", "m", "--default", "9", "--yaml", code=1)
    same = ("--shadow", "3", "--yaml")
    assert "The shadow has to be another version than the default one." in told("route", "m", *same, code=1)
    for words, said in {
        ("--percent", "200"): "--percent: expected a number from 0 to 100, got 200",
        ("--shadow-percent", "nan"): "--shadow-percent: expected a number from 0 to 100, got nan",
        ("--latency-ratio", "0.5"): "--latency-ratio: expected a number of at least 1, got 0.5",
        ("--tolerance", "inf"): "--tolerance: expected a number of at least 0, got inf",
        ("--min-requests", "many"): "--min-requests: expected an integer from 1 to 1000000000, got many",
        ("--sticky", "a b"): "--sticky: expected the name of a header such as X-User-ID, got 'a b'",
        ("--no-guard", "--error-percent", "1"): "--no-guard, or what it is to be",
    }.items():
        assert said in told("route", "m", *words, code=2)
    assert "cannot be asked" in told("models", "--url", "http://127.0.0.1:1", code=1)
    assert "expected http://HOST:PORT" in told("models", "--url", "ftp://here", code=2)
    monkeypatch.setenv("PENSTOCK_ADMIN_KEY", "sekrit\nkey")
    said = told("rollback", "m", code=2)
    assert "expected a key of printable ASCII characters" in said
    assert "sekrit" not in said
    monkeypatch.setenv("PENSTOCK_ADMIN_KEY", "wrong")
    assert "PENSTOCK_ADMIN_KEY is another one" in told("rollback", "m", code=1)
    monkeypatch.delenv("PENSTOCK_ADMIN_KEY")
    assert "PENSTOCK_ADMIN_KEY is not set" in told("rollback", "m", code=1)
