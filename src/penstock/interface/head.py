"""What the parser lets through in the head of a request and HTTP does not: rules of RFC 9110 and 9112 that it lacks.

Two parties that read one head differently are how requests are smuggled past a proxy. So what can be read in two
ways is refused, and where the parser chose one of them, it is not asked again.
"""

import re
from collections.abc import Mapping

from penstock.errors import MalformedRequest, RequestError, UnsupportedMediaType

Fields = Mapping[bytes, bytes]

HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::\d*)?")
ABSOLUTE = re.compile(rb"https?://[^/?#]+(?:[/?]|\Z)", re.IGNORECASE)
ONCE = (
    b"host", b"content-type", b"content-encoding", b"content-length", b"transfer-encoding", b"expect", b"authorization",
    b"x-api-key", b"x-model-version", b"x-priority", b"x-request-timeout-ms",
)  # fmt: skip
"""Headers of which a second one makes it unclear what is meant."""


def problem(version: str, fields: Fields, headers: list[tuple[bytes, bytes]]) -> RequestError | None:
    """What is wrong with the head of a request whose headers are `headers`, and by name `fields`."""
    if version not in ("1.0", "1.1"):
        return MalformedRequest("This server speaks HTTP/1.1.")
    if len(fields) != len(headers):
        names = [name for name, _ in headers]
        for name in ONCE:
            if names.count(name) > 1:
                return MalformedRequest(f"Send the header {name.decode('ascii')} once.")
    coding = fields.get(b"transfer-encoding")
    if coding is not None and version == "1.0":
        return MalformedRequest("HTTP/1.0 knows no transfer encoding.")
    if coding is not None and coding.strip().lower() != b"chunked":
        return UnsupportedMediaType("Send the body without a transfer encoding other than chunked.")
    return problem_of_host(fields.get(b"host"), version)


def begins_with(line: bytes, raw: bytes | bytearray, *, first: bool) -> bool:
    """Whether `raw` begins with this request line to the letter, or if its request is not the `first`, holds it.

    The parser takes several blanks for one, and the protocols ICE and RTSP for HTTP.
    """
    return raw.lstrip(b"\r\n").startswith(line) if first else line in raw


def problem_of_host(host: bytes | None, version: str) -> RequestError | None:
    """What is wrong with the Host header, which HTTP/1.0 may leave out."""
    if host is None:
        return None if version == "1.0" else MalformedRequest("Send a Host header.")
    return None if HOST.fullmatch(host) else MalformedRequest("The Host header names no host.")


def problem_of_target(target: bytes, method: bytes) -> RequestError | None:
    """What is wrong with the target of a request: it is a path, an http URL, or for OPTIONS an asterisk."""
    if target.startswith(b"/") or ABSOLUTE.match(target):
        good = b"#" not in target
    else:
        good = target == b"*" and method == b"OPTIONS"
    return None if good and method != b"CONNECT" else MalformedRequest("The request names no path of this server.")
