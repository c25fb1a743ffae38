"""Fronts and hosts without HTTP and without models: real processes that speak the real protocol.

python children.py host     does what the words in the file that it is to load say
python children.py front    answers one line with one line: see `ANSWERS`
"""

import hashlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from penstock.model import control
from penstock.model.control import CHANNEL_FD, Channel
from penstock.model.leash import be_a_child
from penstock.model.signature import Field, Output, OutputField, Signature

PROGRAM = str(Path(__file__).resolve())
HOST = (PROGRAM, "host")
FRONT = (PROGRAM, "front")
SULKING = os.environ.get("SULKING", "") + "/sulk-{}"  # a front whose slot has such a file does not listen
PULSE_S = 0.2  # how often a front says that it lives
SIGNATURE = Signature(inputs=(Field(name="x"),), output=Output(fields=(OutputField(name="y"),)))


# ------------------------------------------------------------------ a host
class Host:
    """Does each line of the artifact in turn while it loads; then serves until it is told to stop."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.messages: list[Any] = []

    def run(self) -> None:
        load = self.receive()
        content = Path(load.artifact.path).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if load.artifact.pinned not in (None, digest):
            self.channel.send(control.Refused("changed_artifact", "other bytes than before"))
            return
        self.channel.send(control.Progress("loading", digest))
        for line in content.decode().splitlines():
            self.do(*line.split(" ", 1))
        self.channel.send(control.Loaded(signature=SIGNATURE, sha256=digest, bytes=1, runtime="test", device="cpu"))
        while not isinstance(self.receive(), control.Stop | None):
            pass

    def do(self, word: str, rest: str = "") -> None:
        DEEDS[word](self, rest)

    def refuse(self, why: str) -> None:
        self.channel.send(control.Refused("unreadable_artifact", why))
        time.sleep(60)

    def receive(self) -> Any:
        """The next message; None when there will be no other."""
        self.channel.socket.setblocking(True)
        while not self.messages and not self.channel.closed:
            self.messages += [message for message, _ in self.channel.receive()]
        return self.messages.pop(0) if self.messages else None


def fork(file: str) -> None:
    """Something of its own, which outlives it and holds all that it had open."""
    if os.fork() == 0:
        Path(file).write_text(str(os.getpid()))
        time.sleep(60)


DEEDS: dict[str, Callable[[Host, str], object]] = {
    "say": lambda _, text: print(text, flush=True),
    "complain": lambda _, text: print(text, file=sys.stderr, flush=True),
    "die": lambda _, name: os.kill(os.getpid(), getattr(signal, name)),
    "exit": lambda _, status: os._exit(int(status)),
    "sleep": lambda _, seconds: time.sleep(float(seconds)),
    "wait": lambda _, fifo: Path(fifo).read_bytes(),  # until somebody has opened it for writing, and closed it
    "compile": lambda host, _: host.channel.send(control.Progress("compiling")),
    "babble": lambda host, _: host.channel.socket.send(b"nonsense" * 100),
    "hangup": lambda host, _: host.channel.socket.close(),
    "refuse": Host.refuse,
    "fork": lambda _, file: fork(file),
    "environment": lambda _, file: Path(file).write_bytes(msgspec.json.encode(dict(os.environ))),
}


# ------------------------------------------------------------------ a front
class Front:
    """Listens where it is told to, and answers each connection's one line."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.selector = selectors.DefaultSelector()
        self.selector.register(channel.socket, selectors.EVENT_READ)
        self.models: tuple[control.ModelState, ...] = ()
        self.slots: list[int] = []
        self.told_first: list[str] = []
        self.hosts: dict[int, socket.socket] = {}
        self.listeners: list[socket.socket] = []
        self.draining = False
        self.cut = 0
        self.figures: dict[str, dict[str, Any]] = {"counters": {}, "gauges": {}, "histograms": {}}
        self.asking: socket.socket | None = None
        self.silent = False

    def run(self) -> None:
        while not self.channel.closed:
            if not self.silent:
                self.channel.send(control.Report(self.figures))
            for key, _ in self.selector.select(PULSE_S):
                if key.fileobj is self.channel.socket:
                    for message, descriptors in self.channel.receive():
                        self.hear(message, [socket.socket(fileno=d) for d in descriptors[:1]])
                else:
                    self.accept(key.fileobj)

    def hear(self, message: Any, sockets: list[socket.socket]) -> None:
        if not self.slots:
            self.told_first.append(type(message).__name__)
        match message:
            case control.Listen(slot) if not self.slots and Path(SULKING.format(slot)).exists():
                pass
            case control.Listen(slot):
                self.slots.append(slot)
                self.listeners += sockets
                self.selector.register(sockets[0], selectors.EVENT_READ)
                self.channel.send(control.Listening(slot))
            case control.Models(models, revision):
                self.models = models
                self.channel.send(control.Follows(revision))
            case control.HostOf(host):
                self.hosts[host] = sockets[0]
            case control.Merged(_, figures) if self.asking:
                self.reply(self.asking, figures)
            case control.Yield(slot):
                self.leave(slot)
            case control.Drain():
                self.draining = True
            case control.Retire() | control.Stop():
                self.channel.send(control.Drained(self.cut))
                sys.exit(0)

    def leave(self, slot: int) -> None:
        at = self.slots.index(slot)
        del self.slots[at]
        listener = self.listeners.pop(at)
        self.selector.unregister(listener)
        listener.close()

    def accept(self, listener: Any) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:  # another front was quicker
            return
        connection.setblocking(True)
        word, _, rest = connection.makefile().readline().strip().partition(" ")
        answer = ANSWERS[word](self, rest)
        if word == "scrape":
            self.asking = connection
        else:
            self.reply(connection, answer)

    def reply(self, connection: socket.socket, answer: Any) -> None:
        connection.sendall(msgspec.json.encode(answer))
        connection.close()

    def count(self, requests: int) -> None:
        """Has counted so many requests since it started."""
        self.figures["counters"]["penstock_requests_total"] = [[["/predict", "", "", "200"], [requests]]]
        self.channel.send(control.Report(self.figures))

    def ask(self) -> None:
        self.channel.send(control.Report(self.figures, 7))

    def hung(self, host: int) -> None:
        self.channel.send(control.Hung(host))

    def fall_silent(self) -> None:
        self.silent = True

    def leave_undone(self, cut: int) -> None:
        self.cut = cut


ANSWERS: dict[str, Callable[[Front, str], Any]] = {
    "pid": lambda front, _: os.getpid(),
    "who": lambda front, _: (os.getpid(), front.slots),
    "slots": lambda front, _: front.slots,
    "told": lambda front, _: front.told_first,
    "draining": lambda front, _: front.draining,
    "models": lambda front, _: front.models,
    "hosts": lambda front, _: sorted(front.hosts),
    "hung": lambda front, host: front.hung(int(host)),
    "count": lambda front, requests: front.count(int(requests)),
    "scrape": lambda front, _: front.ask(),
    "cut": lambda front, cut: front.leave_undone(int(cut)),
    "silent": lambda front, _: front.fall_silent(),
}


if __name__ == "__main__":
    be_a_child()
    end = socket.socket(fileno=CHANNEL_FD)
    if sys.argv[1] == "host":
        Host(Channel(end, control.ToHost)).run()
    else:
        Front(Channel(end, control.ToFront)).run()
