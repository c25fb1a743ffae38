"""One connection: what is due on it, how it is refused, and how it ends.

Whoever is refused before all of the request has arrived is read on for a bounded while, so that the client gets the
answer and not a reset connection. uvicorn is pinned exactly, because this leans on its insides.
"""

import fcntl
import socket
import struct
import termios
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from penstock.errors import RequestError, SlowRequest
from penstock.interface.access import Shown
from penstock.interface.flow import Flow
from penstock.interface.lane import Exchange, Lane
from penstock.interface.scope import GONE, REFUSED, clock

SWEEP_S = 0.25  # how often `sweep` is called
DISCARD_S = 2.0  # silence after which nobody waits for a refused client any longer
QUIET_S = 1.0  # silence after which a draining connection is taken to have no request under way
NEW_S = 2.0  # the same on one that has just been made: there is a reason that it was

RESET = struct.pack("ii", 1, 0)  # linger, for no time
CLOSE = (b"connection", b"close")
Headers = Iterable[tuple[bytes, bytes]]


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with the limits on time that it lacks.

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
        self.shown = Shown()
        self._silent = True
        self._whole = True
        self._exchange: Exchange | None = None
        self._refused = False
        self._draining = False
        self._discard_until = now  # the latest that a refused client is waited for

    @property
    def busy(self) -> bool:
        """Whether a request is under way whose answer is not out."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        self._buffers_out_of_sight = self.scheme == "https"  # TLS hands on what it has encrypted, and counts it no more

    def connection_lost(self, exc: Exception | None) -> None:
        cycle = self.cycle
        super().connection_lost(exc)
        if self._exchange is not None and not self._exchange.response_complete:
            self._exchange.gone()
        if cycle is not None and not cycle.response_complete and (gone := cycle.scope.get(GONE)) is not None:
            gone()
        self.cycle = self._exchange = None  # which know this connection: a circle would wait for the collector

    def pause_writing(self) -> None:
        """A client that does not read its answers is not read from."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flow.resume_reading()

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

    # ---------------------------------------------------------------- the end
    def shutdown(self) -> None:
        """Ends the connection after its answer. An idle one waits for a moment, as a request may be on its way."""
        self._draining = True
        if self._silent and not self._refused:
            self._due = clock() + (NEW_S if self.scope is None else QUIET_S)
        elif self.busy:
            self.cycle.keep_alive = False

    def sweep(self, now: float) -> None:
        """Ends the connection if it is overdue: with a 408 where a request had begun."""
        if not self.transport.get_write_buffer_size() and not (self._buffers_out_of_sight and self._is_untaken()):
            self._untaken_since = now
        elif now - self._untaken_since > self._limits.send_s:
            self._reset()  # the client does not take its answer
            return
        if self._due is None or now < self._due or self.pipeline:
            return  # while requests wait for their turn nothing more is read
        answered = self.cycle is not None and self.cycle.response_complete
        if self.transport.is_closing() or self._silent or self._refused or (answered and not self._whole):
            self._hang_up()
        else:
            self._turn_away(SlowRequest())

    def _hang_up(self) -> None:
        """Closes a connection on which nothing has happened for long.

        What the client has not taken until now the kernel would keep for it, and try to send, for minutes more.
        """
        if self._is_untaken():
            self._reset()
        elif self.transport.is_closing():
            self.transport.abort()  # over TLS it waits for the client's farewell
        else:
            self.transport.close()

    def _is_untaken(self) -> bool:
        """Whether the kernel still has something for the client."""
        try:
            return any(fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4)))
        except (OSError, ValueError, AttributeError):  # it is closed already
            return False

    def _reset(self) -> None:
        """Ends the connection at once. The kernel, too, forgets what is left to send, instead of trying for minutes."""
        with suppress(OSError, RuntimeError, AttributeError):  # it may be closed already
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def _close(self) -> None:
        """Ends the connection after an answer: one direction of it alone where the client is still sending.

        A socket that is closed with something unread in it is reset, and the answer may be lost with it.
        """
        if self.pipeline or (self._whole and not self._refused):
            self.transport.close()
        else:
            self._refused = True
            self._linger(clock())
            self._end_of_answer()

    # ---------------------------------------------------------------- refusals
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
        self._end_of_answer()

    def _end_of_answer(self) -> None:
        """Says that there is no more to come. Over TLS that cannot be said before all is over; the length says it."""
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _linger(self, now: float) -> None:
        """Begins to wait for a refused client to end: what it still sends, and its side of the connection."""
        self._discard_until = now + self._limits.body_s
        self._due = now + DISCARD_S

    def _discard(self, now: float) -> None:
        """Waits on for who sends on, and keeps nothing of it. Where an answer is still being made, nothing is due."""
        if self._due is not None:
            self._due = min(now + DISCARD_S, self._discard_until)
