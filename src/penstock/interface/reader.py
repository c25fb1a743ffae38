"""From what is read of a connection to the heads of requests, each looked at before anybody gets it.

What is refused here never reaches the application.
"""

from typing import Any

import httptools

from penstock.errors import HeadersTooLarge, MalformedRequest
from penstock.interface import head
from penstock.interface.connection import Connection
from penstock.interface.scope import ARRIVED, FIELDS, clock

NO_HOST = NO_LINE = b"\0"  # none that a client could send


class Reader(Connection):
    """A connection whose requests have heads that are neither too large nor to be read in two ways.

    What a client sends again and again is recognised by its line and host, and by the absence of everything odd.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._keep_alive = True
        self._line = NO_LINE  # the last request line
        self._host: bytes | None = None  # and host that were looked at and found right
        self._plain_head = b""  # of a request that asked for another protocol, without the asking
        self._read = b""  # what is at hand,
        self._begun = bytearray()  # and what came before it of a head that takes several reads
        self._first = True  # whether the request is the first one in these
        self._fresh = 0  # bytes of the read at hand of which nothing came yet,
        self._unclaimed = 0  # and those of earlier reads

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discard(clock())
            return
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._feed_without_upgrade(data[upgrade.args[0] :])

    def _feed(self, data: bytes) -> None:
        self._read = data
        self._fresh = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise
        except httptools.HttpParserError:
            if not self._refused:
                self._turn_away(MalformedRequest("The request is not valid HTTP/1.1."))
        else:
            self._count_unclaimed()
            if self._in_head and not self._whole:
                self._begun += data
        finally:
            self._read = b""

    def _feed_without_upgrade(self, rest: bytes) -> None:
        """Reads a request that offers to change to another protocol as if it did not: that is the server's choice.

        The parser would take its body for the other protocol. One such request in a read is enough.
        """
        if self._refused:
            return
        plain, self._plain_head = self._plain_head, b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        try:
            self._feed(plain + rest)
        except httptools.HttpParserUpgrade:
            self._turn_away(MalformedRequest("This server speaks HTTP/1.1."))

    def _count_unclaimed(self) -> None:
        """What is read without anything coming of it, headers or trailers without end, must not fill the memory.

        In a read in which one message ended and the next began, the parts cannot be told apart: the next read counts.
        """
        if not self._whole and not self._refused:
            self._unclaimed += self._fresh
            if self._unclaimed > self._limits.headers:
                self._turn_away(HeadersTooLarge())

    # ---------------------------------------------------------------- the head
    def on_message_begin(self) -> None:
        super().on_message_begin()
        now = clock()
        self.scope[ARRIVED] = now
        self._due = now + self._limits.header_s
        self._silent = self._whole = False
        self._in_head = True
        self._first = self._fresh == len(self._read)  # nothing has come of this read yet
        self._begun.clear()
        self._unclaimed = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self.headers.append((name.lower(), value.rstrip(b" \t")))  # else it is a trailer, which nobody asked for

    def _has_good_head(self) -> bool:
        """Whether the head, which is complete, is one to go on with; else its request is turned away."""
        arrived = len(self._begun) + len(self._read)  # the head, and what may have come before it
        if self._refused or (arrived > self._limits.headers and self._head_too_large()):
            return False
        self._due = clock() + self._limits.body_s
        self._in_head = False
        self._unclaimed = self._fresh = 0
        return self._is_plain() or self._look_closely()

    def _is_plain(self) -> bool:
        """Whether nothing in the head needs a closer look. Only what keeps to HTTP/1.1 is kept alive unasked."""
        self._keep_alive = self.parser.should_keep_alive()
        headers = self.headers
        fields = self.scope[FIELDS] = dict(headers)
        return (
            self._keep_alive
            and self._first
            and not self._begun
            and self._read.startswith(self._line)
            and fields.get(b"host", NO_HOST) == self._host
            and len(fields) == len(headers) <= self._limits.header_count
            and b"connection" not in fields
            and b"transfer-encoding" not in fields
            and b"upgrade" not in fields
            and b"expect" not in fields
        )

    def _look_closely(self) -> bool:
        """Whether a head that is not plain is one to go on with."""
        fields, version = self.scope[FIELDS], self.parser.get_http_version()
        self.expect_100_continue = fields.get(b"expect", b"").lower() == b"100-continue"
        if len(self.headers) > self._limits.header_count:
            self._turn_away(HeadersTooLarge())
        elif not head.begins_with(line := self._request_line(), self._begun + self._read, first=self._first):
            self._turn_away(MalformedRequest("The request line is not valid HTTP/1.1."))
        elif (error := head.problem(version, fields, self.headers)) is not None:
            self._turn_away(error)
        elif b"upgrade" in fields and self.parser.should_upgrade():
            self._plain_head = self._without_upgrade()
        elif version == "1.1":
            self._line, self._host = line, fields[b"host"]
        return not self._refused and not self._plain_head

    def _request_line(self) -> bytes:
        """As it should have come, of what the parser made of it."""
        version = self.parser.get_http_version().encode("ascii")
        return b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)

    def _has_target(self) -> bool:
        error = head.problem_of_target(self.url, self.parser.get_method())
        if error is not None:
            self._turn_away(error)
        return error is None

    def _without_upgrade(self) -> bytes:
        lines = [b"%b %b HTTP/1.1\r\n" % (self.parser.get_method(), self.url)]
        lines += [b"%b: %b\r\n" % (name, value) for name, value in self.headers if name != b"upgrade"]
        return b"".join([*lines, b"\r\n"])

    def _head_too_large(self) -> bool:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.headers:
            self._turn_away(HeadersTooLarge())
        return self._refused
