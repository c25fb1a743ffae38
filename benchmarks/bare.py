"""An ASGI application that does nothing: what HTTP alone costs under this server, and so the most that can be had.

It reads the body and answers one fixed document of the size of a prediction.
"""

from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY = (
    b'{"prediction":1,"confidence":0.9432178943,"latency_ms":0.2134,'
    b'"timestamp":"2026-01-01T00:00:00.000Z","model":"iris","model_version":"1"}'
)
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))],
}
END = {"type": "http.response.body", "body": BODY}


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(END)
