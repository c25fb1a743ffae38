"""The flow of a connection: when it is read from, and who closes it."""

import asyncio
from collections.abc import Callable, Sized

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
    """Stands for the transport in uvicorn's cycle, which closes what it has answered: `close` decides how."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close
