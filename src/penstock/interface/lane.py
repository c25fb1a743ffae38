"""The fast lane: what every prediction goes through, whichever way it came, and the shortest of these ways.

The application answers predictions as any ASGI application does. But the tasks, events and messages of ASGI cost
more than all the rest of a small prediction (on one core: 31,000 empty answers a second through them, 76,000 without),
so the protocol hands a plain request for a prediction straight to an `Exchange`.
"""

import traceback
from typing import Any, Protocol

from penstock.errors import ClientGone, QuotaExceeded, RequestError
from penstock.inference.ticket import Ticket
from penstock.interface.access import Shown
from penstock.interface.accounts import Accounts
from penstock.interface.call import Call, too_large
from penstock.interface.errors import error_response
from penstock.interface.native import Endpoint, Native, Reply


class Lane:
    """Finds the endpoint of a path, makes answers of errors, and closes the accounts."""

    def __init__(self, native: Native, accounts: Accounts) -> None:
        self.limits = native.limits
        self.access = native.access
        self._native = native
        self.accounts = accounts
        self.endpoint = native.endpoint
        self.refused = accounts.refused

    def failure(self, call: Call, error: Exception) -> Reply:
        """The answer to a request that ended in `error`."""
        call.error = error
        status, headers, body = error_response(error, call.request_id)
        if status == 500 and not isinstance(error, RequestError):
            self.accounts.bug(call, "".join(traceback.format_exception(error)))
        if call.quota is not None and isinstance(error, QuotaExceeded):
            headers += call.quota.refused(error)
        error.__traceback__ = error.__context__ = None  # their frames lead back to the call: a circle
        return Reply(status, headers, body)

    def closed(self, endpoint: Endpoint, call: Call, status: int) -> None:
        """The answer is out, or there is nobody to take it."""
        self.accounts.prediction(endpoint.route, call, status)
        if (served := call.served) is not None:
            if served.mirrors and call.query.version is None and call.result is not None and call.rows is not None:
                self._native.engine.answered(served, call.rows, call.result, call.request_id)
            self._native.engine.leave(served)


class Answering(Protocol):
    """The connection that an exchange answers on."""

    shown: Shown

    def respond(self, exchange: "Exchange", reply: Reply) -> None: ...


class _Unheard:
    """Stands for the event that uvicorn sets to wake a task; an exchange has none."""

    def set(self) -> None:
        pass


class Exchange:
    """One prediction, answered without a task. To uvicorn's protocol it is the cycle of the request.

    `begin` when the headers are there, `take` the body as it comes, `end` when it is whole; the answer goes to
    `connection`, at once or when the model has spoken.
    """

    message_event = _Unheard()

    def __init__(
        self,
        lane: Lane,
        endpoint: Endpoint,
        scope: Any,
        default_headers: list[tuple[bytes, bytes]],
        connection: Answering,
    ) -> None:
        self.scope = scope
        self.default_headers = default_headers
        self.keep_alive = True
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self._lane = lane
        self._endpoint = endpoint
        self._connection = connection
        self._body: bytes | bytearray = b""
        self._call = Call(scope, connection.shown)
        self._ticket: Ticket | None = None

    def begin(self) -> None:
        self._lane.accounts.begun()
        try:
            self._endpoint.admit(self._call)
        except Exception as error:  # noqa: BLE001 # the last line of defence: no request may go unanswered
            self.fail(error)

    def take(self, body: bytes) -> None:
        if isinstance(self._body, bytearray):
            self._body += body
        else:
            self._body = bytearray(self._body + body) if self._body else body
        if len(self._body) > self._lane.limits.body:
            self.fail(too_large(self._lane.limits))

    def end(self) -> None:
        self.more_body = False
        try:
            ticket = self._endpoint.submit(self._call, bytes(self._body), self._settled)
        except Exception as error:  # noqa: BLE001 # as above
            self.fail(error)
        else:
            if not ticket.done:
                self._ticket = ticket

    def gone(self) -> None:
        """The client went away: what is queued is not computed."""
        self.disconnected = True
        if self._ticket is not None:
            self._endpoint.withdraw(self._call, self._ticket)
        elif not self.response_complete:
            self.fail(ClientGone())

    def fail(self, error: Exception) -> None:
        """Answers with an error."""
        self._answer(self._lane.failure(self._call, error))

    def _settled(self, ticket: Ticket) -> None:
        try:
            reply = self._endpoint.reply(self._call, ticket)
        except Exception as error:  # noqa: BLE001 # as above
            reply = self._lane.failure(self._call, error)
        self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        self._ticket = None  # which holds us in turn: a request that is done must not wait for the collector
        self._body = b""
        reply.headers.append((b"x-request-id", self._call.request_id.encode("ascii")))
        try:
            try:
                self._connection.respond(self, reply)
            finally:
                self._lane.closed(self._endpoint, self._call, reply.status)
        except Exception:  # noqa: BLE001 # whoever settles tickets goes on to the next, whatever happened to this one
            self._lane.accounts.bug(self._call, traceback.format_exc())
