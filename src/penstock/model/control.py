"""What the supervisor and its children say to each other, and the channel they say it over.

Every child is born with one end of a stream socket pair as descriptor 3. Messages are frames (see frames.py) whose
header is one of the tagged structs below; file descriptors travel beside a message (`SCM_RIGHTS`).
"""

import socket
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from penstock.config import Canary, Model, Route, Settings, Shadow
from penstock.model.bucket import Grant
from penstock.model.certificate import Certificate, Compile
from penstock.model.context import Context
from penstock.model.frames import LARGEST_FRAME, MAGIC, PREFIX, BrokenFrame
from penstock.model.key import Key
from penstock.model.quota import Unit
from penstock.model.shaping import Shaping
from penstock.model.signature import AllZero, Field, Signature
from penstock.model.tls import Pair

CHANNEL_FD = 3


# ------------------------------------------------------------------ supervisor and host
class Transform(Struct, frozen=True):
    """A file that holds a fitted transform."""

    path: str
    format: Literal["pickle", "skops"]


class Golden(Struct, frozen=True):
    """The examples of the version that serves now, and their sha256: a new one is asked the same."""

    path: str
    sha256: str


class Comparison(Struct, frozen=True, kw_only=True):
    """What a new version made of another's examples: how many there were, how many it answered otherwise, how many it
    could not answer, and microseconds for each."""

    examples: int
    differing: int
    unanswered: int
    us: float


class Artifact(Struct, frozen=True, kw_only=True):
    """What a host is to load. Paths are absolute and resolved.

    `pinned`: the sha256 that the bytes must have (from the lock, or from the first load). `trusted`: loading may run
    the artifact's code. `root`: the directory that external data must not leave. `inputs` are declared fields,
    `context` says which of them come from a store, `all_zero` what becomes of a row of nothing but zeros, and `output`
    what is made of the answers. `transforms` are applied before the model, in order. `beside`: the sha256 that further
    files must have, by path: from the lock, or of those that the first load read. `memory`: bytes of data that the
    process may hold.
    `others`: examples that it is not held to, but compared by. `reference`: a file with rows of the training data.
    `compile`: whether a compiled form is looked for, within `compile_timeout_s`.
    """

    path: str
    format: Literal["pickle", "skops", "onnx", "torchscript", "predictor"]
    root: str
    pinned: str | None = None
    trusted: bool = False
    trusted_types: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    code: tuple[str, ...] = ()
    code_pins: dict[str, str] = {}
    inputs: tuple[Field, ...] = ()
    context: tuple[Context, ...] = ()
    all_zero: AllZero = "serve"
    output: Shaping = Shaping()
    examples: str | None = None
    others: Golden | None = None
    reference: str | None = None
    beside: dict[str, str] = {}
    device: str = "auto"
    threads: int = 1
    memory: int | None = None
    compile: Compile = "off"
    compile_timeout_s: float = 60.0


class Load(Struct, frozen=True, tag=True):
    """Supervisor to host: load this. Answered by `Progress`es, then `Loaded` or `Refused`."""

    model: str
    version: str
    artifact: Artifact


class Attach(Struct, frozen=True, tag=True):
    """Supervisor to host, with two descriptors: serve the front at this socket's other end, and keep this stamp."""

    front: int


class Stop(Struct, frozen=True, tag=True):
    """Supervisor to any child: finish what you hold within so many seconds, then end."""

    finish_s: float = 0.0


class Profile(Struct, frozen=True, tag=True):
    """A command to its host: note from now on what takes the time of the answers; with `stop`, say what did."""

    stop: bool = False


class HotSpot(Struct, frozen=True):
    """A function, where it is written, how often it was called, and its seconds: its own, and with those it called."""

    function: str
    where: str
    calls: int
    own_s: float
    total_s: float


class Profiled(Struct, frozen=True, tag=True):
    """Host to a command: the functions in which the time of so many answers went, `seconds` of it altogether."""

    answers: int
    seconds: float
    spots: tuple[HotSpot, ...]


class Progress(Struct, frozen=True, tag=True):
    """Host to supervisor: where the loading stands. "loading" carries the sha256 of what is about to be loaded."""

    stage: Literal["reading", "loading", "compiling", "warming", "replaying"]
    sha256: str | None = None


class Loaded(Struct, frozen=True, tag=True, kw_only=True):
    """Host to supervisor: ready to answer. `context` says which inputs come from a store; `libraries` and
    `trained_with` map packages to versions.

    `chain` has the sha256 of each of its `transforms`, in their order; `beside` that of every file that was read
    besides the artifact, by path: transforms, external weights, examples, reference; `modules` that of each module of
    the model's own, by name. `certificate` says whether it runs compiled; None where that was not asked. `example_us`:
    microseconds for each of its examples; `comparison`: what it made of the others'.
    """

    signature: Signature
    context: tuple[Context, ...] = ()
    sha256: str
    bytes: int
    runtime: str
    device: str
    transforms: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    beside: dict[str, str] = {}
    modules: dict[str, str] = {}
    libraries: dict[str, str] = {}
    trained_with: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    examples: int = 0
    load_s: float = 0.0
    warmup_s: float = 0.0
    certificate: Certificate | None = None
    example_us: float | None = None
    comparison: Comparison | None = None


class Refused(Struct, frozen=True, tag=True):
    """Host to supervisor: this will not be served. `code` is that of an ArtifactError, `message` what to do."""

    code: str
    message: str


# ------------------------------------------------------------------ supervisor and front
class HostOf(Struct, frozen=True, tag=True):
    """Supervisor to front, with two descriptors: a socket to a host that serves this version, and its stamp."""

    host: int
    model: str
    version: str


State = Literal["available", "loading", "ready", "restarting", "refused", "unloading"]
"""`available` is there and not loaded; `unloading` finishes what was admitted to it."""


class VersionState(Struct, frozen=True, kw_only=True):
    """One version of a model as the supervisor knows it.

    `reason` says why it is not ready, `held` why it does not take the traffic by itself, although it is; `pids` are the
    processes of the replicas that are `live`.
    """

    version: str
    state: State
    reason: str | None = None
    held: str | None = None
    code: str | None = None
    path: str
    format: str
    loaded: Loaded | None = None
    replicas: int = 1
    live: int = 0
    pids: tuple[int, ...] = ()
    restarts: int = 0


class Breach(Struct, frozen=True, kw_only=True):
    """A canary was found to be worse than its guard allows: when, and in what way. It has no share any more."""

    version: str
    limit: str
    reason: str
    at: str


class ModelState(Struct, frozen=True, kw_only=True):
    """A model and its versions, in their order.

    `default` takes the requests that name no version, but for the share of the `canary`, if that has a version; an
    empty one is no version at all. The `shadow`, if it has one, is asked again what the default version has answered.
    The `route` is what is wanted, which may have to be loaded first. A `breach` is why there is no canary any more,
    `unfit` why the shadow is not asked, and `canary_unfit` why the canary could not be, though it has its share.
    """

    name: str
    default: str
    canary: Canary = Canary()
    shadow: Shadow = Shadow()
    route: Route = Route()
    breach: Breach | None = None
    unfit: str | None = None
    canary_unfit: str | None = None
    settings: Model = Model(path="")
    versions: tuple[VersionState, ...]


class Configure(Struct, frozen=True, tag=True):
    """Supervisor to front: its first message. With a `pair` it speaks TLS."""

    slot: int
    settings: Settings
    pair: Pair | None = None


class Renew(Struct, frozen=True, tag=True):
    """Supervisor to front: show this certificate from now on."""

    pair: Pair


class Listen(Struct, frozen=True, tag=True):
    """Supervisor to front, with one descriptor: accept connections from this listener."""

    slot: int


class Models(Struct, frozen=True, tag=True):
    """Supervisor to front: everything there is to know about the models, and the keys that count (None where nobody
    needs one), whenever any of it changes. `started`: each of those that were there at the start has been ready.
    `Follows` answers."""

    models: tuple[ModelState, ...]
    revision: int = 0
    started: bool = False
    keys: tuple[Key, ...] | None = None


class Yield(Struct, frozen=True, tag=True):
    """Supervisor to front: leave this listener, which was lent to you, to its own front."""

    slot: int


class Drain(Struct, frozen=True, tag=True):
    """Supervisor to front: be not ready, and close each connection with its next answer."""


class Retire(Struct, frozen=True, tag=True):
    """Supervisor to front: another has your place. Leave the listeners, close each connection with its next answer, or
    when it has been silent for `linger_s`, and end; give up in `finish_s` seconds more. The service stays ready."""

    linger_s: float
    finish_s: float


class Listening(Struct, frozen=True, tag=True):
    """Front to supervisor: connections are being accepted."""

    slot: int


class Hung(Struct, frozen=True, tag=True):
    """Front to supervisor: this host has been at a batch for longer than the model's predict_timeout, or stopped."""

    host: int


class Follows(Struct, frozen=True, tag=True):
    """Front to supervisor: requests go where the `Models` of this revision say."""

    revision: int


Action = Literal["route", "promote", "rollback", "load", "unload", "history"]


class Order(Struct, frozen=True, tag=True, kw_only=True):
    """Front to supervisor: an administrator, known by the name of a key, wants this done. An `Outcome` follows."""

    number: int = 0
    by: str = ""
    model: str
    action: Action
    version: str | None = None
    route: Route | None = None
    why: str | None = None


class Outcome(Struct, frozen=True, tag=True, kw_only=True):
    """Supervisor to front: what became of order `number`, once it is so, on every front.

    `refused` is a sentence that says why nothing was changed; else the default version and the route before and after,
    or the `history` that was asked for.
    """

    number: int
    refused: str | None = None
    default_before: str | None = None
    default_after: str | None = None
    route_before: Route | None = None
    route_after: Route | None = None
    history: tuple[Any, ...] = ()


class Released(Struct, frozen=True, tag=True):
    """Front to supervisor: no request is held any more for a version that is unloading."""

    model: str
    version: str


class Report(Struct, frozen=True, tag=True):
    """Front to supervisor: its figures since it started. With `scrape` it wants the merged ones back."""

    figures: Any
    scrape: int | None = None


class Merged(Struct, frozen=True, tag=True):
    """Supervisor to front: the figures of all processes, for scrape `scrape`."""

    scrape: int
    figures: Any


class Demand(Struct, frozen=True, array_like=True):
    """What requests of one client want to spend, one after the other, and what is `left` of the tokens that were lent
    before, with the `stamp` of that loan."""

    client: str
    unit: Unit
    sizes: tuple[int, ...]
    left: int = 0
    stamp: int = 0


class Demands(Struct, frozen=True, tag=True):
    """Front to supervisor: may these pass? `Grants` answers, in the same order."""

    demands: tuple[Demand, ...]


class Grants(Struct, frozen=True, tag=True):
    """Supervisor to front: one for each of its demands."""

    grants: tuple[Grant, ...]


class Drained(Struct, frozen=True, tag=True):
    """Front to supervisor: the last message. `cut` requests were given up unanswered."""

    cut: int


ToHost = Load | Attach | Stop | Profile
FromHost = Progress | Loaded | Refused | Profiled
ToFront = Configure | Renew | Listen | Yield | HostOf | Models | Drain | Retire | Stop | Merged | Outcome | Grants
FromFront = Listening | Hung | Follows | Released | Order | Report | Demands | Drained

Messages = list[tuple[Any, list[int]]]
"""Each with the descriptors that came with it."""


class BadMessage(BrokenFrame):
    """The other process sent something that is not a message; `before` is what it said before that."""

    def __init__(self, before: Messages) -> None:
        super().__init__()
        self.before = before


class Channel:
    """One end of a control socket: messages both ways, each with any descriptors that belong to it.

    `expects` is the union of messages that the other side may send. Non-blocking: call `receive` when the socket is
    readable, and `flush` when it is writable while `pending`.
    """

    def __init__(self, sock: socket.socket, expects: Any) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.closed = False
        self._decode = msgspec.msgpack.Decoder(expects).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._outbox: deque[tuple[memoryview, Sequence[int]]] = deque()
        self._inbox = bytearray()
        self._descriptors: deque[int] = deque()

    @property
    def pending(self) -> bool:
        return bool(self._outbox)

    def send(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Sends `message`; the descriptors must stay open until `pending` is false. Sets `closed` on a dead peer."""
        body = self._encode(message)
        frame = PREFIX.pack(MAGIC, len(descriptors), len(body), 0) + body
        self._outbox.append((memoryview(frame), descriptors))
        self.flush()

    def flush(self) -> None:
        """Sends what the kernel takes of what is waiting."""
        while self._outbox:
            view, descriptors = self._outbox[0]
            try:
                sent = (
                    socket.send_fds(self.socket, [view], list(descriptors)) if descriptors else self.socket.send(view)
                )
            except BlockingIOError:
                return
            except OSError:
                self.closed = True
                self._outbox.clear()
                return
            if sent == len(view):
                self._outbox.popleft()
            else:  # descriptors go with the first byte
                self._outbox[0] = (view[sent:], ())

    def receive(self) -> Messages:
        """The messages that have arrived, each with its descriptors. Sets `closed` at the end of the stream.

        Raises BadMessage, after which nothing more can be understood.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, 2**18, 64)
        except BlockingIOError:
            return []
        except OSError:
            data, descriptors = b"", []
        if not data:
            self.closed = True
            return []
        self._inbox += data
        self._descriptors.extend(descriptors)
        found: Messages = []
        try:
            found.extend(self._messages())
        except (BrokenFrame, msgspec.MsgspecError) as problem:
            raise BadMessage(found) from problem
        return found

    def _messages(self) -> Iterator[tuple[Any, list[int]]]:
        start = 0
        while len(self._inbox) - start >= PREFIX.size:
            magic, descriptors, size, _ = PREFIX.unpack_from(self._inbox, start)
            if magic != MAGIC or size > LARGEST_FRAME:
                raise BrokenFrame
            end = start + PREFIX.size + size
            if len(self._inbox) < end:
                break
            message = self._decode(self._inbox[start + PREFIX.size : end])
            if len(self._descriptors) < descriptors:
                raise BrokenFrame
            start = end
            yield message, [self._descriptors.popleft() for _ in range(descriptors)]
        del self._inbox[:start]

    def close(self) -> None:
        self.socket.close()
        while self._descriptors:
            socket.close(self._descriptors.popleft())
