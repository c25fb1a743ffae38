"""Keys: with them on, nothing but the two questions of health is answered to who has no right to it."""

import http.client
import json
import re
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from starlette.routing import Route

from penstock.cli.key import digest, new_secret
from penstock.config import Allowance
from penstock.interface.ops import build_ops
from penstock.model.key import PREFIX
from penstock.model.keyring import read_keys
from tests.acceptance.driver import Service, penstock, serving, wait_until
from tests.acceptance.numbered import publish
from tests.certificates import certificate
from tests.interface.gallery import StillService

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PREDICTIONS = (
    "/predict", "/predict-batch", "/models/m/predict", "/models/m/predict-batch", "/models/x/predict",
    "/predict-with-context", "/models/m/predict-with-context",
)  # fmt: skip
STRANGE = (
    "//admin/models/m/history", "/admin//models/m/history", "/admin/models/m/../m/history", "/%61dmin/models/m/history",
    "/admin%2Fmodels%2Fm%2Fhistory", "/ADMIN/models/m/history", "/admin/models/m/history/", "/./admin/models/m/history",
    "/health/../admin/models/m/history", "/health/../predict", "/health/", "/health%2f..%2fmodels", "//models",
    "/models/", "/models/m;x=1", "/models%00", "/docs/../models", "/predict/", "//predict", "/%70redict",
    "/nothing", "*", "",
)  # fmt: skip


class Clients(NamedTuple):
    """A service with keys, and one for each kind of client."""

    service: Service
    keys: dict[str, str]
    file: Path


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    folder = tmp_path_factory.mktemp("keys")
    publish(folder / "m", "1")
    keys = {
        rights: penstock("key", "new", rights.replace(",", "-"), "--rights", rights, cwd=folder).stdout.strip()
        for rights in ("predict", "read", "admin", "predict,read")
    }
    with serving(folder / "m", "--keys", "penstock.keys", cwd=folder) as running:
        yield Clients(running, keys, folder / "penstock.keys")


def routes() -> list[tuple[str, str]]:
    """Every path of the application, with every method."""
    app = build_ops(StillService())
    paths = [route.path for route in app.routes if isinstance(route, Route)]
    assert len(paths) > 12
    filled = [re.sub(r"\{name\}", "m", re.sub(r"\{(version|file)\}", "x", path)) for path in paths]
    return [(method, path) for path in (*filled, *PREDICTIONS) for method in METHODS]


def raw(service: Service, method: str, path: str, *headers: str) -> int:
    """The status of a request whose path and headers go out as they are written."""
    body = b'{"features": [0.0]}'
    lines = [f"{method} {path} HTTP/1.1", "host: test", "connection: close", "content-type: application/json"]
    head = "\r\n".join([*lines, f"content-length: {len(body)}", *headers])
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as plain:
        connection = plain if service.trust is None else service.trust.wrap_socket(plain, server_hostname="localhost")
        connection.sendall(head.encode("latin-1") + b"\r\n\r\n" + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        connection.close()
    return int(answer.split()[1])


def test_every_route_and_method_is_closed_to_who_has_no_key(clients: Clients) -> None:
    for method, path in routes():
        expected = {200, 405} if path in ("/health", "/ready") else {401}
        assert raw(clients.service, method, path) in expected, (method, path)
        assert raw(clients.service, method, path, "x-api-key: pk_nonsense") in expected, (method, path)


def test_every_route_and_method_is_closed_to_who_has_another_right(clients: Clients) -> None:
    for method, path in routes():
        right = "admin" if path.startswith("/admin") else "predict" if "predict" in path else "read"
        if path not in ("/health", "/ready"):
            for other in {"predict", "read", "admin"} - {right}:
                assert raw(clients.service, method, path, f"x-api-key: {clients.keys[other]}") == 403, (method, path)


@pytest.mark.parametrize("path", STRANGE)
def test_no_way_of_writing_a_path_leads_past_the_keys(path: str, clients: Clients) -> None:
    """Neither to who has no key nor, where it is not theirs, to who has another."""
    for method in ("GET", "POST"):
        assert raw(clients.service, method, path) in (400, 401), (method, path)
        mine = raw(clients.service, method, path, f"x-api-key: {clients.keys['predict']}")
        assert mine in (400, 403, 404, 405) or path == "/%70redict", (method, path)
        for host in ("host: localhost", "host: admin", "x-forwarded-for: 127.0.0.1", "x-original-url: /health"):
            assert raw(clients.service, method, path, host) in (400, 401), (method, path, host)


MORE_METHODS = ("PROPFIND", "PURGE", "LINK", "CONNECT", "BREW", "get", "GET\t", "\xff")
ABSOLUTE = ("http://test", "HTTP://test:80", "http://localhost", "https://elsewhere.example", "http://a@test")


def test_no_other_method_or_form_of_target_leads_past_the_keys(clients: Clients) -> None:
    service, predict = clients.service, f"x-api-key: {clients.keys['predict']}"
    for path in ("/admin/models/m/history", "/models", "/predict", "/metrics"):
        for method in MORE_METHODS:
            assert raw(service, method, path) in (400, 401), (method, path)
            assert raw(service, method, path, predict) in (400, 403, 405), (method, path)
        for place in ABSOLUTE:
            for method in ("GET", "POST"):
                assert raw(service, method, place + path) in (400, 401), (place, method, path)
                mine = raw(service, method, place + path, predict)
                assert mine in ((200, 400, 405) if path == "/predict" else (400, 403)), (place, method, path)


def tricks(key: str) -> dict[str, tuple[str, ...]]:
    """Ways to send a key that are none."""
    return {
        "nothing": ("x-api-key:",),
        "two keys": (f"x-api-key: {key}", "x-api-key: pk_nonsense"),
        "two keys, the good one last": ("x-api-key: pk_nonsense", f"x-api-key: {key}"),
        "two authorizations": ("authorization: Bearer pk_nonsense", f"authorization: Bearer {key}"),
        "a wrong key beside the good one": ("x-api-key: pk_nonsense", f"authorization: Bearer {key}"),
        "a list": (f"x-api-key: {key},{key}",),
        "a quoted one": (f'x-api-key: "{key}"',),
        "its digest": (f"x-api-key: {digest(key)}",),
        "other letters": (f"x-api-key: {key.swapcase()}",),
        "a part": (f"x-api-key: {key[:-1]}",),
        "a long one": (f"x-api-key: {key}{'a' * 60_000}",),
        "no text": ("x-api-key: \xff\xfe\x80",),
        "another blank": (f"authorization: Bearer\xa0{key}",),
        "a tab": (f"authorization: Bearer\t{key}",),
        "no scheme": (f"authorization: {key}",),
        "another scheme": (f"authorization: Token {key}",),
        "broken base64": ("authorization: Basic \xff%%",),
        "a name with a blank": (f"x-api-key : {key}",),
        "a folded line": ("x-other: a", f" x-api-key: {key}"),
        "an underscore": (f"x_api_key: {key}",),
        "a cookie": (f"cookie: x-api-key={key}; authorization=Bearer {key}",),
        "a proxy's": (f"proxy-authorization: Bearer {key}",),
    }


def test_what_is_not_plainly_one_key_opens_nothing(clients: Clients) -> None:
    service, key = clients.service, clients.keys["predict,read"]
    for name, headers in tricks(key).items():
        for method, path in (("POST", "/predict"), ("GET", "/models"), ("GET", "/docs")):
            assert raw(service, method, path, *headers) in (400, 401), (name, path)
    for query in (f"x-api-key={key}", f"api_key={key}", f"access_token={key}"):
        assert raw(service, "GET", f"/models?{query}") == 401
    for headers in ((f"AUTHORIZATION: bEaReR   {key} \t",), (f"X-Api-Key:{key}  ",)):
        assert raw(service, "GET", "/models", *headers) == 200, headers


@pytest.mark.needs("openssl")
def test_over_tls_it_is_the_same(tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    key = penstock("key", "new", "a", cwd=tmp_path).stdout.strip()
    files = certificate(tmp_path)
    with serving(tmp_path / "m", "--keys", "penstock.keys", *files.flags, cwd=tmp_path, trust=files.trust) as service:
        for path in ("/predict", "/models", "/admin/models/m/history", "/metrics", "/docs", "//predict", "/%70redict"):
            for method in ("GET", "POST", "OPTIONS"):
                assert raw(service, method, path) == 401, (method, path)
                mine = raw(service, method, path, f"x-api-key: {key}")
                assert mine in ((200, 405) if path.endswith("redict") and path[1] != "/" else (403,)), (method, path)


def test_with_the_right_key_it_is_as_without_keys(clients: Clients) -> None:
    service, keys = clients.service, clients.keys
    both = keys["predict,read"]
    assert service.predict(0.0, X_API_Key=both).body["prediction"] == 1.0
    assert service.predict(0.0, Authorization=f"Bearer {both}").body["prediction"] == 1.0
    for path in ("/models", "/models/m", "/metrics", "/docs", "/openapi.json"):
        assert service.request("GET", path, headers={"x-api-key": both}).status == 200
    for path in ("/health", "/ready"):
        assert service.get(path).status == 200


def test_a_browser_is_made_to_ask_for_a_key(clients: Clients) -> None:
    assert raw(clients.service, "GET", "/docs") == 401
    with closing(http.client.HTTPConnection("127.0.0.1", clients.service.port)) as connection:
        connection.request("GET", "/docs")
        asks = connection.getresponse().headers.get_all("www-authenticate")
    assert asks == ["Bearer", 'Basic realm="penstock"']
    password = b64encode(f"me:{clients.keys['read']}".encode()).decode()
    assert raw(clients.service, "GET", "/docs", f"authorization: Basic {password}") == 200


def test_a_refusal_says_what_to_do_and_the_log_whose_key_it_was(clients: Clients) -> None:
    service, keys = clients.service, clients.keys
    nobody = service.predict(0.0)
    assert (nobody.status, nobody.body["code"], nobody.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")
    other = service.predict(0.0, X_API_Key=keys["read"])
    assert (other.status, other.body["code"]) == (403, "forbidden")
    assert other.body["detail"] == "This key may not predict; it may read."
    mine = service.predict(0.0, X_API_Key=keys["predict"], X_Request_ID="mine")
    assert mine.status == 200
    assert service.wait_for("prediction", lambda line: line["request_id"] == "mine")["key"] == "predict"
    assert all(key not in service.log.read_text() for key in keys.values())


def test_no_page_from_elsewhere_is_let_in(clients: Clients) -> None:
    """To whatever a browser asks of another origin, nothing says that it may read the answer."""
    service, key = clients.service, clients.keys["predict,read"]
    asks = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for path in ("/predict", "/models", "/admin/models/m/route", "/health", "/docs", "/nothing"):
        for method in ("OPTIONS", "GET", "POST"):
            for more in ({}, {"x-api-key": key}):
                answer = service.request(method, path, headers=asks | more)
                assert not [name for name in answer.headers if name.startswith("access-control")], (method, path)
                assert method != "OPTIONS" or answer.status in (401, 403, 404, 405), (path, answer.status)


def test_keys_come_and_go_while_the_service_runs(clients: Clients) -> None:
    service, before = clients.service, clients.file.read_text()
    new = penstock("key", "new", "later", cwd=clients.file.parent).stdout.strip()
    wait_until(lambda: service.predict(0.0, X_API_Key=new).status == 200, "the new key", service.explain)
    clients.file.write_text(f"later: {{sha256: {new}, rights: [predict]}}")
    refused = service.wait_for("reload_refused")
    assert "penstock.keys: later.sha256: this is a key, not its digest" in refused["reason"]
    assert new[:12] not in json.dumps(refused), "what may be a key is in no log"
    assert service.predict(0.0, X_API_Key=new).status == 200, "what cannot be read changes nothing"
    clients.file.write_text(before)
    wait_until(lambda: service.predict(0.0, X_API_Key=new).status == 401, "its end", service.explain)
    assert service.predict(0.0, X_API_Key=clients.keys["predict"]).status == 200
    wait_until(lambda: len(service.lines("keys_taken")) == 2, "both to be told")
    told = [("later" in line["keys"], line["level"]) for line in service.lines("keys_taken")]
    assert told == [(True, "info"), (False, "info")]


def test_a_key_is_revoked_whatever_is_wrong_elsewhere(tmp_path: Path) -> None:
    """A leaked key does not stay good until somebody has corrected penstock.yaml."""
    publish(tmp_path / "m", "1")
    leaked, mine = (penstock("key", "new", name, cwd=tmp_path).stdout.strip() for name in ("leaked", "mine"))
    keys, file = tmp_path / "penstock.keys", tmp_path / "penstock.yaml"
    file.write_text("keys: penstock.keys\nmodels: {m: {path: m}}\n")
    with serving(file, cwd=tmp_path) as service:
        file.write_text("keys: penstock.keys\nmodels: {m: {path: m}}\nnonsense: 1\n")
        keys.write_text(keys.read_text().split("\n")[1])
        wait_until(lambda: service.predict(0.0, X_API_Key=leaked).status == 401, "the key's end", service.explain)
        assert service.predict(0.0, X_API_Key=mine).status == 200
        assert service.wait_for("keys_taken")["keys"] == ["mine"]
        assert "nonsense" in service.wait_for("reload_refused")["reason"]
        keys.write_text("mine: {")
        both = service.wait_for("reload_refused", lambda line: "penstock.keys" in line["reason"])
        assert ("nonsense" in both["reason"], both["detail"]) == (True, "everything stays as it is")
        assert service.predict(0.0, X_API_Key=mine).status == 200


def test_a_file_of_keys_that_cannot_be_read_is_no_service(tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    done = penstock("serve", "m", "--keys", "penstock.keys", "--port", "0", cwd=tmp_path)
    assert (done.returncode, "penstock.keys: no such file" in done.stderr) == (2, True)


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False), ("localhost", False)])
def test_who_listens_to_the_world_without_keys_is_warned(host: str, warned: bool, tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    with serving(tmp_path / "m", "--host", host, cwd=tmp_path) as service:
        assert ("whoever reaches" in service.errors.read_text()) == warned


def test_a_key_is_made_once_and_shown_once(tmp_path: Path) -> None:
    (tmp_path / ".penstock.keys").write_text("left behind, for everybody to read")
    made = penstock("key", "new", "shop", "--rights", "predict,read", cwd=tmp_path)
    file = tmp_path / "penstock.keys"
    assert re.fullmatch(r"pk_[A-Za-z0-9_-]{43}\n", made.stdout)
    assert made.stdout.strip() not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    for words, complaint in {
        ("shop",): "there is a key called shop",
        ("x", "--rights", "write"): "expected some of predict, read, admin, got 'write'",
        (
            "x",
            "--quota-rows",
            "5/h",
        ): "--quota-rows: expected a rate from 1 to 999999999, such as 100/s or 6000/min, got '5/h'",
        ("x", "--quota-rows-burst", "5"): "quota.rows_burst: a burst needs a rate",
        ("a/b",): "is no name",
        ("anonymous",): "who sends no key",
    }.items():
        done = penstock("key", "new", *words, cwd=tmp_path)
        assert (done.returncode, complaint in done.stderr, done.stdout) == (2, True, "")
    assert file.read_text().count("sha256") == 1
    penstock(
        "key", "new", "batch", "--quota-requests", "5/s", "--quota-rows-burst", "9", "--quota-rows", "3/s", cwd=tmp_path
    )
    assert read_keys(file)[1].quota == Allowance(requests="5/s", rows="3/s", rows_burst=9)


def test_every_front_goes_by_the_same_keys(tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    key = penstock("key", "new", "a", cwd=tmp_path).stdout.strip()
    with serving(tmp_path / "m", "--keys", "penstock.keys", "--workers", "2", cwd=tmp_path) as service:
        assert {service.predict(0.0, X_API_Key=key).status for _ in range(30)} == {200}
        assert {service.predict(0.0).status for _ in range(30)} == {401}
        (tmp_path / "penstock.keys").write_text(json.dumps({}))
        assert service.wait_for("keys_taken")["level"] == "warning"
        wait_until(lambda: {service.predict(0.0, X_API_Key=key).status for _ in range(30)} == {401}, "its end")


def test_new_keys_are_long_known_for_keys_and_never_the_same() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith(PREFIX) and len(key) >= 46 and key.isascii() for key in made)
    assert digest("test") == "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
