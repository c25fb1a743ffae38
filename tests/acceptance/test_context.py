"""Features from stores, end to end: a real service, real tables, a real Redis and what may become of it."""

import http.client
import json
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tests.acceptance.driver import Reply, Service, penstock, serving, wait_until
from tests.redis_server import RedisServer, redis_server

INPUTS = """
inputs:
  - {name: amount}
  - {name: age, dtype: int64}
  - {name: balance}
"""
SUM = {"amount": 1000.0, "age": 1.0, "balance": 0.001}
"""The model adds up so much of each, which tells what it was asked."""


@pytest.fixture(scope="module")
def artifact() -> bytes:
    model = LinearRegression(fit_intercept=False).fit(np.eye(3), list(SUM.values()))
    return pickle.dumps(model)


def made(folder: Path, artifact: bytes, context: str) -> Path:
    """The directory of a model that says this of its context."""
    home = folder / "m"
    home.mkdir()
    (home / "users.csv").write_text("user_id,age,credit\nu1,41,5\n7,,6\nbad,x,7\npoor,50,\n")
    (home / "model.pkl").write_bytes(artifact)
    (home / "model.yaml").write_text(f"{INPUTS}\ncontext:\n{context}")
    locked = penstock("lock", "m", cwd=folder)
    assert locked.returncode == 0, locked.stderr
    return home


def ask(service: Service, user: object, amount: float = 1, **headers: str) -> Reply:
    body = {"user_id": user, "features": {"amount": amount}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.request("POST", "/predict-with-context", body, named)


def asked(reply: Reply) -> tuple[float, int, float]:
    """The amount, the age and the balance that the model saw."""
    assert reply.status == 200, reply.body
    thousandths = round(reply.body["prediction"] * 1000)
    return thousandths // 1_000_000, thousandths // 1000 % 1000, thousandths % 1000


TABLE = """
  - {key: user_id, file: users.csv, features: {age: {default: 30}, balance: {field: credit}}}
"""


@pytest.fixture(scope="module")
def tabled(tmp_path_factory: pytest.TempPathFactory, artifact: bytes) -> Iterator[tuple[Service, Path]]:
    """A service of a model with a table beside it."""
    folder = tmp_path_factory.mktemp("tabled")
    home = made(folder, artifact, TABLE)
    with serving("m", "--compile", "off", cwd=folder) as service:
        yield service, home / "users.csv"


def test_a_table_beside_the_model_completes_rows(tabled: tuple[Service, Path]) -> None:
    service, _ = tabled
    assert asked(ask(service, "u1", 2)) == (2, 41, 5)
    assert asked(ask(service, 7, 3)) == (3, 30, 6)
    assert asked(ask(service, "bad", 3)) == (3, 30, 7)
    for unknown in ("poor", "nobody"):
        reply = ask(service, unknown)
        assert (reply.status, reply.body["code"]) == (422, "missing_context")
        assert reply.body["errors"] == [{"loc": ["user_id"], "msg": "balance of this user_id is not known."}]


def test_what_is_looked_up_is_told(tabled: tuple[Service, Path]) -> None:
    service, _ = tabled
    (version,) = service.get("/models/m").body["versions"]
    assert version["context"] == [
        {
            "key": "user_id",
            "store": "users.csv",
            "features": {"age": {"field": "age", "default": 30}, "balance": {"field": "credit"}},
        }
    ]
    document = service.get("/openapi.json").body
    sent = document["components"]["schemas"]["m.ContextRequest"]["properties"]
    assert (sent.keys(), sent["features"]["properties"].keys()) == ({"user_id", "features"}, {"amount"})
    ask(service, "u1", x_request_id="told")
    line = service.wait_for("prediction", lambda line: line["request_id"] == "told")
    assert line["context"] == [{"store": "users.csv", "key": "user_id", "features": ["age", "balance"]}]
    figures = service.get("/metrics").body.decode()
    assert 'penstock_context_values_total{model="m",result="found",store="users.csv",version="1"}' in figures
    assert 'penstock_stage_duration_seconds_count{model="m",stage="context",version="1"}' in figures


def test_a_table_that_changes_is_taken_over_and_a_broken_one_is_not(tabled: tuple[Service, Path]) -> None:
    service, table = tabled

    def exchange(text: str) -> None:
        table.with_suffix(".new").write_text(text)
        table.with_suffix(".new").replace(table)

    exchange("user_id,age,credit\nu1,41\n")
    service.wait_for("store_unreadable")
    assert asked(ask(service, "u1")) == (1, 41, 5)
    exchange("user_id,age,credit\nu1,42,5\nu2,20,8\n7,,6\nbad,x,7\npoor,50,\n")
    wait_until(lambda: asked(ask(service, "u1")) == (1, 42, 5), "the new table", service.explain)
    assert asked(ask(service, "u2")) == (1, 20, 8)
    assert service.lines("version_touched") == [], "the version is what it was"


@pytest.mark.needs("pyarrow")
def test_a_parquet_table_of_the_configuration_has_moments(tmp_path: Path, artifact: bytes) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    now = time.time()
    columns = {"id": [1, 2, 3], "age": [41, 42, None], "balance": [5.0, 6.0, 7.0], "at": [now - 60, now - 7200, None]}
    parquet.write_table(pa.table(columns), tmp_path / "users.parquet")
    made(
        tmp_path,
        artifact,
        "  - {key: user_id, updated: at, max_age_s: 3600, features: {age: {default: 30}, balance: {default: 9}}}",
    )
    (tmp_path / "penstock.yaml").write_text(
        "stores: {users: {file: users.parquet, key: id}}\nmodels: {m: {path: m, compile: 'off'}}"
    )
    with serving("penstock.yaml", cwd=tmp_path) as service:
        assert asked(ask(service, 1)) == (1, 41, 5)
        assert asked(ask(service, 2)) == (1, 30, 9)
        assert asked(ask(service, 3)) == (1, 30, 9)
        figures = service.get("/metrics").body.decode()
        assert 'penstock_context_values_total{model="m",result="stale",store="users",version="1"} 4.0' in figures


OWN = '''
import time

class Users:
    """Counts its calls in a file. While the first one holds up its front, the next requests arrive."""

    def __init__(self):
        self.hold_s = 0.5

    async def get(self, entities):
        time.sleep(self.hold_s)
        self.hold_s = 0
        with open("calls", "a") as file:
            file.write(f"{len(entities)}\\n")
        return [{"age": 40, "balance": int(entity)} for entity in entities]
'''


def test_a_store_of_ones_own_is_asked_for_many_at_once(tmp_path: Path, artifact: bytes) -> None:
    made(tmp_path, artifact, "  - {key: user_id, features: {age: {}, balance: {}}}")
    (tmp_path / "my_stores.py").write_text(OWN)
    (tmp_path / "penstock.yaml").write_text(
        "stores: {users: {python: my_stores:Users, timeout_ms: 5000}}\nmodels: {m: {path: m, compile: 'off'}}"
    )
    with serving("penstock.yaml", cwd=tmp_path, env={"PYTHONPATH": _with(tmp_path)}) as service:
        connections = [http.client.HTTPConnection("127.0.0.1", service.port, timeout=30) for _ in range(20)]
        for connection in connections:
            connection.request("GET", "/health")
            connection.getresponse().read()
        for user, connection in enumerate(connections):
            body = json.dumps({"user_id": user, "features": {"amount": 1}})
            connection.request("POST", "/predict-with-context", body, {"content-type": "application/json"})
        answers = [json.loads(connection.getresponse().read()) for connection in connections]
        for connection in connections:
            connection.close()
        assert [round(answer["prediction"] * 1000) for answer in answers] == [1_040_000 + user for user in range(20)]
        calls = [int(line) for line in (tmp_path / "calls").read_text().split()]
        assert sum(calls) == 20
        assert len(calls) < 5


def _with(folder: Path) -> str:
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.parametrize(
    ("context", "complaint"),
    [
        ("  - {key: user_id, store: users, features: {age: {}}}", "penstock.yaml has no store 'users'"),
        ("  - {key: user_id, file: users.csv, features: {ago: {}}}", "has no input named ago"),
        ("  - {key: user_id, file: users.csv, features: {age: {default: x}}}", "the default of age, 'x', is no int64"),
    ],
)
def test_a_version_whose_context_cannot_be_meant_is_refused(
    tmp_path: Path, artifact: bytes, context: str, complaint: str
) -> None:
    made(tmp_path, artifact, context)
    done = penstock("check", "m", "--compile", "off", cwd=tmp_path)
    assert done.returncode == 1
    assert complaint in done.stderr


def test_a_check_tells_what_comes_from_where(tmp_path: Path, artifact: bytes) -> None:
    made(tmp_path, artifact, TABLE)
    done = penstock("check", "m", "--compile", "off", cwd=tmp_path)
    assert "by user_id, from users.csv: age, balance" in done.stdout, done.stderr


# ------------------------------------------------------------------ Redis
REDIS = """
  - {key: user_id, entity: "{user_id}/now", features: {age: {default: 30}, balance: {}}}
"""
PASSWORD = "s3cret"
Ask = Callable[[], Reply]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, artifact: bytes, redis: RedisServer) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("stored")
    made(folder, artifact, REDIS)
    (folder / "penstock.yaml").write_text(_configuration(redis.url))
    with serving("penstock.yaml", cwd=folder) as service:
        yield service


def _configuration(url: str, timeout_ms: float = 300) -> str:
    return f"""
redis: {{url: '{url}', timeout_ms: {timeout_ms}}}
stores: {{users: {{redis: true, prefix: 'user:', timeout_ms: {timeout_ms}}}}}
models: {{m: {{path: m, compile: 'off'}}}}
"""


@pytest.fixture
def users(redis: RedisServer, stored: Service) -> None:
    """Redis is there, and holds what it should."""
    redis.ask("FLUSHALL")
    for i in range(100):
        redis.ask("HSET", f"user:{i}/now", "age", 40, "balance", i)
    wait_until(lambda: ask(stored, 5).status == 200, "Redis", stored.explain)


@pytest.mark.needs("redis-server")
@pytest.mark.usefixtures("users")
def test_redis_completes_rows_in_few_round_trips(stored: Service, redis: RedisServer) -> None:
    connections = [http.client.HTTPConnection("127.0.0.1", stored.port, timeout=30) for _ in range(100)]
    for connection in connections:
        connection.request("GET", "/health")
        connection.getresponse().read()
    (front,) = stored.processes("front")
    calls, reads = redis.calls("hmget"), redis.reads()
    os.kill(front, signal.SIGSTOP)  # so that all of them are there when it looks
    try:
        for user, connection in enumerate(connections):
            body = json.dumps({"user_id": user, "features": {"amount": 1}})
            connection.request("POST", "/predict-with-context", body, {"content-type": "application/json"})
    finally:
        os.kill(front, signal.SIGCONT)
    answers = [json.loads(connection.getresponse().read()) for connection in connections]
    for connection in connections:
        connection.close()
    assert [round(answer["prediction"] * 1000) for answer in answers] == [1_040_000 + user for user in range(100)]
    assert redis.calls("hmget") - calls == 100
    assert redis.reads() - reads < 30, "and not 100: it reads at once what is asked at once"


@pytest.mark.needs("redis-server")
@pytest.mark.usefixtures("users")
def test_garbage_in_redis_has_its_default_or_is_refused(stored: Service, redis: RedisServer) -> None:
    redis.ask("SET", "user:text/now", "garbage")
    redis.ask("HSET", "user:odd/now", "age", b"\xff\xfe", "balance", "3")
    redis.ask("HSET", "user:nan/now", "age", "40", "balance", "nan")
    redis.ask("HSET", "user:huge/now", "age", "9" * 100_000, "balance", "4")
    redis.ask("LPUSH", "user:list/now", "age", "balance")
    for key in ("text", "nan", "list"):
        reply = ask(stored, key)
        assert (reply.status, reply.body["code"]) == (422, "missing_context")
        assert reply.body["detail"] == "At user_id: balance of this user_id is no value that the model takes."
    assert asked(ask(stored, "odd")) == (1, 30, 3)
    assert asked(ask(stored, "huge")) == (1, 30, 4)
    assert asked(ask(stored, 9)) == (1, 40, 9)


@pytest.mark.needs("redis-server")
@pytest.mark.usefixtures("users")
def test_no_key_but_the_stores_own_is_read(stored: Service, redis: RedisServer) -> None:
    for key in ("5/now", "session:5/now", "5"):
        redis.ask("HSET", key, "age", 1, "balance", 1)
    assert asked(ask(stored, 5)) == (1, 40, 5)
    for named in ("session:5", "../session:5", "user:5"):
        assert ask(stored, named).status == 422


@pytest.mark.needs("redis-server")
@pytest.mark.usefixtures("users")
def test_a_redis_that_was_emptied_knows_nobody(stored: Service, redis: RedisServer) -> None:
    redis.stop()
    redis.start()
    wait_until(lambda: ask(stored, 1).status == 422, "the empty Redis", stored.explain)
    assert ask(stored, 1).body["code"] == "missing_context"


def _is_away(service: Service) -> None:
    """Every request is a clear 503, soon, and counted; and the service is as ready as before."""
    wait_until(lambda: ask(service, 1).status == 503, "the first refusal", service.explain)
    before = _away(service)
    replies = [ask(service, i) for i in range(20)]
    assert {(reply.status, reply.body["code"], reply.headers["retry-after"]) for reply in replies} == {
        (503, "context_unavailable", "1")
    }
    assert _away(service) - before == 40
    assert service.get("/ready").status == 200
    assert service.request("POST", "/predict", {"features": [1, 2, 3]}).status == 200


def _away(service: Service) -> float:
    figures = service.get("/metrics").body.decode()
    name = 'penstock_context_values_total{model="m",result="away",store="users",version="1"} '
    return float(figures.partition(name)[2].partition("\n")[0] or 0)


@pytest.mark.needs("redis-server")
@pytest.mark.usefixtures("users")
def test_a_redis_that_is_stopped_is_a_503_and_is_found_again(stored: Service, redis: RedisServer) -> None:
    redis.stop()
    try:
        _is_away(stored)
    finally:
        redis.start()
    redis.ask("HSET", "user:1/now", "balance", 1)
    wait_until(lambda: ask(stored, 1).status == 200, "Redis again", stored.explain)


@pytest.mark.needs("redis-server")
@pytest.mark.usefixtures("users")
def test_a_redis_that_stands_still_is_a_503_in_time(stored: Service, redis: RedisServer) -> None:
    redis.freeze()
    try:
        _is_away(stored)
    finally:
        redis.thaw()
    wait_until(lambda: ask(stored, 1).status == 200, "Redis again", stored.explain)


@pytest.mark.needs("redis-server")
def test_a_wrong_password_leaves_the_defaults(tmp_path: Path, artifact: bytes) -> None:
    with redis_server(tmp_path, "--requirepass", PASSWORD) as server:
        made(tmp_path, artifact, REDIS.replace("balance: {}", "balance: {default: 8}"))
        url = server.url.replace("://", "://:n0t-that@")
        (tmp_path / "penstock.yaml").write_text(_configuration(url))
        with serving("penstock.yaml", cwd=tmp_path) as service:
            assert asked(ask(service, 1)) == (1, 30, 8)
            line = service.wait_for("prediction")
            assert line["context"][0]["defaults"] == ["age", "balance"]
            assert "n0t-that" not in service.log.read_text()


def test_a_body_shows_in_no_line_of_the_log(tabled: tuple[Service, Path]) -> None:
    service, _ = tabled
    ask(service, "very-secret-user", x_request_id="hidden")
    service.wait_for("prediction", lambda line: line["request_id"] == "hidden")
    assert "very-secret-user" not in json.dumps(service.lines())
