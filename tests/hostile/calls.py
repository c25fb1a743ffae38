"""Whole requests, made knowing what the models take: their statuses are known."""

from collections.abc import Callable, Sequence
from random import Random
from urllib.parse import quote

from tests.hostile.bodies import MALFORMED, MISFIT, body
from tests.hostile.inputs import Input, cut
from tests.hostile.served import LIMITS, Model

NOT_FOUND = frozenset({404})
WRONG_METHOD = frozenset({405})
WRONG_TYPE = frozenset({415})
TOO_LARGE = frozenset({413})
MANY_HEADERS = frozenset({431})
PASSED = frozenset({504})
METHODS = [b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND", b"M-SEARCH", b"SOURCE"]
DEFAULT = "sum"
PAGES = ["/health", "/ready", "/metrics", "/models", "/models/sum", "/models/people/ready", "/docs", "/openapi.json"]

Headers = list[bytes]


class Draft:
    """A request in the making. What is wrong with its head is answered before its body is looked at."""

    def __init__(self, path: str, content: bytes, statuses: frozenset[int], kind: str) -> None:
        self.method = b"POST"
        self.path = path.encode()
        self.host = b"x"
        self.headers: Headers = [b"content-type: application/json"]
        self.content = content
        self.framing = random_framing
        self.kind = kind
        self.of_head: frozenset[int] = frozenset()
        self.of_body = statuses

    @property
    def statuses(self) -> frozenset[int]:
        return self.of_head or self.of_body

    def wrong(self, statuses: frozenset[int], kind: str) -> None:
        """Something is wrong with the head: it is answered with one of these, unless something else is wrong too."""
        self.of_head |= statuses
        self.kind += f", {kind}"


def call(random: Random, models: Sequence[Model], marker: str) -> Input:
    if random.random() < 0.1:
        return page(random, marker)
    model, batch = random.choice(models), random.random() < 0.4
    made = body(random, model.fields, marker, batch=batch)
    prefix = "" if model.name == DEFAULT and random.random() < 0.3 else f"/models/{model.name}"
    draft = Draft(f"{prefix}/predict" + ("-batch" if batch else ""), made.content, made.statuses, made.kind)
    for change in random.sample(CHANGES, random.choice([0, 0, 0, 1, 1, 2])):
        change(random, draft, marker)
    harmless(random, draft, marker)
    return finished(random, draft, marker)


def page(random: Random, marker: str) -> Input:
    """A page that is there, asked for oddly."""
    draft = Draft(random.choice(PAGES), b"", frozenset({200}), "page")
    draft.method = random.choice([b"GET", b"GET", b"HEAD"])
    accepted = [b"*/*", b"text/html;q=x", marker.encode(), b"application/openmetrics-text"]
    draft.headers = [b"accept: " + random.choice(accepted)]
    if random.random() < 0.3:
        draft.path += b"?" + random.choice([marker.encode(), b"a=%00&a=%0a", b"&&&=", b"%"])
    if random.random() < 0.2:
        draft.method = random.choice([b"POST", b"PUT", b"DELETE", b"PATCH"])
        draft.wrong(WRONG_METHOD, "wrong method")
    harmless(random, draft, marker)
    return finished(random, draft, marker)


def finished(random: Random, draft: Draft, marker: str) -> Input:
    lines, content = draft.framing(random, draft.content)
    if not draft.content and draft.method in (b"GET", b"HEAD"):
        lines, content = [], b""
    lines = [*draft.headers, *lines, b"host: " + draft.host]
    random.shuffle(lines)
    head = b"\r\n".join([b"%b %b HTTP/1.1" % (draft.method, draft.path), *lines])
    pieces = cut(random, head + b"\r\n\r\n" + content)
    return Input(pieces, draft.statuses, draft.kind, marker.encode(), call=True, head=draft.method == b"HEAD")


# ------------------------------------------------------------------ framing
def random_framing(random: Random, content: bytes) -> tuple[Headers, bytes]:
    if random.random() < 0.75:
        return [b"content-length: %d" % len(content)], content
    chunks = []
    for piece in (p for p in cut(random, content) if p):
        size = b"%x" % len(piece) if random.random() < 0.8 else b"%08X" % len(piece)
        extension = random.choice([b"", b"", b"", b";a", b";a=b", b';a="b;c"'])
        chunks.append(size + extension + b"\r\n" + piece + b"\r\n")
    trailers = random.choice([b"", b"", b"x-checksum: 1\r\n"])
    return [b"transfer-encoding: chunked"], b"".join([*chunks, b"0\r\n", trailers, b"\r\n"])


# ------------------------------------------------------------------ what changes the answer
def unknown_path(random: Random, draft: Draft, marker: str) -> None:
    paths = [
        f"/{marker}", f"/models/{marker}/predict", "/models//predict", "/models/sum/predict/", "/predict/",
        "//predict", "/PREDICT", "/predict%00", "/predict%0a", f"/%0d%0aset-cookie:{marker}", "/%2e%2e/predict",
        "/%zz", "/%", "/;", "/\\", "/../../../../etc/passwd", "/docs/1/..%2f..%2fapp.py", "/models/sum%2fx/predict",
        "/%F0%9F%82%A1", "/models/%20/predict-batch", f"/{'a' * 4000}{marker}",
        f"/models/{quote(marker * 40)}/predict",
    ]  # fmt: skip
    of_pages = [f"/models/{marker}", f"/models/{marker}/ready", "/docs/x/y"]
    path = random.choice([*paths, *of_pages])
    draft.path = path.encode()
    draft.wrong(WRONG_METHOD if path in of_pages else NOT_FOUND, "unknown path")


def wrong_method(random: Random, draft: Draft, marker: str) -> None:
    draft.method = random.choice(METHODS)
    draft.wrong(WRONG_METHOD | (NOT_FOUND & draft.of_head), "wrong method")


def unknown_version(random: Random, draft: Draft, marker: str) -> None:
    version = random.choice([marker, "0", "-1", "01", "latest", "1.0", "é", "1'--", "9" * 999, "../1", "1%00"])
    if random.random() < 0.5:
        draft.path += b"?model_version=" + quote(version).encode()
    else:
        draft.headers.append(b"x-model-version: " + version.encode("latin-1"))
    draft.wrong(NOT_FOUND, "unknown version")


def wrong_query(random: Random, draft: Draft, marker: str) -> None:
    queries = [
        "probabilities=maybe", f"probabilities={marker}", "probabilities=", "probabilities=TRUE", f"other={marker}",
        "probabilities=true&probabilities=true", "model_version=1&model_version=1", "%00=1", "Probabilities=true",
        f"{marker * 3}=1", f"{marker}%01",
    ]  # fmt: skip
    query = random.choice(queries)
    draft.path += (b"&" if b"?" in draft.path else b"?") + query.encode()
    draft.wrong(MISFIT, "wrong query")


def broken_query(random: Random, draft: Draft, marker: str) -> None:
    query = random.choice([b"a=b#" + marker.encode(), b"\xff" + marker.encode(), b"&".join([b"a=b"] * 101)])
    draft.path += (b"&" if b"?" in draft.path else b"?") + query
    draft.wrong(MALFORMED, "broken query")


def wrong_type(random: Random, draft: Draft, marker: str) -> None:
    types = [
        b"text/plain", b"application/jsonx", b"application/json; charset=latin-1",
        b"application/json;charset=utf-16", marker.encode(), b"application/xml",
        b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"",
        b"application/json, application/json", b"\xff\xfe", b"*/*",
    ]  # fmt: skip
    draft.headers.remove(b"content-type: application/json")
    if random.random() < 0.9:
        draft.headers.append(b"content-type: " + random.choice(types))
    draft.wrong(WRONG_TYPE, "wrong type")


def encoded(random: Random, draft: Draft, marker: str) -> None:
    coding = random.choice([b"gzip", b"br", b"deflate", b"zstd", b"identity, gzip", b"GZIP", marker.encode()])
    draft.headers.append(b"content-encoding: " + coding)
    draft.wrong(WRONG_TYPE, "encoded")


def coded(random: Random, draft: Draft, marker: str) -> None:
    coding = random.choice([b"gzip, chunked", b"deflate,chunked", b"x, chunked", marker.encode() + b", chunked"])

    def framing(random: Random, content: bytes) -> tuple[Headers, bytes]:
        chunk = b"%x\r\n%b\r\n" % (len(content), content) if content else b""
        return [b"transfer-encoding: " + coding], chunk + b"0\r\n\r\n"

    draft.framing = framing
    draft.wrong(WRONG_TYPE, "coded")


def wrong_deadline(random: Random, draft: Draft, marker: str) -> None:
    texts = [
        b"soon",
        b"-5",
        b"0",
        b"nan",
        b"inf",
        b"1_0",
        b"",
        b"0x10",
        marker.encode(),
        b"9" * 500,
        b"\xb2",
        b"1 2",
        b"1e-999",
    ]
    draft.headers.append(b"x-request-timeout-ms: " + random.choice(texts))
    draft.wrong(MALFORMED, "wrong deadline")


def too_long(random: Random, draft: Draft, marker: str) -> None:
    size = int(LIMITS["body"])
    draft.content += b" " * (size + random.choice([1, 100, 100_000]) - len(draft.content))
    draft.wrong(TOO_LARGE, "too long")


def many_headers(random: Random, draft: Draft, marker: str) -> None:
    line = random.choice([b"x: y", marker.encode() + b": 1", b"x-" + b"a" * 100 + b": b"])
    large = b"x-large: " + marker.encode() * 1500
    draft.headers += [line] * random.choice([101, 150]) if random.random() < 0.5 else [large]
    draft.wrong(MANY_HEADERS, "many headers")


def repeated(random: Random, draft: Draft, marker: str) -> None:
    name = random.choice([b"Host", b"content-TYPE", b"x-model-version", b"X-Request-Timeout-Ms", b"content-encoding"])
    value = random.choice([marker.encode(), b"1", b"application/json"])
    draft.headers += [name + b": " + value] * 2
    draft.wrong(MALFORMED, "repeated")


def wrong_host(random: Random, draft: Draft, marker: str) -> None:
    hosts = [b"a b", b"x/" + marker.encode(), b"u@x", b"x:80:80", b"\xe4", b"[::1", b"<x>", b"x:port", b"x?"]
    draft.host = random.choice(hosts)
    draft.wrong(MALFORMED, "wrong host")


CHANGES: list[Callable[[Random, Draft, str], None]] = [
    unknown_path, wrong_method, unknown_version, wrong_query, broken_query, wrong_type, encoded, coded, wrong_deadline,
    too_long, many_headers, repeated, wrong_host,
]  # fmt: skip


# ------------------------------------------------------------------ what must not change it
def harmless(random: Random, draft: Draft, marker: str) -> None:
    own = marker.encode()
    lines = [
        b"x-request-id: " + own + b' " {"event":"injected"}', b"x-request-id: " + own * 20,
        b"x-request-id: \xff" + own, b"user-agent: " + own + b"\t\x80\xff", b"cookie: " + own * 50,
        b"x-forwarded-for: " + own, b"te: trailers", b"accept-encoding: gzip", b"origin: http://" + own,
        b"authorization: Bearer " + own, b"referer: " + own, b"traceparent: 00-" + own, b"x_model_version: " + own,
        b"content-md5: " + own, b"if-none-match: *", b"range: bytes=0-1", b"forwarded: for=\"" + own + b"\"",
        b"x-http-method-override: DELETE", b"expect: " + own, b"connection: keep-alive", b"x-empty:",
        b"x-" + own + b": 1",
    ]  # fmt: skip
    draft.headers += random.sample(lines, random.choice([0, 0, 1, 3]))
    draft.host = random.choice(
        [draft.host] if draft.host != b"x" else [b"x", b"127.0.0.1:8000", b"[::1]", b"a-b.c:1", b""]
    )
    if random.random() < 0.1 and not draft.kind.endswith("deadline"):
        short = random.random() < 0.5
        draft.headers.append(b"x-request-timeout-ms: " + (b"0.001" if short else random.choice([b"1e999", b"60000.5"])))
        draft.of_body |= PASSED if short else frozenset()
    if draft.path.startswith(b"/models/people") and b"?" not in draft.path and random.random() < 0.2:
        draft.path += random.choice([b"?probabilities=true", b"?probabilities=false"])
