"""The probe: one model, loaded in a process of its own as `penstock serve` would load it, and measured."""

import math
import random
import select
import socket
import statistics
import struct
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from penstock.errors import FailedStart, HostLost
from penstock.model.batch import BATCH, Batch, TensorHead, decode_answer
from penstock.model.control import Attach, Load, Loaded, Progress, Refused
from penstock.model.frames import FrameReader, FrameWriter, encode
from penstock.model.signature import DType, Field, Signature, Tensor
from penstock.model.source import ModelSource
from penstock.supervisor.cpus import usable_cpus
from penstock.supervisor.processes import Child, ChildFailed, lone_host

ROWS = (1, 100)
REPETITIONS = 50
BUDGET_S = 2.0  # for all repetitions of one size, so that a slow model is measured in fewer

CODES = {"float64": "d", "float32": "f", "float16": "e", "bool": "?"} | {
    f"{sign}int{bits}": code.upper() if sign else code
    for bits, code in ((64, "q"), (32, "i"), (16, "h"), (8, "b"))
    for sign in ("", "u")
}


class Latency(Struct, frozen=True, kw_only=True):
    """The median time of a batch from this process to the model's and back, in milliseconds.

    `model_ms` is the model's part of it. `error` stands instead where the model failed on made-up rows.
    """

    rows: int
    batches: int = 0
    total_ms: float | None = None
    model_ms: float | None = None
    error: str | None = None


class Finding(Struct, frozen=True, kw_only=True):
    """What became of it: `loaded` with `latency`, or `refused`."""

    loaded: Loaded | None = None
    latency: tuple[Latency, ...] = ()
    refused: Refused | None = None


def probe(source: ModelSource, progress: Callable[[str], object]) -> Finding:
    """Loads `source`, measures it, and lets go of it. `progress` is told each stage."""
    if source.refusal:
        return Finding(refused=source.refusal)
    threads = usable_cpus()
    artifact = msgspec.structs.replace(source.artifact, threads=threads)
    with lone_host(threads) as host:
        host.channel.send(Load(source.name, source.version, artifact))
        compiling_s = 0.0 if artifact.compile == "off" else artifact.compile_timeout_s
        verdict = _verdict(host, source.settings.start_timeout_s + compiling_s, progress)
        if isinstance(verdict, Refused):
            return Finding(refused=verdict)
        progress("measuring")
        try:
            latency = tuple(_measure(host, verdict.signature, rows, source.settings.predict_timeout_s) for rows in ROWS)
        except HostLost as lost:
            return Finding(loaded=verdict, refused=Refused(lost.code, str(lost)))
        return Finding(loaded=verdict, latency=latency)


def _verdict(host: Child, within: float, progress: Callable[[str], object]) -> Loaded | Refused:
    try:
        for message in host.messages(within):
            if isinstance(message, Progress):
                progress(message.stage)
            elif isinstance(message, Loaded | Refused):
                return message
    except ChildFailed as error:
        return Refused(FailedStart.code, f"{error}; --start-timeout-s allows it more")
    return Refused(FailedStart.code, "the model's process died while it was loading")


def _measure(host: Child, signature: Signature, rows: int, within: float) -> Latency:
    """Asks for batches of `rows` one after the other. Raises HostLost where the process does not survive that."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        host.channel.send(Attach(0), [theirs.fileno()])
        ours.setblocking(False)
        theirs.close()
        heads, payload = made_up(signature, rows)
        reader, writer = FrameReader(ours), FrameWriter(ours)
        taken: list[tuple[float, float]] = []
        until = time.perf_counter() + BUDGET_S
        while len(taken) < REPETITIONS and (time.perf_counter() < until or not taken):
            began = time.perf_counter()
            writer.send(encode(BATCH, Batch(len(taken), rows, heads), payload))
            answer = decode_answer(_awaited(ours, reader, writer, within))
            if answer.error:
                return Latency(rows=rows, error=answer.error)
            taken.append((time.perf_counter() - began, answer.seconds))
    total, model = (round(statistics.median(column) * 1000, 3) for column in zip(*taken, strict=True))
    return Latency(rows=rows, batches=len(taken), total_ms=total, model_ms=model)


def _awaited(ours: socket.socket, reader: FrameReader, writer: FrameWriter, within: float) -> bytes:
    """The header of the next answer."""
    poll = select.poll()
    until = time.monotonic() + within
    while (left := until - time.monotonic()) > 0 and not reader.closed:
        poll.register(ours, select.POLLIN | (select.POLLOUT if writer.pending else 0))
        poll.poll(left * 1000)
        writer.flush()
        answers = [bytes(frame.header) for frame in reader.read()]
        if answers:
            return answers[0]
    raise HostLost("the model's process died" if reader.closed else f"the model did not answer within {within:g} s")


def made_up(signature: Signature, rows: int) -> tuple[tuple[TensorHead, ...], list[bytes]]:
    """A batch that fits the signature: values in range, known categories, always the same ones."""
    dice = random.Random(0)
    tensors = [_tensor(tensor, rows, dice) for tensor in signature.tensors()]
    return tuple(head for head, _ in tensors), [data for _, data in tensors if data is not None]


def _tensor(tensor: Tensor, rows: int, dice: random.Random) -> tuple[TensorHead, bytes | None]:
    shape = (rows, *(length or 1 for length in tensor.shape))
    fields = tensor.fields
    values = [_value(fields[i % len(fields)], tensor.dtype, dice) for i in range(math.prod(shape))]
    if tensor.dtype == "string":
        return TensorHead(tensor.name, "string", shape, values), None
    return TensorHead(tensor.name, tensor.dtype, shape), struct.pack(f"<{len(values)}{CODES[tensor.dtype]}", *values)


def _value(field: Field, wire: DType, dice: random.Random) -> Any:
    if field.categories:
        return dice.choice(field.categories)
    if wire == "string":
        return "text"
    low, high = field.range or (0.0, 1.0)
    return dice.uniform(low, high) if wire.startswith("float") else round(dice.uniform(low, high))
