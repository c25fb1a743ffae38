"""`python -P -m penstock.host MODEL/VERSION`, started by the supervisor with its control socket as descriptor 3.

What it serves comes over the socket; the argument is for people who look at the list of processes.
"""

import io
import os
import select
import socket
import sys
from typing import Any

from penstock.host.loop import Loop
from penstock.host.refusals import explain
from penstock.host.responder import Responder
from penstock.host.start import start
from penstock.model.control import CHANNEL_FD, Channel, Load, Refused, ToHost
from penstock.model.leash import be_a_child


def main() -> None:
    be_a_child()
    del sys.argv[1:]  # a model's own code may look for arguments of its own
    os.set_inheritable(CHANNEL_FD, False)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a pipe, of which each line becomes a log event when it is whole
        sys.stdout.reconfigure(line_buffering=True)
    status = serve(Channel(socket.socket(fileno=CHANNEL_FD), ToHost))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads and exit hooks of a model must not keep its process alive


def serve(channel: Channel) -> int:
    """Loads what the first message names and answers batches with it, or says why not, until the channel ends.

    Returns the status to exit with: 1 where it had to stop for want of memory.
    """
    messages = _awaited(channel)
    if not messages or not isinstance(messages[0][0], Load):
        return 0
    artifact = messages[0][0].artifact
    try:
        model, loaded = start(artifact, channel.send)
    except BaseException as error:  # noqa: BLE001  # an artifact's code may raise anything, SystemExit included
        reason = explain(error, artifact)
        channel.send(Refused(reason.code, str(reason)))
        _deliver(channel)
        return 0
    channel.send(loaded)
    _deliver(channel)
    responder = Responder(model, loaded.signature)
    Loop(channel, responder).run(messages[1:])
    if responder.exhausted:
        print("two batches in a row found no memory: the process makes room for a new one", file=sys.stderr)
    return int(responder.exhausted)


def _awaited(channel: Channel) -> list[tuple[Any, list[int]]]:
    """The first messages, as soon as there are some; none where the channel ends before."""
    messages: list[tuple[Any, list[int]]] = []
    while not messages and not channel.closed:
        select.select([channel.socket], [], [])
        messages = channel.receive()
    return messages


def _deliver(channel: Channel) -> None:
    while channel.pending:
        select.select([], [channel.socket], [])
        channel.flush()


if __name__ == "__main__":
    main()
