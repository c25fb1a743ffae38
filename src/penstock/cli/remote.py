"""A running service, asked over HTTP: what `models`, `route`, `promote` and `rollback` have in common."""

import http.client
import json
import os
import ssl
from argparse import Namespace
from typing import Any
from urllib.parse import quote, urlsplit

from penstock.cli.arguments import Parser
from penstock.config import Guard, Route
from penstock.configuration import KEY_VARIABLE, URL_VARIABLE
from penstock.errors import ConfigurationError, PenstockError

USUAL = "http://127.0.0.1:8000"
AUTHORITY_VARIABLE = "SSL_CERT_FILE"  # OpenSSL's own
PATIENCE_S = 600.0  # an order is answered when it is so, which may take as long as a model takes to load

LIMITS = {
    "error_percent": "errors +{:g} %",
    "latency_ratio": "{:g} × the latency",
    "disagreement_percent": "{:g} % otherwise",
}
"""What a canary's guard may hold it to."""

HELP = f"""\
A service with keys (--keys) wants one: it is read from {KEY_VARIABLE}. An order needs one with the right admin.
https:// asks for a certificate that this machine trusts, or that SSL_CERT_FILE vouches for.
"""


class Refused(PenstockError):
    """The service did not do it."""


def add_order(parser: Parser) -> None:
    """Where the service is, and what every order may say beside itself."""
    parser.add_argument("--why", help="a word on it, for the history")
    parser.add_argument("--url", help=f"where the service is ({URL_VARIABLE}) [{USUAL}]")


class Remote:
    """The service at `--url`, PENSTOCK_URL, or where one is by default."""

    def __init__(self, namespace: Namespace) -> None:
        self._url = namespace.url or os.environ.get(URL_VARIABLE) or USUAL
        if "://" not in self._url:
            self._url = f"http://{self._url}"
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"--url: expected http://HOST:PORT, got {self._url}")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=PATIENCE_S)
        self._prefix = parts.path.rstrip("/")
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise ConfigurationError(f"{KEY_VARIABLE}: expected a key of printable ASCII characters")

    def get(self, path: str) -> Any:
        """What it answers. Raises Refused."""
        return self._ask("GET", path)

    def order(self, model: str, action: str, **said: Any) -> Any:
        """Has it do something, and waits until it is so. Raises Refused."""
        body = {name: value for name, value in said.items() if value is not None}
        return self._ask("POST", f"/admin/models/{quote(model, safe='')}/{action}", body)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"content-type": "application/json"} | ({"x-api-key": self._key} if self._key else {})
        try:
            self._connection.request(method, self._prefix + path, None if body is None else json.dumps(body), headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            raise Refused(f"{self._url} cannot be asked: {self._diagnosis(problem)}") from None
        finally:
            self._connection.close()
        try:
            said = json.loads(text)
        except ValueError:
            raise Refused(f"{self._url} is no Penstock: it answered {answer.status}") from None
        if answer.status != 200:
            raise Refused(self._reason(answer.status, said))
        return said

    def _diagnosis(self, problem: Exception) -> str:
        """What went wrong, and what to do."""
        if isinstance(problem, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({problem.verify_message.rstrip('.')}); {_trust()}"
        hint = " (https://… where it has a certificate)" if self._url.startswith("http:") else ""
        return f"{problem}; --url says where the service is{hint}"

    def _reason(self, status: int, said: Any) -> str:
        reason = str(said.get("detail") or said.get("reason") or f"it answered {status}")
        if status == 401:
            return f"{reason[:200]} {KEY_VARIABLE} {'is another one' if self._key else 'is not set'}."
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in said.get("errors", ())]
        return " ".join([reason, *problems])


def _trust() -> str:
    """How to have a certificate trusted."""
    file = os.environ.get(AUTHORITY_VARIABLE)
    if file and not os.path.isfile(file):
        return f"{AUTHORITY_VARIABLE} names {file}, and there is no such file"
    return f"{AUTHORITY_VARIABLE}=FILE names the authority to trust, or the certificate itself if it is self-signed"


def shown(route: dict[str, Any], default: str | None) -> str:
    """A route on a line."""
    wanted = route["default"]
    text = f"default {default}" + (
        "" if wanted == default else " (latest)" if wanted == "latest" else f", not {wanted}"
    )
    canary = route.get("canary") or {}
    if canary.get("version"):
        sticky = f" by {canary['sticky']}" if canary.get("sticky") else ""
        text += f", canary {canary['version']} with {canary['percent']:g} %{sticky}{_guard(canary.get('guard') or {})}"
    shadow = route.get("shadow") or {}
    if shadow.get("version"):
        part = "" if shadow["percent"] == 100 else f" with {shadow['percent']:g} %"
        text += f", shadow {shadow['version']}{part}"
    tolerance = route.get("tolerance", Route().tolerance)
    return text if tolerance == Route().tolerance else f"{text}, tolerance {tolerance:g}"


def _guard(guard: dict[str, Any]) -> str:
    """What a canary is held to; nothing where there is no limit."""
    limits = [text.format(guard[limit]) for limit, text in LIMITS.items() if guard.get(limit) is not None]
    fewest = guard.get("min_requests", Guard().min_requests)
    patience = "" if fewest == Guard().min_requests else f", not before {fewest:,} requests"
    return f", guard: {', '.join(limits)}{patience}" if limits else ""


def unfit(route: dict[str, Any]) -> list[str]:
    """Sentences on a shadow and a canary that cannot be compared, from the route that a model tells of itself."""
    shadow, canary = (route.get(part) or {} for part in ("shadow", "canary"))
    told = [f"shadow {shadow['version']} is not asked: {shadow['unfit']}"] if "unfit" in shadow else []
    return told + ([f"canary {canary['version']}: {canary['unfit']}"] if "unfit" in canary else [])


def changed(said: dict[str, Any]) -> str:
    """What an order has changed, on two lines."""
    before, after = said["before"], said["after"]
    was, is_ = shown(before["route"], before["default"]), shown(after["route"], after["default"])
    return f"{said['model']}: {is_}" + (
        f"\n{' ' * len(said['model'])}  (before: {was})" if was != is_ else " (as before)"
    )
