"""What a server may put on the wire, read strictly: status lines, headers and bodies, and nothing between them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

HEAD_END = b"\r\n\r\n"
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [\x20-\x7e]*")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\x20-\x7e]*)")


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]  # by lower-case name
    body: bytes
    raw: bytes

    @property
    def closes(self) -> bool:
        return b"close" in self.headers.get(b"connection", b"").lower()


class NotHttp(Exception):
    """What came is not an answer."""


def answers(data: bytes, *, bodiless: Sequence[int] = ()) -> tuple[list[Answer], bytes]:
    """The whole answers in `data`, in order, and what is left. Those whose places are `bodiless` are to HEAD.

    Interim answers (100 Continue) are left out. Raises NotHttp.
    """
    found: list[Answer] = []
    while (end := data.find(HEAD_END)) >= 0:
        status, headers = _head(data[:end])
        if status == 100:
            data = data[end + 4 :]
            continue
        length = 0 if len(found) in bodiless or status == 304 else _length(headers)
        whole = end + 4 + length
        if len(data) < whole:
            break
        found.append(Answer(status, headers, data[end + 4 : whole], data[:whole]))
        data = data[whole:]
    if data and not b"HTTP/1.1 ".startswith(data[:9]) and not data.startswith(b"HTTP/1.1 "):
        raise NotHttp(f"{data[:60]!r} stands where an answer should")
    return found, data


def _head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    line, *lines = head.split(b"\r\n")
    started = STATUS_LINE.fullmatch(line)
    if started is None:
        raise NotHttp(f"{line[:60]!r} is no status line")
    headers: dict[bytes, bytes] = {}
    for text in lines:
        header = HEADER.fullmatch(text)
        if header is None:
            raise NotHttp(f"{text[:60]!r} is no header")
        name = header[1].lower()
        if name in headers:
            raise NotHttp(f"{name!r} is there twice")
        headers[name] = header[2]
    return int(started[1]), headers


def _length(headers: dict[bytes, bytes]) -> int:
    """Every answer states its length: none of the pages is made while it is sent."""
    if b"transfer-encoding" in headers or not headers.get(b"content-length", b"").isdigit():
        raise NotHttp("the answer does not state its length")
    return int(headers[b"content-length"])
