"""The HTTP protocol of a front: uvicorn's, with the limits that it lacks, and predictions straight to the lane."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from penstock.interface.connection import CLOSE
from penstock.interface.flow import Ending
from penstock.interface.lane import Exchange
from penstock.interface.native import Reply
from penstock.interface.reader import Reader
from penstock.interface.scope import clock

STATUS = {status: line.removesuffix(b"\r\n") for status, line in STATUS_LINE.items()}
header_line = b": ".join


class Protocol(Reader):
    """Hands each request to who answers it: plain ones for predictions to the lane, all others to the application."""

    def on_headers_complete(self) -> None:
        if self._has_good_head() and not self._enter_lane() and self._has_target():
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
        lines = [STATUS[reply.status], *map(header_line, exchange.default_headers), *map(header_line, reply.headers)]
        if CLOSE in exchange.default_headers:
            exchange.keep_alive = False
        elif not exchange.keep_alive:
            lines.append(b"connection: close")
        self.transport.write(b"\r\n".join([*lines, b"", reply.body]))
        if not exchange.keep_alive:
            self._close()
        self.on_response_complete()
