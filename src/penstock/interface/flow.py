"""The flow of a connection: when it is read from, and how it ends while the client is still sending."""

import asyncio
from collections.abc import Sized

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """Reads nothing while answers are not taken, nor while whole requests wait for their turn.

    uvicorn's resumes reading with every answer and every body: a client that pipelines would have many more requests
    read for each one answered, and fill the memory with them.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self.write_paused and not self._pipeline:
            super().resume_reading()


class Ending:
    """Stands for the transport in uvicorn's cycle where the client is still sending: it closes one direction alone.

    A socket that is closed with something unread in it is reset, and the answer may be lost with it.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = transport.write_eof
