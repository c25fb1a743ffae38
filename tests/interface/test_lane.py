"""The lane: a prediction is answered alike whichever way it comes, in its turn, and only to who still waits."""

import asyncio
import gc
import http.client
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from msgspec import structs

from penstock.config import Cache, Limits, Logs, Model, Settings, Store
from penstock.inference.caches import Caches
from penstock.inference.engine import Engine
from penstock.inference.outputs import Outputs
from penstock.inference.rows import Rows
from penstock.inference.stores.registry import Stores
from penstock.inference.ticket import Result, Ticket
from penstock.inference.versions import LoopTimer, Versions
from penstock.interface.access import Access, Shown
from penstock.interface.accounts import Accounts
from penstock.interface.app import App
from penstock.interface.call import Call
from penstock.interface.client import Clients
from penstock.interface.lane import Exchange, Lane
from penstock.interface.native import Native, Reply
from penstock.interface.protocol import Protocol
from penstock.interface.scope import GONE
from penstock.interface.server import HttpServer
from penstock.model.control import Loaded, ModelState, VersionState
from penstock.model.signature import Field, Output, OutputField, Signature
from penstock.observability.logs import open_log
from penstock.observability.metrics import Figures
from penstock.testing import FakeHost

pytestmark = pytest.mark.anyio

SIGNATURE = Signature(
    inputs=(Field(name="a", range=(0, 10)), Field(name="b")),
    output=Output(fields=(OutputField(name="prediction", classes=("no", "yes")),), probabilities=True),
)
LOADED = Loaded(signature=SIGNATURE, sha256="0" * 64, bytes=1, runtime="fake", device="cpu")
STATE = VersionState(version="1", state="ready", path="x", format="onnx", loaded=LOADED, live=1)
LEFT = (Protocol, Exchange, Call, Ticket)
SETTINGS = Settings(limits=Limits(body=2000, rows=5), models={"m": Model(path="x")})


class World:
    """A front without its process: the lane, the server, and a host that says yes where the first feature is odd."""

    def __init__(self, port: int, log: Path, native: Native, lane: Lane, app: App, figures: Figures) -> None:
        self.port = port
        self.native = native
        self.log = log
        self.lane = lane
        self.app = app
        self.figures = figures
        self.served = native.engine.enter(None, None, {}, "")
        self.batcher = self.served.batcher
        self.host = FakeHost(self.batcher)
        self.batcher.attach(self.host)
        self.working: asyncio.Task[None] | None = None

    async def work(self) -> None:
        while True:
            await asyncio.sleep(0)
            if self.host.flight:
                odd = [int(x) % 2 for t in self.host.sent[-1].tickets for x in first_features(t.rows.columns[0])]
                self.host.answer(Outputs([odd], [0.75] * len(odd), [[0.25, 0.75]] * len(odd), {}))

    async def send(self, *requests: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"".join(requests))
        answers = b""
        while answers.count(b"HTTP/1.1 ") < len(requests) or not answers.endswith(b"}"):
            answers += await asyncio.wait_for(reader.read(65536), 5)
        writer.close()
        return answers

    async def through_asgi(self, request: bytes) -> tuple[int, Any]:
        head, _, body = request.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        path, _, query = line.split()[1].partition(b"?")
        scope = {
            "type": "http", "method": line.split()[0].decode(), "path": path.decode(), "query_string": query,
            "headers": [(name.lower(), value) for name, value in (each.split(b": ", 1) for each in lines)],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], timeless(json.loads(sent[1]["body"]))


def first_features(column: Any) -> list[float]:
    return list(memoryview(column).cast("d"))[::2]


def timeless(body: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k not in ("latency_ms", "timestamp", "request_id")}


async def no_operations(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


@asynccontextmanager
async def world(
    tmp_path: Path,
    trusted_proxies: tuple[str, ...] = (),
    state: VersionState = STATE,
    stores: Mapping[str, Store] = MappingProxyType({}),
    model: Model = Model(path="x"),  # noqa: B008 # frozen
) -> AsyncIterator[World]:
    figures = Figures()
    log = open_log(Logs(format="json", file=str(tmp_path / "log")), "front-0")
    loop = asyncio.get_running_loop()
    caches = Caches(figures, log, LoopTimer(loop), loop.call_soon)
    kept = Stores(stores, log, None)
    versions = Versions(SETTINGS, figures, lambda host: None, lambda *released: None, caches, kept)
    versions.update([ModelState(name="m", default="1", settings=model, versions=(state,))])
    native = Native(Engine(versions), SETTINGS.limits, Access())
    native.update(versions.models)
    later = asyncio.get_running_loop().call_later
    lane = Lane(native, Accounts(log, figures, "front-0", later, Clients(trusted_proxies)))
    app = App(lane, no_operations)
    server = HttpServer(app, lane)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.listen(0, listener)
    made = World(listener.getsockname()[1], tmp_path / "log", native, lane, app, figures)
    made.working = asyncio.create_task(made.work())
    try:
        yield made
    finally:
        made.working.cancel()
        await server.stop(0)
        log.close()


def post(path: str, body: bytes, *headers: bytes) -> bytes:
    typed = [] if b"content-type" in b"".join(headers) else [b"content-type: application/json"]
    lines = [b"POST %b HTTP/1.1" % path.encode(), b"host: x", b"content-length: %d" % len(body), *typed, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


ROW = b'{"features":[1,2]}'
REQUESTS = [
    post("/predict", ROW),
    post("/predict?probabilities=true", ROW),
    post("/models/m/predict", b'{"features":{"b":1,"a":2}}'),
    post("/predict-batch", b'{"batch":[[1,2],[2,2],[3,1]]}'),
    post("/predict-batch?probabilities=true&model_version=1", b'{"batch":[[1,2]]}'),
    post("/predict", b'{"features":[1]}'),
    post("/predict", b'{"features":[1,"x"]}'),
    post("/predict", b"nonsense"),
    post("/predict?probabilities=perhaps", ROW),
    post("/predict?probabilites=true", ROW),
    post("/predict?model_version=7", ROW),
    post("/models/nobody/predict", ROW),
    post("/predict-batch", b'{"batch":[]}'),
    post("/predict", b" " * 3000),
    post("/predict", ROW, b"content-type: text/html"),
    post("/predict", ROW, b"x-request-timeout-ms: never"),
    post("/predict", ROW, b"x-model-version: 3"),
    post("/predict", ROW).replace(b"POST", b"PUT", 1),
]


@pytest.mark.parametrize("request_bytes", REQUESTS)
async def test_straight_from_the_protocol_or_through_asgi_the_answer_is_the_same(
    tmp_path: Path, request_bytes: bytes
) -> None:
    async with world(tmp_path) as front:
        head, _, body = (await front.send(request_bytes)).partition(b"\r\n\r\n")
        straight = int(head.split()[1]), timeless(json.loads(body))
        assert straight == await front.through_asgi(request_bytes)


async def test_pipelined_requests_are_answered_in_their_order(tmp_path: Path) -> None:
    requests = [post("/predict", b'{"features":[%d,0]}' % n, b"x-request-id: r%d" % n) for n in range(20)]
    async with world(tmp_path) as front:
        answers = (await front.send(*requests)).split(b"HTTP/1.1 ")[1:]
        assert [answer.split(b"x-request-id: ")[1].split()[0] for answer in answers] == [b"r%d" % n for n in range(20)]
        assert [b'"yes"' in answer for answer in answers] == [n % 2 == 1 for n in range(20)]


async def test_whoever_goes_away_leaves_the_queue_and_is_logged_as_499(tmp_path: Path) -> None:
    async with world(tmp_path) as front:
        assert front.working is not None
        front.working.cancel()
        _, first = await asyncio.open_connection("127.0.0.1", front.port)
        first.write(post("/predict", ROW))
        await until(lambda: bool(front.host.flight))
        _, second = await asyncio.open_connection("127.0.0.1", front.port)
        second.write(post("/predict", ROW))
        await until(lambda: front.batcher.queued_rows == 1)
        second.close()
        await until(lambda: front.batcher.queued_rows == 0)
        await until(lambda: [line["status"] for line in lines(front.log)] == [499])
        first.close()


@pytest.mark.parametrize("straight", [True, False])
async def test_whose_row_another_waits_for_too_may_go_away_and_is_logged_as_499(tmp_path: Path, straight: bool) -> None:
    async with world(tmp_path, model=Model(path="x", cache=Cache(mode="on"))) as front:
        assert front.working is not None
        front.working.cancel()
        leave = await (going(front) if straight else going_through_asgi(front))
        await until(lambda: bool(front.host.flight))
        guest = asyncio.create_task(front.send(post("/predict", ROW)))
        cache = front.served.cache
        await until(lambda: cache is not None and bool(cache._orders))
        leave()
        await until(lambda: [line["status"] for line in lines(front.log)] == [499])
        front.working = asyncio.create_task(front.work())
        assert (await guest).startswith(b"HTTP/1.1 200")
        assert [flight.rows for flight in front.host.sent] == [1]
        await until(lambda: [line["status"] for line in lines(front.log)] == [499, 200])
        assert cache is not None
        assert cache.is_idle


async def going(front: World) -> Callable[[], object]:
    """Asks straight, and tells how to go away."""
    _, client = await asyncio.open_connection("127.0.0.1", front.port)
    client.write(post("/predict", ROW))
    return client.close


async def going_through_asgi(front: World) -> Callable[[], object]:
    """Asks through ASGI, and tells how to go away."""
    headers = [(b"content-type", b"application/json")]
    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": headers
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": ROW, "more_body": False}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    asking = asyncio.create_task(front.app(scope, receive, send))
    await until(lambda: GONE in scope)
    return lambda: (scope[GONE](), asking)


async def test_whoever_goes_away_while_sending_is_logged_as_499_and_counted_out(tmp_path: Path) -> None:
    async with world(tmp_path) as front:
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(post("/predict", ROW)[:-5])
        await until(lambda: in_flight(front) == 1)
        writer.close()
        await until(lambda: [line["status"] for line in lines(front.log)] == [499])
        assert in_flight(front) == 0


async def test_what_is_wrong_behind_pipelined_requests_costs_none_of_them_its_answer_or_its_account(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as front:
        assert front.working is not None
        front.working.cancel()
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(post("/predict", ROW) * 3 + b"GET / HTTP/1.1\r\nhost: x\r\nno header\r\n\r\n")
        await until(lambda: bool(front.host.flight))
        front.working = asyncio.create_task(front.work())
        answers = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert answers.count(b"HTTP/1.1 200 ") == 3
        await until(lambda: [line["status"] for line in lines(front.log)] == [200] * 3)
        assert in_flight(front) == 0


async def test_a_request_whose_answer_cannot_be_written_is_accounted_for_whichever_way_it_came(tmp_path: Path) -> None:
    class Broken:
        shown = Shown()

        def respond(self, exchange: Exchange, reply: Reply) -> None:
            raise OSError("no way out")

    async def broken(message: Any) -> None:
        raise OSError("no way out")

    never: Any = None  # the body: without a content type it is not asked for
    async with world(tmp_path) as front:
        scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": []}
        with pytest.raises(OSError, match="no way out"):
            await front.app(dict(scope), never, broken)
        endpoint = front.lane.endpoint("/predict")
        assert endpoint is not None
        Exchange(front.lane, endpoint, dict(scope), [], Broken()).begin()
        assert in_flight(front) == 0
        await until(lambda: [line["status"] for line in lines(front.log) if "status" in line] == [415, 415])


async def test_a_body_in_crumbs_is_put_together_in_good_time(tmp_path: Path) -> None:
    async with world(tmp_path) as front:
        body = b'{"features":[1,2]' + b" " * 1900 + b"}"
        crumbs = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        head = (
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        assert b"200 OK" in await front.send(head + crumbs)


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}], ids=["kept alive", "to be closed"])
async def test_a_client_that_sends_all_of_a_body_far_too_large_reads_its_413(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    """Most clients look for an answer only then. What they send is not kept."""

    def ask(port: int) -> tuple[int, Any]:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            client.request("POST", "/predict", bytes(40 * 2**20), headers | {"content-type": "application/json"})
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())["code"]
        finally:
            client.close()

    async with world(tmp_path) as front:
        tracemalloc.start()
        try:
            sending = asyncio.create_task(asyncio.to_thread(ask, front.port))
            assert await sending == (413, "body_too_large")
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert most < 60 * 2**20, "the client's own 40 MiB, and next to nothing here"


async def test_head_gets_no_body(tmp_path: Path) -> None:
    async with world(tmp_path) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"HEAD /predict HTTP/1.1\r\nhost: x\r\n\r\n" + post("/predict", ROW))
        answers = await asyncio.wait_for(reader.readuntil(b'"model_version":"1"}'), 5)
        writer.close()
        assert answers.count(b"HTTP/1.1 ") == 2
        assert answers.split(b"\r\n\r\n")[1].startswith(b"HTTP/1.1 200")


async def test_the_log_line_and_the_figures_tell_what_happened(tmp_path: Path) -> None:
    async with world(tmp_path) as front:
        await front.send(post("/predict", b'{"features":[11,2]}', b"x-request-id: abc"))
        await until(lambda: len(lines(front.log)) == 2)
        odd, line = lines(front.log)
        assert (odd["event"], odd["request_id"], odd["out_of_range"]) == ("unusual_input", "abc", {"a": 1})
        told = {k: line[k] for k in ("event", "request_id", "model", "model_version", "rows", "input_shape", "status")}
        assert told == {
            "event": "prediction", "request_id": "abc", "model": "m", "model_version": "1", "rows": 1,
            "input_shape": [1, 2], "status": 200,
        }  # fmt: skip
        assert (line["prediction"], line["confidence"]) == ("yes", 0.75)
        counted = front.figures.snapshot()["counters"]
        assert [["/predict", "m", "1", "200"], [1]] in [list(pair) for pair in counted["penstock_requests_total"]]
        assert [["m", "1", "a"], [1]] in [list(pair) for pair in counted["penstock_feature_out_of_range_total"]]


@pytest.mark.parametrize(("trusted", "client"), [((), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.5")])
async def test_the_log_names_the_client_or_whom_a_trusted_proxy_names(
    tmp_path: Path, trusted: tuple[str, ...], client: str
) -> None:
    async with world(tmp_path, trusted) as front:
        await front.send(post("/predict", ROW, b"x-forwarded-for: 6.6.6.6, 203.0.113.5"))
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"GET / HTTP/1.1\r\nx-forwarded-for: 203.0.113.5\r\nhost: x\r\nno header\r\n\r\n")
        await until(lambda: len(lines(front.log)) == 2)
        writer.close()
        said = {line["event"]: line["client"] for line in lines(front.log)}
        assert said == {"prediction": client, "request_refused": client}


async def test_probabilities_of_a_model_that_states_none_are_refused(tmp_path: Path) -> None:
    """An answer without them, and without a word, would look as if there were none this time."""
    silent = structs.replace(SIGNATURE, output=structs.replace(SIGNATURE.output, probabilities=False))
    state = structs.replace(STATE, loaded=structs.replace(LOADED, signature=silent))
    async with world(tmp_path, state=state) as front:
        status, body = await front.through_asgi(post("/predict?probabilities=true", ROW))
        said = "This model states no probabilities; leave the parameter out."
        assert (status, body["errors"]) == (422, [{"loc": ["query", "probabilities"], "msg": said}])
        assert (await front.through_asgi(post("/predict?probabilities=false", ROW)))[0] == 200


async def test_a_hostile_request_id_is_replaced(tmp_path: Path) -> None:
    async with world(tmp_path) as front:
        answer = await front.send(post("/predict", ROW, b"x-request-id: a b\tc"))
        assert b"a b" not in answer


async def test_what_a_request_leaves_behind_is_freed_without_the_collector(tmp_path: Path) -> None:
    """Circles would wait for it: for so long, in busy times, that the memory of a front grows with its requests."""
    async with world(tmp_path) as front:
        gc.collect()
        gc.disable()
        try:
            for request in REQUESTS:
                await front.send(request)
            _, leaving = await asyncio.open_connection("127.0.0.1", front.port)
            leaving.write(REQUESTS[0][:-5])
            await until(lambda: in_flight(front) == 1)
            leaving.transport.abort()
            await until(lambda: in_flight(front) == 0)
            front.host.sent.clear()
            await until(lambda: not any(issubclass(type(thing), LEFT) for thing in gc.get_objects()))
        finally:
            gc.enable()


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


async def until(done: Any) -> None:
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


def in_flight(front: World) -> float:
    gauges = front.figures.snapshot()["gauges"]["penstock_requests_in_flight"]
    return float(sum(numbers[0] for _, numbers in gauges))


class Onlooker:
    """Stands for a mirror: notes what `client` had received when a copy came."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.seen: list[tuple[int, list[list[Any]], bytes]] = []

    def copy(self, rows: Rows, result: Result, request_id: str) -> None:
        self.seen.append((rows.count, result.outputs, self.client.recv(65536, socket.MSG_PEEK)))


async def test_an_answer_is_out_before_a_copy_of_it_is_made(tmp_path: Path) -> None:
    async with world(tmp_path) as front:
        client = socket.create_connection(("127.0.0.1", front.port))
        client.setblocking(False)
        mirror: Any = Onlooker(client)
        front.served.mirrors = (mirror,)
        loop = asyncio.get_running_loop()
        for request in (
            post("/predict-batch", b'{"batch":[[1,2],[2,2]]}'),
            post("/predict?model_version=1", ROW),
            post("/predict", b'{"features":[1]}'),
        ):
            await loop.sock_sendall(client, request)
            answer = await asyncio.wait_for(loop.sock_recv(client, 65536), 5)
            assert answer.endswith(b"}")
        ((rows, outputs, out),) = mirror.seen  # neither of who names a version nor of an error
        assert (rows, outputs) == (2, [[1, 0]])
        assert json.loads(out.partition(b"\r\n\r\n")[2])["predictions"] == ["yes", "no"]
        client.close()
