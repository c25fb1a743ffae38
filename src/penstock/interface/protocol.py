"""uvicorn's HTTP protocol with the limits that it lacks: size of the headers, time for headers, body and silence.

What is refused here never reaches the application. Whoever is refused before all of the request has arrived is read
on for a bounded while, so that the client gets the answer and not a reset connection. uvicorn is pinned exactly,
because this leans on its insides.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from penstock.config import Limits
from penstock.errors import HeadersTooLarge, MalformedRequest, RequestError, SlowRequest

ARRIVED = "penstock.arrived"
"""Key of the scope: when the first byte of the request came, in seconds of time.perf_counter."""
GONE = "penstock.gone"
"""Key of the scope: what to call when the client goes away before its answer."""
REFUSED = "penstock.refused"
"""Key of the scope: the error with which to answer a request whose body will not arrive whole."""

SWEEP_S = 0.25  # how often `sweep` is called
DISCARD_BYTES = 4 * 2**20
DISCARD_S = 2.0
QUIET_S = 0.5  # silence after which a draining connection is taken to have no request under way

clock = time.perf_counter
Refuse = Callable[[RequestError], tuple[int, Iterable[tuple[bytes, bytes]], bytes]]
"""Accounts for a request that never reached the application; gives the status, headers and body of its answer."""


class Protocol(HttpToolsProtocol):
    """One connection.

    `_due` is when it must have got on to its next phase, or None while an answer is being made: silence or the head
    of a request, then its body, then the answer, then silence again.
    """

    def __init__(self, *args: Any, limits: Limits, refuse: Refuse, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._refuse = refuse
        self._due: float | None = clock() + limits.header_s
        self._silent = True
        self._whole = True
        self._head_bytes = 0
        self._chunk = 0
        self._refused = False
        self._draining = False
        self._discarded = 0

    # ---------------------------------------------------------------- connection
    def connection_lost(self, exc: Exception | None) -> None:
        cycle = self.cycle
        super().connection_lost(exc)
        if cycle is not None and not cycle.response_complete and (gone := cycle.scope.get(GONE)) is not None:
            gone()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discard(len(data))
            return
        self._chunk = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self.cycle is not None:  # answered as HTTP/1.1, but what follows would be another protocol
                self.cycle.keep_alive = False
        except httptools.HttpParserError:
            if not self._refused:
                self._turn_away(MalformedRequest("The request is not valid HTTP/1.1."))
        else:
            self._count_head(len(data))

    def shutdown(self) -> None:
        """Ends the connection after its answer. An idle one waits for a moment, as a request may be on its way."""
        self._draining = True
        if self._silent and not self._refused:
            self._due = clock() + QUIET_S
        elif self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def sweep(self, now: float) -> None:
        """Ends the connection if it is overdue: with a 408 where a request had begun."""
        if self._due is None or now < self._due:
            return
        answered = self.cycle is not None and self.cycle.response_complete
        if self._silent or self._refused or (answered and not self._whole):
            self.transport.close()
        else:
            self._turn_away(SlowRequest())

    # ---------------------------------------------------------------- parser callbacks
    def on_message_begin(self) -> None:
        super().on_message_begin()
        now = clock()
        self.scope[ARRIVED] = now  # type: ignore[typeddict-unknown-key]
        self._due = now + self._limits.header_s
        self._silent = self._whole = False
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        if self._refused or (self._head_bytes + self._chunk > self._limits.headers and self._head_too_large()):
            return
        self._due = clock() + self._limits.body_s
        self._head_bytes = -1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        if self.cycle.response_complete:
            self._discard(len(body))
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._whole = True
        answered = self.cycle.response_complete
        self._due = clock() + self._limits.idle_s if answered else None
        self._silent = answered
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, but without a timer for each answer: the sweep sees to idle connections."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._whole:
            self._silent = True
            self._due = clock() + (QUIET_S if self._draining else self._limits.idle_s)

    # ---------------------------------------------------------------- refusals
    def _count_head(self, size: int) -> None:
        """Headers that never end must not fill the memory."""
        if self._head_bytes >= 0 and not self._whole:
            self._head_bytes += size
            if self._head_bytes > self._limits.headers and not self._refused:
                self._turn_away(HeadersTooLarge())

    def _head_too_large(self) -> bool:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.headers:
            self._turn_away(HeadersTooLarge())
        return self._refused

    def _turn_away(self, error: RequestError) -> None:
        """Answers in the application's stead and ends the connection; an answer under way is left to finish."""
        self._refused = True
        self._due = clock() + DISCARD_S
        if self.cycle is None or self.cycle.response_complete:
            self._answer(*self._refuse(error))
            return
        self.cycle.keep_alive = False
        if not self.cycle.more_body:
            self._due = None  # what came was whole, and its answer is on the way; only what followed it is wrong
        else:
            self.cycle.scope[REFUSED] = error  # type: ignore[typeddict-unknown-key]
            self.cycle.message_event.set()

    def _answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Writes an answer and half-closes: the client reads it to its end whatever it is still sending."""
        own = [*headers, (b"connection", b"close")]
        defaults = [pair for pair in self.server_state.default_headers if pair[0] != b"connection"]
        lines = [b"%b: %b\r\n" % pair for pair in (*defaults, *own)]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self.transport.write_eof()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > DISCARD_BYTES:
            self.transport.close()
