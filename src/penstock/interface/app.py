"""The application: one envelope around everything, and in it the lane or, for all other paths, FastAPI."""

import traceback
from typing import Any

from penstock.errors import RequestError
from penstock.interface.accounts import Accounts
from penstock.interface.call import Call, Message, Receive, Scope, Send
from penstock.interface.errors import REQUEST_ID, error_response
from penstock.interface.native import Endpoint, Native, Reply
from penstock.interface.protocol import GONE


class App:
    """Gives every request its id, finds who answers it, sends the answer, and accounts for it."""

    def __init__(self, native: Native, operations: Any, accounts: Accounts) -> None:
        self._native = native
        self._operations = operations
        self._accounts = accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope)
        scope[REQUEST_ID] = call.request_id
        self._accounts.begun()
        endpoint = self._native.endpoint(scope["path"])
        if endpoint is None:
            await self._operate(call, receive, send)
        else:
            await self._predict(endpoint, call, receive, send)

    async def _predict(self, endpoint: Endpoint, call: Call, receive: Receive, send: Send) -> None:
        try:
            status, headers, body = await endpoint(call, receive)
        except Exception as error:  # noqa: BLE001 # the last line of defence: no request may go unanswered
            status, headers, body = self._failure(call, error)
        finally:
            call.scope.pop(GONE, None)
        headers.append((b"x-request-id", call.request_id.encode("ascii")))
        if status != 499:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        self._accounts.prediction(endpoint.route, call, status)

    async def _operate(self, call: Call, receive: Receive, send: Send) -> None:
        status = 500

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", call.request_id.encode("ascii"))]
            await send(message)

        try:
            await self._operations(call.scope, receive, identified)
        finally:
            self._accounts.operation(call, status)

    def _failure(self, call: Call, error: Exception) -> Reply:
        call.error = error
        status, headers, body = error_response(error, call.request_id)
        if status == 500 and not isinstance(error, RequestError):
            self._accounts.bug(call, "".join(traceback.format_exception(error)))
        return Reply(status, headers, body)
