"""uvicorn's HTTP protocol with the limits that it lacks: size of the headers, time for headers, body and silence.

What is refused here never reaches the application. Whoever is refused before all of the request has arrived is read
on for a bounded while, so that the client gets the answer and not a reset connection. uvicorn is pinned exactly,
because this leans on its insides.
"""

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from penstock.errors import HeadersTooLarge, MalformedRequest, RequestError, SlowRequest
from penstock.interface import head
from penstock.interface.flow import Ending, Flow
from penstock.interface.lane import Exchange, Lane
from penstock.interface.native import Reply
from penstock.interface.scope import ARRIVED, FIELDS, GONE, REFUSED, clock

SWEEP_S = 0.25  # how often `sweep` is called
DISCARD_S = 2.0  # silence after which nobody waits for a refused client any longer
QUIET_S = 1.0  # silence after which a draining connection is taken to have no request under way
NEW_S = 2.0  # the same on one that has just been made: there is a reason that it was

RESET = struct.pack("ii", 1, 0)  # linger, for no time
NO_HOST = b"\0"  # none that a client could send
NO_LINE = b"\0"
CLOSE = (b"connection", b"close")
Headers = Iterable[tuple[bytes, bytes]]


class Protocol(HttpToolsProtocol):
    """One connection.

    `_due` is when it must have got on to its next phase, or None while an answer is being made: silence or the head
    of a request, then its body, then the answer, then silence again.
    """

    cycle: Any  # an Exchange, or uvicorn's own cycle for what goes through ASGI
    scope: Any

    def __init__(self, *args: Any, lane: Lane, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lane = lane
        self._limits = lane.limits
        self._untaken_since = now = clock()  # when something of the last answer began to wait for the client
        self._due: float | None = now + self._limits.header_s
        self._silent = True
        self._whole = True
        self._exchange: Exchange | None = None
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
        self._refused = False
        self._draining = False
        self._discard_until = now  # the latest that a refused client is waited for

    # ---------------------------------------------------------------- connection
    @property
    def busy(self) -> bool:
        """Whether a request is under way whose answer is not out."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)

    def connection_lost(self, exc: Exception | None) -> None:
        cycle = self.cycle
        super().connection_lost(exc)
        if self._exchange is not None and not self._exchange.response_complete:
            self._exchange.gone()
        if cycle is not None and not cycle.response_complete and (gone := cycle.scope.get(GONE)) is not None:
            gone()
        self.cycle = self._exchange = None  # which know this connection: a circle would wait for the collector

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

    def shutdown(self) -> None:
        """Ends the connection after its answer. An idle one waits for a moment, as a request may be on its way."""
        self._draining = True
        if self._silent and not self._refused:
            self._due = clock() + (NEW_S if self.scope is None else QUIET_S)
        elif self.busy:
            self.cycle.keep_alive = False

    def sweep(self, now: float) -> None:
        """Ends the connection if it is overdue: with a 408 where a request had begun."""
        if not self.transport.get_write_buffer_size():
            self._untaken_since = now
        elif now - self._untaken_since > self._limits.send_s:
            self._reset()  # the client does not take its answer
            return
        if self._due is None or now < self._due or self.pipeline:
            return  # while requests wait for their turn nothing more is read
        answered = self.cycle is not None and self.cycle.response_complete
        if self.transport.is_closing():
            self._reset()  # told to close, but somebody does not read what is left to send
        elif self._silent or self._refused or (answered and not self._whole):
            self.transport.close()
        else:
            self._turn_away(SlowRequest())

    def _reset(self) -> None:
        """Ends the connection at once. The kernel, too, forgets what is left to send, instead of trying for minutes."""
        with suppress(OSError, RuntimeError):  # it may be closed already
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    # ---------------------------------------------------------------- parser callbacks
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
            self.headers.append((name.lower(), value))  # else it is a trailer, which nobody asked for

    def on_headers_complete(self) -> None:
        if self._refused or (self._unclaimed + len(self._read) > self._limits.headers and self._head_too_large()):
            return
        self._due = clock() + self._limits.body_s
        self._in_head = False
        self._unclaimed = self._fresh = 0
        if (self._is_plain() or self._look_closely()) and not self._enter_lane() and self._has_target():
            super().on_headers_complete()
            self.cycle.transport = Ending(self.transport, self._close)

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        self._unclaimed = self._fresh = 0
        if self.cycle.response_complete:
            return  # the client sends on what nobody reads; it has until `_due`
        if isinstance(self.cycle, Exchange):
            self.cycle.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused or self._plain_head:
            return
        self._whole = True
        self._fresh = 0
        answered = self.cycle.response_complete
        self._due = clock() + self._limits.idle_s if answered else None
        self._silent = answered
        if isinstance(self.cycle, Exchange):
            if not answered:
                self.cycle.end()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, but without a timer for each answer: the sweep sees to idle connections."""
        self.server_state.total_requests += 1
        self._untaken_since = now = clock()
        if self.transport.is_closing():
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            if not self._whole:
                self._due = now + self._limits.body_s
        elif self._refused:
            self._linger(now)
        elif self._whole:
            self._silent = True
            self._due = now + (QUIET_S if self._draining else self._limits.idle_s)
        else:
            self._due = now + self._limits.body_s  # the client may not look for its answer before all is sent
        self.flow.resume_reading()

    # ---------------------------------------------------------------- the head
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

    # ---------------------------------------------------------------- the lane
    def _enter_lane(self) -> bool:
        """Makes an exchange of the request, if it is a plain one for a prediction and its turn has come."""
        if self.busy:
            return False  # uvicorn queues what is pipelined
        path, _, query = self.url.partition(b"?")
        posted = self.parser.get_method() == b"POST"
        endpoint = self._lane.endpoint(path.decode("latin-1")) if posted else None
        if endpoint is None or self.expect_100_continue:
            return False
        self.scope["method"] = "POST"
        self.scope["query_string"] = query
        exchange = Exchange(self._lane, endpoint, self.scope, self.server_state.default_headers, self)
        exchange.keep_alive = self._keep_alive
        self.cycle = self._exchange = exchange
        exchange.begin()
        return True

    def respond(self, exchange: Exchange, reply: Reply) -> None:
        """Writes a whole answer at once: one system call where the messages of ASGI cost two."""
        if exchange.response_complete:
            return
        exchange.response_complete = True
        if exchange.disconnected:
            return
        lines = [STATUS_LINE[reply.status]]
        for name, value in chain(exchange.default_headers, reply.headers):
            lines += (name, b": ", value, b"\r\n")
        if CLOSE in exchange.default_headers:
            exchange.keep_alive = False
        elif not exchange.keep_alive:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join([*lines, b"\r\n", reply.body]))
        if not exchange.keep_alive:
            self._close()
        self.on_response_complete()

    def pause_writing(self) -> None:
        """A client that does not read its answers is not read from."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flow.resume_reading()

    def _close(self) -> None:
        """Ends the connection after an answer: one direction of it alone where the client is still sending.

        A socket that is closed with something unread in it is reset, and the answer may be lost with it.
        """
        if self.pipeline or (self._whole and not self._refused):
            self.transport.close()
        else:
            self._refused = True
            self._linger(clock())
            self.transport.write_eof()

    # ---------------------------------------------------------------- refusals
    def _count_unclaimed(self) -> None:
        """What is read without anything coming of it, headers or trailers without end, must not fill the memory.

        In a read in which one message ended and the next began, the parts cannot be told apart: the next read counts.
        """
        if not self._whole and not self._refused:
            self._unclaimed += self._fresh
            if self._unclaimed > self._limits.headers:
                self._turn_away(HeadersTooLarge())

    def _head_too_large(self) -> bool:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.headers:
            self._turn_away(HeadersTooLarge())
        return self._refused

    def _turn_away(self, error: RequestError) -> None:
        """Answers in the application's stead and ends the connection; an answer under way is left to finish."""
        self._refused = True
        self._linger(clock())
        if not self.busy:
            self._answer(*self._lane.refused(error, self.scope or {"client": self.client, "headers": ()}))
            return
        self.cycle.keep_alive = False
        if not self.cycle.more_body:
            self._due = None  # what came was whole, and its answer is on the way; only what followed it is wrong
        elif isinstance(self.cycle, Exchange):
            self.cycle.fail(error)
        else:
            self.cycle.scope[REFUSED] = error
            self.cycle.message_event.set()

    def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Writes an answer and half-closes: the client reads it to its end whatever it is still sending."""
        own = [*headers, CLOSE]
        defaults = [pair for pair in self.server_state.default_headers if pair[0] != b"connection"]
        lines = [b"%b: %b\r\n" % pair for pair in (*defaults, *own)]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self.transport.write_eof()

    def _linger(self, now: float) -> None:
        """Begins to wait for a refused client to end: what it still sends, and its side of the connection."""
        self._discard_until = now + self._limits.body_s
        self._due = now + DISCARD_S

    def _discard(self, now: float) -> None:
        """Waits on for who sends on, and keeps nothing of it. Where an answer is still being made, nothing is due."""
        if self._due is not None:
            self._due = min(now + DISCARD_S, self._discard_until)
