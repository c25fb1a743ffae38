"""A child on the loop: what it says, how to answer it, and how it ended."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from penstock.model.control import BadMessage
from penstock.supervisor.loop import Loop, Timer
from penstock.supervisor.processes import Child, Exit

ENDING_S = 1.0  # what a process may take to end after it has closed its channel
MOST_LAST_WORDS = 64  # reads after the end; what the child had started may hold the channel open


class Descriptor(Protocol):
    """What can be sent beside a message: a socket, or a file."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class Link:
    """Calls `on_message` with each message of `child`, then `on_exit` once, after the last message.

    A child that sends what is no message is killed: it runs somebody's model. So is one that closes its channel and
    does not end: there is nothing left to say to it. `fault` then says which.
    """

    def __init__(
        self, loop: Loop, child: Child, on_message: Callable[[Any], object], on_exit: Callable[[Exit], object]
    ) -> None:
        self.pid = child.pid
        self.fault: str | None = None
        self._loop = loop
        self._child = child
        self._channel = child.channel
        self._on_message = on_message
        self._on_exit = on_exit
        self._overdue: Timer | None = None
        self._travelling: list[Descriptor] = []
        loop.watch(self._channel.socket.fileno(), self._readable)
        loop.watch(child.pidfd, self._ended)

    def send(self, message: object, descriptors: Sequence[Descriptor] = ()) -> None:
        """Sends `message` with `descriptors`, which are closed here once they are on their way."""
        self._travelling += descriptors
        self._channel.send(message, [each.fileno() for each in descriptors])
        self._settle()

    def kill(self) -> None:
        """Ends the child at once; `on_exit` follows."""
        self._child.kill()

    def _settle(self) -> None:
        """Watches for room while there is something left to send; lets go of what has been sent."""
        if self._channel.pending:
            self._loop.watch(self._channel.socket.fileno(), self._readable, self._writable)
            return
        for descriptor in self._travelling:
            descriptor.close()
        self._travelling.clear()

    def _writable(self) -> None:
        self._channel.flush()
        if not self._channel.pending:
            self._loop.watch(self._channel.socket.fileno(), self._readable)
        self._settle()

    def _readable(self) -> None:
        try:
            arrived = self._channel.receive()
        except BadMessage as bad:
            arrived = bad.before
            self._channel.closed = True
            self._convict("it sent what is no message")
        for message, descriptors in arrived:
            for descriptor in descriptors:
                os.close(descriptor)
            self._on_message(message)
        if self._channel.closed:
            self._loop.unwatch(self._channel.socket.fileno())
            self._overdue = self._overdue or self._loop.later(
                ENDING_S, lambda: self._convict("it closed its control socket and did not end")
            )

    def _convict(self, fault: str) -> None:
        self.fault = fault
        self.kill()

    def _ended(self) -> None:
        """Hears the last words, which may have arrived together with the end."""
        for _ in range(MOST_LAST_WORDS):
            if self._channel.closed or not self._child.has_said_more():
                break
            self._readable()
        if self._overdue:
            self._overdue.cancel()
        self._loop.unwatch(self._channel.socket.fileno())
        self._loop.unwatch(self._child.pidfd)
        how = self._child.reap()
        self._child.close()
        for descriptor in self._travelling:
            descriptor.close()
        self._on_exit(how)
