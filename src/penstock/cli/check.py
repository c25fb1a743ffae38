"""Loads a model as `serve` would, in a process of its own, and says what it is: format, sha256, library versions,
what it takes and gives, how long it takes to load, and how fast it answers 1 and 100 rows.

Exits with 1 and the reason where the model cannot be served.
"""

import argparse
import socket
import statistics
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.cli.settings import add_settings, configuration
from penstock.errors import ArtifactError, ConfigurationError, FailedStart
from penstock.model.batch import BATCH, Batch, TensorHead, decode_answer
from penstock.model.control import Attach, Load, Loaded, Progress, Refused
from penstock.model.frames import FrameReader, FrameWriter, encode
from penstock.model.repository import resolve
from penstock.model.signature import Field, OutputField, Signature
from penstock.model.source import ModelSource
from penstock.supervisor.cpus import usable_cpus
from penstock.supervisor.processes import Child, lone_host

MEASURED = (1, 100)  # rows
REPEATS = 30
CODES = {
    "float64": "d", "float32": "f", "float16": "e", "int64": "q", "int32": "i", "int16": "h", "int8": "b",
    "uint64": "Q", "uint32": "I", "uint16": "H", "uint8": "B", "bool": "?",
}  # fmt: skip


class Verdict(msgspec.Struct, kw_only=True):
    """What `--json` prints. Latencies are medians in milliseconds by number of rows; null where the model failed."""

    model: str
    version: str
    path: str
    format: str
    trust: str
    loaded: Loaded | None = None
    latency_ms: dict[str, float | None] = {}
    refused: Refused | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="[NAME=]PATH", help="an artifact, a directory, or penstock.yaml")
    parser.add_argument("--json", action="store_true", help="print JSON, one document a model")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    settings, paths = configuration(arguments, arguments.paths)
    if not paths and not settings.settings.models:
        raise ConfigurationError("name a model: penstock check model.pkl")
    verdicts = [check(source) for source in resolve(paths, settings).sources]
    for verdict in verdicts:
        print(msgspec.json.encode(verdict).decode() if arguments.json else "\n".join(_told(verdict)), flush=True)
    for verdict in verdicts:
        if verdict.refused:
            print(f"penstock: cannot serve {verdict.model}: {verdict.refused.message}", file=sys.stderr)
    return int(any(verdict.refused for verdict in verdicts))


def check(source: ModelSource) -> Verdict:
    """Loads and measures one model."""
    artifact = source.artifact
    trust = "named on the command line" if source.operator_named else "pinned" if artifact.trusted else "runs no code"
    verdict = Verdict(model=source.name, version=source.version, path=source.path, format=artifact.format, trust=trust)
    if source.refusal is not None:
        verdict.refused = source.refusal
        return verdict
    threads = max(1, usable_cpus())
    with lone_host(threads) as host:
        try:
            host.channel.send(Load(source.name, source.version, msgspec.structs.replace(artifact, threads=threads)))
            verdict.loaded = _load(host, source.settings.start_timeout_s)
            verdict.latency_ms = {str(rows): _measure(host, verdict.loaded.signature, rows) for rows in MEASURED}
        except ArtifactError as error:
            verdict.refused = Refused(error.code, str(error))
    return verdict


def _load(host: Child, within: float) -> Loaded:
    for message in host.messages(within):
        match message:
            case Progress(stage):
                _say(f"{stage} …")
            case Loaded():
                _say("")
                return message
            case Refused(_, reason):
                _say("")
                raise ArtifactError(reason)
    raise FailedStart(f"while loading, {host.reap()}")


def _say(what: str) -> None:
    """Progress, where a person waits."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


# ------------------------------------------------------------------ latency
def _measure(host: Child, signature: Signature, rows: int) -> float | None:
    """The median time of a batch over the wire, in milliseconds."""
    ours, theirs = socket.socketpair()
    with ours:
        host.channel.send(Attach(0), [theirs.fileno()])
        theirs.close()
        ours.setblocking(False)
        times = [_ask(ours, signature, rows, number) for number in range(REPEATS)]
    answered = [taken for taken in times if taken is not None]
    return round(statistics.median(answered) * 1000, 3) if answered else None


def _ask(sock: socket.socket, signature: Signature, rows: int, number: int) -> float | None:
    import select

    heads, payload = _synthetic(signature, rows)
    reader, writer = FrameReader(sock), FrameWriter(sock)
    began = time.perf_counter()
    writer.send(encode(BATCH, Batch(number, rows, heads), payload))
    while True:
        select.select([sock], [sock] if writer.pending else [], [])
        writer.flush()
        for frame in reader.read():
            return None if decode_answer(frame.header).error else time.perf_counter() - began
        if reader.closed:
            raise FailedStart("the model's process ended while it was measured")


def _synthetic(signature: Signature, rows: int) -> tuple[tuple[TensorHead, ...], list[bytes]]:
    """Rows that fit the signature: the middle of a range, the first category, else 1."""
    heads, payload = [], []
    for tensor in signature.tensors():
        shape = (rows, *(length or 1 for length in tensor.shape))
        values = [_value(field) for field in tensor.fields]
        if tensor.dtype == "string":
            count = rows
            for length in shape[1:]:
                count *= length
            heads.append(TensorHead(tensor.name, "string", shape, values * count))
            continue
        heads.append(TensorHead(tensor.name, tensor.dtype, shape))
        one = struct.pack(f"<{len(values)}{CODES[tensor.dtype]}", *values)
        size = 1
        for length in shape:
            size *= length
        payload.append(one * (size // len(values)))
    return tuple(heads), payload


def _value(field: Field) -> Any:
    if field.categories:
        return field.categories[0]
    if field.dtype == "string":
        return "text"
    value = sum(field.range) / 2 if field.range else 1
    return float(value) if field.dtype.startswith("float") else int(value)


# ------------------------------------------------------------------ for people
def _told(verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.model} {verdict.version}: {verdict.path}"
    yield f"  format      {verdict.format}"
    yield f"  trust       {verdict.trust}"
    loaded = verdict.loaded
    if loaded is None:
        yield f"  refused     {verdict.refused.message if verdict.refused else ''}"
        return
    yield f"  sha256      {loaded.sha256}"
    yield f"  size        {loaded.bytes:,} bytes"
    yield f"  runtime     {loaded.runtime} on {loaded.device}"
    yield f"  libraries   {_versions(loaded.libraries)}"
    if loaded.trained_with:
        yield f"  trained by  {_versions(loaded.trained_with)}"
    yield f"  load        {loaded.load_s:.2f} s, warm-up {loaded.warmup_s:.2f} s, examples replayed: {loaded.examples}"
    for rows, taken in verdict.latency_ms.items():
        yield f"  {rows + (' row' if rows == '1' else ' rows'):12}" + ("failed" if taken is None else f"{taken:g} ms")
    yield "  inputs"
    yield from (f"    {_input(field)}" for field in loaded.signature.inputs)
    yield "  output"
    yield from (f"    {_output(field)}" for field in loaded.signature.output.fields)
    yield from (f"  warning     {warning}" for warning in loaded.warnings)


def _versions(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items()) or "none"


def _input(field: Field) -> str:
    facts = [field.dtype, "x".join("any" if n is None else str(n) for n in field.shape), field.origin]
    facts += ["nullable"] if field.nullable else []
    facts += [f"range {field.range[0]:g} to {field.range[1]:g}"] if field.range else []
    facts += [f"{len(field.categories)} categories"] if field.categories else []
    return f"{field.name}: {', '.join(filter(None, facts))}"


def _output(field: OutputField) -> str:
    classes = field.classes
    kind = f"one of {', '.join(map(str, classes[:10]))}{', …' if len(classes) > 10 else ''}" if classes else field.dtype
    shape = "x".join("any" if n is None else str(n) for n in field.shape)
    return f"{field.name}: {', '.join(filter(None, [kind, shape]))}"
