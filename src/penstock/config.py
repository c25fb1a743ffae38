"""The settings: small frozen slices, each setting declared once, with its bounds and its help.

Files, environment, flags and the reference documentation derive from these declarations.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1, le=10**9)]  # beyond which nobody means it, and far below what processes cannot tell
Size = Annotated[int, Meta(ge=1, le=2**50, extra={"kind": "size"})]  # bytes; a file may say 16MiB
Word = Annotated[str, Meta(extra={"kind": "word"})]  # text that a file may write as a bare number
Network = Annotated[str, Meta(extra={"kind": "network"})]  # an address or a network of them
FilePath = Annotated[str, Meta(extra={"kind": "path"})]  # relative to the file that says it
HeaderName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", extra={"expected": "the name of a header such as X-User-ID"}),
]
Rate = Annotated[
    str,
    Meta(
        pattern=r"^[1-9][0-9]{0,8}/(s|min)$",
        extra={"expected": "a rate from 1 to 999999999, such as 100/s or 6000/min"},
    ),
]
Url = Annotated[str, Meta(extra={"kind": "url"})]  # whose password is shown to nobody
LOAD = r"^(all|latest:[1-9][0-9]{0,3}|[A-Za-z0-9_][A-Za-z0-9_.+-]*(,[A-Za-z0-9_][A-Za-z0-9_.+-]*)*)$"


class Slice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings that one part of the service needs."""


class Server(Slice, frozen=True, kw_only=True):
    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 takes a free one")] = 8000
    workers: Annotated[int, Meta(ge=1, le=64, description="front processes that speak HTTP")] = 1
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Meta(
            extra={"expected": "a list of addresses and networks such as 10.0.0.0/8"},
            description="proxies whose X-Forwarded-For says who the client is",
        ),
    ] = ()
    tls_cert: Annotated[
        FilePath | None,
        Meta(description="certificate to speak HTTPS with, in PEM, and after it those that vouch for it"),
    ] = None
    tls_key: Annotated[
        FilePath | None, Meta(description="private key of the certificate (tls_cert), in PEM, without a password")
    ] = None


class Limits(Slice, frozen=True, kw_only=True):
    rows: Annotated[Count, Meta(description="rows in one request")] = 1000
    body: Annotated[Size, Meta(description="bytes of a request's body, such as 16MiB")] = 16 * 2**20
    headers: Annotated[Size, Meta(description="bytes of a request's line and headers")] = 64 * 2**10
    header_count: Annotated[Count, Meta(description="headers of a request")] = 100
    header_s: Annotated[Seconds, Meta(description="seconds in which the headers must arrive")] = 5.0
    body_s: Annotated[Seconds, Meta(description="seconds in which the body must arrive")] = 10.0
    idle_s: Annotated[Seconds, Meta(description="seconds that a connection may stay silent between requests")] = 75.0
    send_s: Annotated[Seconds, Meta(description="seconds in which the client must take its answer")] = 30.0
    connections: Annotated[
        Count,
        Meta(description="connections of one front, fewer where descriptors are; others get 503, except for health"),
    ] = 10_000


class Drain(Slice, frozen=True, kw_only=True):
    linger_s: Annotated[
        Seconds, Meta(description="seconds of serving on, not ready, after SIGTERM, so that load balancers notice")
    ] = 5.0
    finish_s: Annotated[Seconds, Meta(description="seconds in which admitted requests may finish after that")] = 20.0


class Logs(Slice, frozen=True, kw_only=True):
    format: Annotated[
        Literal["auto", "json", "text"], Meta(description="auto is text on a terminal and JSON elsewhere")
    ] = "auto"
    file: Annotated[FilePath | None, Meta(description="file to append to instead of standard output")] = None


class Redis(Slice, frozen=True, kw_only=True):
    """Where several machines agree. What it is used for says so itself: `quota.store`, a model's `cache.store`."""

    url: Annotated[
        Annotated[
            Url,
            Meta(
                pattern=r"^(rediss?|unix)://.+$",
                extra={"expected": "a URL such as redis://127.0.0.1:6379/0, rediss://… or unix://…"},
            ),
        ]
        | None,
        Meta(description="the Redis that several machines share: redis://user:password@host:6379/0, rediss, unix"),
    ] = None
    timeout_ms: Annotated[
        float, Meta(gt=0, description="milliseconds for an answer of Redis, after which the service goes on without")
    ] = 20.0
    prefix: Annotated[Word, Meta(description="what the names of all keys in Redis begin with")] = "penstock"


class Allowance(Slice, frozen=True, kw_only=True):
    """What one client may ask for."""

    requests: Annotated[
        Rate | None, Meta(description="predictions that one client may ask for, such as 100/s or 6000/min")
    ] = None
    requests_burst: Annotated[
        Count | None, Meta(description="how many of them at once; as many as the rate says, where this does not say")
    ] = None
    rows: Annotated[Rate | None, Meta(description="rows that one client may have predicted")] = None
    rows_burst: Annotated[
        Count | None, Meta(description="how many of them at once; as many as the rate says, where this does not say")
    ] = None


class Quota(Allowance, frozen=True, kw_only=True):
    """What every client may; clients are told apart by their keys, and without keys by their addresses."""

    store: Annotated[
        Literal["local", "redis"], Meta(description="local counts on this machine, redis on all that share one")
    ] = "local"


class Cache(Slice, frozen=True, kw_only=True):
    """Answers that are kept, so that the model need not be asked for the same row again."""

    mode: Annotated[
        Literal["off", "on", "auto"], Meta(description="auto keeps answers where looking them up is seen to pay")
    ] = "off"
    store: Annotated[
        Literal["memory", "redis"], Meta(description="memory is each front's own; redis is shared by all")
    ] = "memory"
    ttl_s: Annotated[float, Meta(gt=0, description="seconds for which an answer is kept")] = 60.0
    rows: Annotated[Count, Meta(description="answers, of a row each, that one front keeps")] = 10_000
    memory: Annotated[Size, Meta(description="bytes that they may take in one front, such as 64MiB")] = 64 * 2**20


class Store(Slice, frozen=True, kw_only=True):
    """Where features come from that clients do not send: Redis, a table, or a store of one's own."""

    redis: Annotated[
        bool,
        Meta(
            description="the hashes of the Redis at redis.url; an entity is called like its key there, after the prefix"
        ),
    ] = False
    prefix: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(
            description="what the names of all its keys in Redis begin with, such as user: ; no other key is ever read"
        ),
    ] = None
    file: Annotated[
        FilePath | None,
        Meta(description="a .csv or .parquet table, a row for each entity; read again when it changes"),
    ] = None
    key: Annotated[Word | None, Meta(description="column of the table that holds the entities")] = None
    python: Annotated[
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*$",
                extra={"expected": "a module and a name in it, such as my_stores:Users"},
            ),
        ]
        | None,
        Meta(description="a store of one's own: module:name of a class with an `async def get`"),
    ] = None
    timeout_ms: Annotated[
        float, Meta(gt=0, description="milliseconds for a look-up, and no longer than the request has time")
    ] = 50.0


class Batching(Slice, frozen=True, kw_only=True):
    max_rows: Annotated[Count, Meta(description="rows in one batch")] = 1024
    max_wait_ms: Annotated[
        float, Meta(ge=0, description="milliseconds to wait for a batch to fill; 0 takes what is there")
    ] = 0.0


class Queue(Slice, frozen=True, kw_only=True):
    rows: Annotated[Count, Meta(description="rows that may wait; more are refused with 503")] = 4096
    wait_ms: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="milliseconds one may wait for the model; who is expected to wait longer gets 503"),
    ] = None
    priority: Annotated[
        Literal["off", "header", "key"],
        Meta(
            description="header puts requests with X-Priority: high first, key those whose key has high priority; "
            "others are refused before them"
        ),
    ] = "off"


Percent = Annotated[float, Meta(ge=0, le=100)]


class Guard(Slice, frozen=True, kw_only=True):
    """How much worse than the default version a canary may be, before all requests go back to that."""

    error_percent: Annotated[
        Percent | None,
        Meta(description="how many more of a hundred requests may fail (5xx) with the canary than with the default"),
    ] = None
    latency_ratio: Annotated[
        Annotated[float, Meta(ge=1)] | None,
        Meta(description="how many times as long the canary's requests may take, by their 90th percentile"),
    ] = None
    disagreement_percent: Annotated[
        Percent | None, Meta(description="how many of a hundred requests the canary may answer otherwise")
    ] = None
    min_requests: Annotated[Count, Meta(description="requests of the canary before it is judged")] = 100

    @property
    def compares(self) -> bool:
        """Whether the canary has to be asked what the default version is."""
        return self.latency_ratio is not None or self.disagreement_percent is not None

    @property
    def limits(self) -> bool:
        """Whether there is any."""
        return (self.error_percent, self.latency_ratio, self.disagreement_percent) != (None, None, None)


class Canary(Slice, frozen=True, kw_only=True):
    version: Annotated[
        Word | None, Meta(description="version that is tried on a share of the requests that name none")
    ] = None
    percent: Annotated[float, Meta(ge=0, le=100, description="how many of a hundred requests go to it")] = 0.0
    sticky: Annotated[
        HeaderName | None,
        Meta(
            description="header whose value decides who gets it, so that the same client always gets the same version"
        ),
    ] = None
    guard: Guard = Guard()


class Shadow(Slice, frozen=True, kw_only=True):
    version: Annotated[
        Word | None, Meta(description="version that is asked the same once the answer is sent, and compared")
    ] = None
    percent: Annotated[float, Meta(ge=0, le=100, description="how many of a hundred requests it is asked")] = 100.0


class Route(Slice, frozen=True, kw_only=True):
    default: Annotated[
        Word, Meta(description="version that answers who names none; latest is the newest that has passed its checks")
    ] = "latest"
    canary: Canary = Canary()
    shadow: Shadow = Shadow()
    tolerance: Annotated[
        float, Meta(ge=0, description="share of a number by which two versions may differ and still agree on it")
    ] = 0.01


class Model(Slice, frozen=True, kw_only=True):
    """One model of the service. `path` is an artifact, a model directory, or a directory of versions."""

    path: Annotated[FilePath, Meta(description="artifact, model directory, or directory of versions")]
    load: Annotated[
        str,
        Meta(
            pattern=LOAD,
            extra={"kind": "load", "expected": "latest: N, all, or a list of versions"},
            description="versions to load beside those that the route names: latest:N, all, or a list of them",
        ),
    ] = "latest:1"
    route: Route = Route()
    batching: Batching = Batching()
    queue: Queue = Queue()
    cache: Cache = Cache()
    replicas: Annotated[Count, Meta(description="processes that hold a copy of the model")] = 1
    device: Annotated[
        str,
        Meta(
            pattern=r"^(auto|cpu|cuda(:\d+)?)$",
            extra={"expected": "auto, cpu, cuda or cuda:N"},
            description="auto, cpu, cuda or cuda:N; for ONNX and TorchScript",
        ),
    ] = "auto"
    memory: Annotated[
        Size | None, Meta(description="bytes of data that a process of the model may hold, such as 2GiB")
    ] = None
    deadline_ms: Annotated[
        float, Meta(gt=0, description="milliseconds a request may take where it does not say (X-Request-Timeout-Ms)")
    ] = 30_000.0
    predict_timeout_s: Annotated[
        float,
        Meta(gt=0, description="seconds one batch may take, once it has begun, before the model's process is killed"),
    ] = 30.0
    start_timeout_s: Annotated[
        float, Meta(gt=0, description="seconds in which the model must load, warm up and answer its examples")
    ] = 300.0
    compile: Annotated[
        Literal["auto", "off", "require"],
        Meta(description="auto runs a scikit-learn model compiled where shown to be equal; require refuses it else"),
    ] = "auto"
    compile_timeout_s: Annotated[
        float, Meta(gt=0, description="seconds that compiling may take, beside start_timeout_s")
    ] = 60.0
    inputs: Annotated[
        Word | None, Meta(description="what an artifact without shapes takes: 4, or 3x224x224, or name:dtype,…")
    ] = None
    code_path: Annotated[
        tuple[FilePath, ...], Meta(description="files or directories of the model's own Python code")
    ] = ()
    trusted_types: Annotated[tuple[str, ...], Meta(description="types that a skops file may contain")] = ()


class Settings(Slice, frozen=True, kw_only=True):
    """All of it: what `penstock.yaml` may say."""

    server: Server = Server()
    limits: Limits = Limits()
    drain: Drain = Drain()
    logs: Logs = Logs()
    keys: Annotated[
        FilePath | None,
        Meta(
            description="file with the keys that clients need; without one everybody may predict and read, and nobody "
            "administer"
        ),
    ] = None
    quota: Quota = Quota()
    redis: Redis = Redis()
    stores: dict[str, Store] = {}
    state_dir: Annotated[
        FilePath,
        Meta(
            description="directory in which is kept what administrators change; beside penstock.yaml, if there is one"
        ),
    ] = ".penstock"
    default_model: Annotated[
        str | None, Meta(description="the model that /predict means; not needed where there is only one")
    ] = None
    lock: Annotated[
        FilePath | None,
        Meta(description="file with the sha256 of what may be unpickled; usually penstock.lock beside what is named"),
    ] = None
    models: dict[str, Model] = {}
