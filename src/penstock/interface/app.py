"""The application: one envelope around everything, and in it the lane or, for all other paths, FastAPI."""

import asyncio
from functools import partial
from typing import Any

from penstock.errors import AdminOff, ClientGone, Forbidden, Unauthorized
from penstock.inference.ticket import Ticket
from penstock.interface.access import BROWSER, right_of
from penstock.interface.call import Call, Message, Receive, Scope, Send
from penstock.interface.errors import REQUEST_ID, error_response
from penstock.interface.lane import Lane
from penstock.interface.native import Endpoint, Reply
from penstock.interface.scope import CODES, GONE, KEY


class App:
    """Gives every request its id, finds who answers it, sends the answer, and accounts for it."""

    def __init__(self, lane: Lane, operations: Any) -> None:
        self._lane = lane
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope)
        scope[REQUEST_ID] = call.request_id
        self._lane.accounts.begun()
        endpoint = self._lane.endpoint(scope["path"])
        if endpoint is None:
            await self._operate(call, receive, send)
        else:
            await self._predict(endpoint, call, receive, send)

    async def _predict(self, endpoint: Endpoint, call: Call, receive: Receive, send: Send) -> None:
        try:
            reply = await self._reply(endpoint, call, receive)
        except Exception as error:  # noqa: BLE001 # the last line of defence: no request may go unanswered
            reply = self._lane.failure(call, error)
        try:
            if not isinstance(call.error, ClientGone):
                await self._answer(call, reply, send)
        finally:
            self._lane.closed(endpoint, call, reply.status)

    async def _answer(self, call: Call, reply: Reply, send: Send) -> None:
        headers = [*reply.headers, (b"x-request-id", call.request_id.encode("ascii"))]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, endpoint: Endpoint, call: Call, receive: Receive) -> Reply:
        endpoint.admit(call)
        body = await call.body(receive, self._lane.limits)
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(_: Ticket) -> None:
            if not settled.cancelled():
                settled.set_result(None)  # not the ticket, which knows this future: a circle

        ticket = endpoint.submit(call, body, settle)
        if not ticket.done:
            call.scope[GONE] = partial(endpoint.withdraw, call, ticket)
            await settled
            del call.scope[GONE]  # which knows the call
        return endpoint.reply(call, ticket)

    async def _operate(self, call: Call, receive: Receive, send: Send) -> None:
        status = 500
        codes: list[str] = []
        call.scope[CODES] = codes

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", call.request_id.encode("ascii"))]
            await send(message)

        right = right_of(call.scope["path"])
        try:
            call.key = call.scope[KEY] = self._lane.access.demand(call.headers, right)
            await self._operations(call.scope, receive, identified)
        except (Unauthorized, Forbidden, AdminOff) as error:
            codes.append(error.code)
            refused, headers, body = error_response(error, call.request_id)
            asks = [BROWSER] if right == "read" and isinstance(error, Unauthorized) else []
            await identified({"type": "http.response.start", "status": refused, "headers": [*headers, *asks]})
            await send({"type": "http.response.body", "body": body})
        finally:
            self._lane.accounts.operation(call, status, codes[-1] if codes else None)
