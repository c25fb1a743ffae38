"""Redis at its worst, under load, with quotas, caches and features in it: predictions go on, and none is wrong."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.acceptance.driver import Service, penstock, serving, wait_until
from tests.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.needs("redis-server")

PREDICTOR = """
import numpy as np

class Predictor:
    def load(self, folder):
        pass

    def predict(self, rows):
        rows = np.asarray(rows, "float64")
        return rows[:, 0] + 10 * rows[:, 1] + 100 * rows[:, 2]
"""
MANIFEST = """
artifact: predictor.py
inputs: [{name: sent, dtype: float64}, {name: stored, dtype: float64}, {name: usual, dtype: float64}]
context:
  - key: user_id
    store: users
    features: {stored: {}}
  - key: shop_id
    store: shops
    features: {usual: {default: 3}}
"""
CONFIGURATION = """
logs: {format: json}
redis: {url: "URL"}
quota: {requests: 100000/s, rows: 100000/s, store: redis}
stores: {users: {redis: true, prefix: "user:"}, shops: {redis: true, prefix: "shop:"}}
models:
  sum:
    path: models/sum
    cache: {mode: "on", store: redis, ttl_s: 0.5}
"""
USER, SHOP = 4.0, 5.0
NEEDS_REDIS = "/predict-with-context"


class Scene(NamedTuple):
    service: Service
    redis: RedisServer
    folder: Path


@contextmanager
def scene_in(folder: Path) -> Iterator[Scene]:
    (folder / "models/sum").mkdir(parents=True)
    (folder / "models/sum/predictor.py").write_text(PREDICTOR)
    (folder / "models/sum/model.yaml").write_text(MANIFEST)
    with redis_server(folder) as redis:
        (folder / "penstock.yaml").write_text(CONFIGURATION.replace("URL", redis.url))
        assert penstock("lock", "penstock.yaml", cwd=folder).returncode == 0
        with serving("penstock.yaml", "--workers", "2", cwd=folder) as service:
            scene = Scene(service, redis, folder)
            fill(redis)
            yield scene


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene_in(tmp_path_factory.mktemp("redis")) as scene:
        yield scene


@pytest.fixture
def scene(shared: Scene) -> Scene:
    """Redis is well, has what it should, and the service knows."""
    with suppress(OSError):
        fill(shared.redis)
    wait_until(lambda: ask_all(shared.service) == WELL, "Redis", shared.service.explain)
    return shared


def fill(redis: RedisServer) -> None:
    redis.ask("FLUSHALL")
    redis.ask("HSET", "user:u1", "stored", USER)
    redis.ask("HSET", "shop:s1", "usual", SHOP)


class Answer(NamedTuple):
    """What came of a request: its status, its code, and whether the value, if any, is right."""

    status: int
    code: str | None = None
    right: bool = True


WELL = (Answer(200), Answer(200))
LATE = Answer(503, "context_unavailable")
"""Redis took longer than it may: on a busy machine that is so now and then, whatever else is wrong with it."""


def ask_all(service: Service) -> tuple[Answer, Answer]:
    return ask(service, 1), ask_with_context(service, 1)


def ask(service: Service, sent: float) -> Answer:
    """What Redis has no part in but for quota and cache."""
    reply = service.request("POST", "/predict", {"features": {"sent": sent, "stored": 2.0, "usual": 1.0}})
    return answer_of(reply.status, reply.body, {sent + 120})


def ask_with_context(service: Service, sent: float) -> Answer:
    """What needs Redis for one feature, and has a default for the other, which may be known or not."""
    body = {"user_id": "u1", "shop_id": "s1", "features": {"sent": sent}}
    reply = service.request("POST", "/predict-with-context", body)
    return answer_of(reply.status, reply.body, {sent + 10 * USER + 100 * SHOP, sent + 10 * USER + 300})


def answer_of(status: int, body: Any, right: set[float]) -> Answer:
    if status == 200:
        return Answer(200, None, body["prediction"] in right)
    return Answer(status, body["code"])


class Crowd:
    """Clients that ask with and without context until told to stop, the same rows again and again."""

    def __init__(self, service: Service) -> None:
        self.plain: Counter[Answer] = Counter()
        self.completed: Counter[Answer] = Counter()
        self._service = service
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(seen, one), daemon=True)
            for seen, one in ((self.plain, ask), (self.completed, ask_with_context)) * 3
        ]
        self._lock = threading.Lock()

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        self.wait_for(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for(self, more: int) -> None:
        """Until so many more of each kind were answered."""
        plain, completed = self.plain.total() + more, self.completed.total() + more

        def done() -> bool:
            return self.plain.total() >= plain and self.completed.total() >= completed

        wait_until(done, f"{more} answers", self._service.explain)

    def _run(self, seen: Counter[Answer], one: Callable[[Service, float], Answer]) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            answer = one(self._service, float(turn % 7))
            with self._lock:
                seen[answer] += 1


def stop(redis: RedisServer) -> None:
    redis.stop()


def freeze(redis: RedisServer) -> None:
    redis.freeze()


def want_a_password(redis: RedisServer) -> None:
    redis.ask("CONFIG", "SET", "requirepass", "another")
    redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", password="another")


AWAY: dict[str, tuple[Callable[[RedisServer], None], Callable[[RedisServer], object]]] = {
    "stopped": (stop, lambda redis: redis.start()),
    "frozen": (freeze, lambda redis: redis.thaw()),
    "locked": (want_a_password, lambda redis: redis.ask("CONFIG", "SET", "requirepass", "", password="another")),
}


@pytest.mark.parametrize("state", AWAY)
def test_redis_goes_away_under_load_and_comes_back(scene: Scene, state: str) -> None:
    leave, come_back = AWAY[state]
    with Crowd(scene.service) as crowd:
        leave(scene.redis)
        crowd.wait_for(200)
        come_back(scene.redis)
        fill(scene.redis)
        wait_until(lambda: ask_all(scene.service) == WELL, "Redis", scene.service.explain)
        crowd.wait_for(100)
    assert set(crowd.plain) == {Answer(200)}, "quota and cache never cost a prediction"
    refusals = crowd.completed - Counter({Answer(200): crowd.completed.total()})
    assert {(answer.status, answer.code) for answer in refusals} <= {
        (503, "context_unavailable"),
        (422, "missing_context"),
    }
    assert crowd.completed[LATE] > 0
    assert crowd.completed[Answer(200)] > 0
    for slot, purpose in product(("front-0", "front-1"), ("cache", "quotas and features")):
        wait_until(partial(is_back, scene, slot, purpose), "each connection to be back", scene.service.explain)
        told = said_of_redis(scene, slot, purpose)
        assert told == ["redis_away", "redis_back"] * (len(told) // 2), "each is said once, in turn"


def is_back(scene: Scene, slot: str, purpose: str) -> bool:
    return said_of_redis(scene, slot, purpose)[-1:] != ["redis_away"]


def said_of_redis(scene: Scene, slot: str, purpose: str) -> list[str]:
    """That it is away, or back: what one connection of a front has logged."""
    lines = [line for line in scene.service.lines() if line.get("process") == slot and line.get("purpose") == purpose]
    return [line["event"] for line in lines if line["event"] in ("redis_away", "redis_back")]


def test_a_slow_redis_is_as_good_as_none_to_quota_and_cache(scene: Scene) -> None:
    over = threading.Event()
    with Crowd(scene.service) as crowd:
        pausing = threading.Thread(target=pause, args=(scene.redis, over), daemon=True)
        pausing.start()
        crowd.wait_for(300)
        over.set()
        pausing.join(30)
    assert set(crowd.plain) == {Answer(200)}
    assert {(answer.status, answer.right) for answer in crowd.completed} <= {(200, True), (503, True)}


def pause(redis: RedisServer, over: threading.Event) -> None:
    """It answers nobody for a while, again and again."""
    while not over.is_set():
        redis.ask("CLIENT", "PAUSE", 60, "ALL")
        time.sleep(0.09)


def test_an_empty_redis_is_filled_again(scene: Scene) -> None:
    with Crowd(scene.service) as crowd:
        scene.redis.ask("FLUSHALL")
        crowd.wait_for(100)
        fill(scene.redis)
        wait_until(lambda: ask_all(scene.service) == WELL, "features", scene.service.explain)
    assert set(crowd.plain) == {Answer(200)}
    assert set(crowd.completed) <= {Answer(200), Answer(422, "missing_context"), LATE}


GARBAGE: dict[str, Callable[[RedisServer, bytes], object]] = {
    "noise": lambda redis, key: redis.ask("SET", key, b"\x00\xff" * 50),
    "nothing": lambda redis, key: redis.ask("SET", key, b""),
    "a list": lambda redis, key: (redis.ask("DEL", key), redis.ask("RPUSH", key, "x")),
    "a hash": lambda redis, key: (
        redis.ask("DEL", key),
        redis.ask("HSET", key, "x", "y", "stored", "nan", "usual", "x"),
    ),
    "too much": lambda redis, key: redis.ask("SETRANGE", key, 2**21, b"x"),
    "a pickle": lambda redis, key: redis.ask("SET", key, b"cos\nsystem\n(S'touch evil'\ntR."),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_never_believed(scene: Scene, kind: str) -> None:
    """Whatever it keeps there is replaced, again and again, while it is being used."""
    with Crowd(scene.service) as crowd:
        for _ in range(5):
            for key in scene.redis.ask("KEYS", "*"):
                with suppress(Exception):  # a key may have lapsed meanwhile
                    GARBAGE[kind](scene.redis, key)
            crowd.wait_for(30)
    assert set(crowd.plain) == {Answer(200)}
    refused = {(answer.status, answer.code) for answer in crowd.completed if answer.status != 200}
    assert all(answer.right for answer in crowd.completed)
    assert refused <= {(422, "missing_context"), (503, "context_unavailable")}
    assert not (scene.folder / "evil").exists()


def test_a_value_of_another_row_or_version_is_never_believed(scene: Scene) -> None:
    """Every cached answer is put in the place of every other."""
    rejected = counted(scene.service, "penstock_cache_rejected_total")
    with Crowd(scene.service) as crowd:
        for _ in range(5):
            cached = sorted(scene.redis.ask("KEYS", "penstock:cache:*"))
            values = [scene.redis.ask("GET", key) for key in cached]
            for key, value in zip(cached, values[1:] + values[:1], strict=True):
                if value is not None:
                    scene.redis.ask("SET", key, value)
            crowd.wait_for(50)
    assert set(crowd.plain) == {Answer(200)}
    assert set(crowd.completed) <= {Answer(200), LATE}
    assert counted(scene.service, "penstock_cache_rejected_total") > rejected, "some were met"
    assert counted(scene.service, 'result="hit"') > 0


def counted(service: Service, series: str) -> float:
    """The sum of all series in whose names and labels this is."""
    figures = service.get("/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in figures if series in line and not line.startswith("#"))
