"""The structured log: one JSON object a line, encoded where it happens and written by a thread of its own.

Whoever logs never waits: a line is encoded and put into a bounded queue. When the sink stands still the queue fills
up, further lines are dropped and counted, and a `log_lines_dropped` line tells how many once it flows again.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from penstock.config import Logs
from penstock.observability.sink import STANDING_S, Sink, whole_lines
from penstock.observability.terminal import Text, takes_colours
from penstock.observability.timestamps import timestamp

Level = Literal["info", "warning", "error"]

MOST_LINES = 65_536  # in the queue
MOST_BYTES = 8 * 2**20
GATHER_S = 0.03  # how long lines gather before they are written, except for a terminal
MOST_DEPTH = 8  # of values that the encoder would not take
CONTROLS = re.compile("[\x7f-\x9f]")  # valid in JSON, and able to drive a terminal


class Line(Struct, kw_only=True):
    """What every line says. The log fills in `process`, and `timestamp` where it is empty."""

    timestamp: str = ""
    level: Level = "info"
    event: str
    process: str = ""


class PredictionLine(Line, kw_only=True):
    """One answered prediction request. Times are in milliseconds, cut to the microsecond.

    `context` says what was looked up in stores: names, and nothing of what they hold.
    `client` is an address, `key` the name of the client's key. `prediction` and `confidence` are there for single rows
    only; the confidence of a regressor is null. `cached_rows` are those that were kept from before, where any are kept.
    `code` and `detail` are there for failures. The level follows from the status, `latency_per_row_ms` from the rows.
    """

    event: str = "prediction"
    request_id: str
    client: str | None = None
    key: str | UnsetType = UNSET
    model: str
    model_version: str
    status: int
    rows: int | None = None
    input_shape: Sequence[int] | None = None
    latency_ms: float
    latency_per_row_ms: float | None = None
    queue_ms: float = 0.0
    context: Sequence[Mapping[str, Any]] | UnsetType = UNSET
    prediction: Any = UNSET
    confidence: float | UnsetType | None = UNSET
    cached_rows: int | UnsetType = UNSET
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.status >= 400:
            self.level = "error" if self.status >= 500 else "warning"
        self.latency_ms = latency = self.latency_ms * 1e3 // 1 / 1e3  # round() takes three times as long
        self.queue_ms = self.queue_ms * 1e3 // 1 / 1e3
        if rows := self.rows:
            self.latency_per_row_ms = latency if rows == 1 else latency / rows * 1e3 // 1 / 1e3


class Log:
    """Writes lines of `process` to `sink`, as JSON, or rendered by `text`. Any thread may use it."""

    def __init__(self, sink: Sink, process: str, text: Callable[[bytes], bytes] | None = None) -> None:
        self.dropped = 0
        self._told = 0
        self._process = process
        self._sink = sink
        self._text = text
        self._most = MOST_LINES
        self._lines: list[bytes] = []
        self._bytes = 0
        # Re-entrant, since a collection inside the lock may run a finalizer that logs.
        self._lock = threading.RLock()
        self._awake = False
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._run, name="log", daemon=True)
        self._writer.start()

    def info(self, event: str, /, **fields: object) -> None:
        self._put(encode(self._line("info", event, fields)))

    def warning(self, event: str, /, **fields: object) -> None:
        self._put(encode(self._line("warning", event, fields)))

    def error(self, event: str, /, **fields: object) -> None:
        self._put(encode(self._line("error", event, fields)))

    def write(self, line: Line) -> None:
        """Logs `line`, whose process is filled in here, and whose timestamp unless it has one."""
        line.timestamp = line.timestamp or timestamp()
        line.process = self._process
        self._put(encode(line))

    def close(self, timeout_s: float = 1.0) -> None:
        """Writes what is queued, for at most `timeout_s`. What is left then, or comes later, is dropped."""
        self._closing.set()
        self._wake.set()
        self._writer.join(timeout_s)
        self._sink.abandoned.set()
        self._writer.join(2 * STANDING_S)  # it looks up that often
        self._most = 0
        if not self._writer.is_alive():
            self._sink.close()

    def _line(self, level: Level, event: str, fields: dict[str, object]) -> dict[str, object]:
        head = {"timestamp": timestamp(), "level": level, "event": event, "process": self._process}
        return head | {(f"{name}_" if name in head else name): value for name, value in fields.items()}

    def _put(self, line: bytes) -> None:
        with self._lock:
            if len(self._lines) >= self._most or self._bytes >= MOST_BYTES:
                self.dropped += 1
                return
            self._lines.append(line)
            self._bytes += len(line)
            if self._awake:
                return
            self._awake = True
        self._wake.set()

    def _run(self) -> None:
        while not self._closing.is_set() or self._lines:
            self._wake.wait()
            if not self._sink.terminal:
                self._closing.wait(GATHER_S)
            if self._write(self._take()):
                self._tell_dropped()

    def _take(self) -> list[bytes]:
        self._wake.clear()
        with self._lock:
            lines, self._lines = self._lines, []
            self._bytes = 0
            self._awake = False
        return lines

    def _write(self, lines: Iterable[bytes]) -> bool:
        """Whether the sink takes lines; those that it never will are counted."""
        flows = True
        for chunk in whole_lines(self._rendered(lines), self._sink.chunk):
            flows = self._sink.write(chunk)
            if not flows:
                with self._lock:
                    self.dropped += chunk.count(b"\n")
        return flows

    def _rendered(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        most = self._sink.chunk - 1
        for encoded in lines:
            plain = encoded if encoded.isascii() and b"\x7f" not in encoded else _without_controls(encoded)
            line = plain if len(plain) <= most else _shortened(plain, most)
            yield line if self._text is None else self._text(line)[:most]

    def _tell_dropped(self) -> None:
        if (dropped := self.dropped) > self._told:
            line = encode(self._line("warning", "log_lines_dropped", {"lines": dropped - self._told, "total": dropped}))
            if self._sink.write(b"".join(self._rendered([line])) + b"\n"):
                self._told = dropped


def open_log(settings: Logs, process: str) -> Log:
    """The log of `process` (such as "front-0"). Raises ConfigurationError if its file cannot be opened."""
    sink = Sink(path=settings.file)
    as_text = settings.format == "text" or (settings.format == "auto" and sink.terminal)
    return Log(sink, process, Text(sink.terminal and takes_colours()) if as_text else None)


def encode(line: Line | dict[str, object]) -> bytes:
    """`line` as JSON without a newline. Never raises: what JSON cannot say becomes null or a description."""
    try:
        return _encode(line)
    except Exception:  # noqa: BLE001 - an odd value must not cost the request that it is logged for
        return _encode(_plain(line if isinstance(line, dict) else msgspec.structs.asdict(line)))


def _described(value: Any) -> object:
    tolist = getattr(value, "tolist", None)  # numpy's scalars and arrays
    return tolist() if tolist else repr(value)


_encode = msgspec.json.Encoder(enc_hook=_described).encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _plain(value: object, depth: int = 0) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict) and depth < MOST_DEPTH:
        return {
            str(_plain(name, MOST_DEPTH)): _plain(inner, depth + 1)
            for name, inner in value.items()
            if inner is not UNSET
        }
    if isinstance(value, list | tuple) and depth < MOST_DEPTH:
        return [_plain(inner, depth + 1) for inner in value]
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception:  # noqa: BLE001 - whatever a foreign __repr__ raises
        text = f"<{type(value).__name__}>"
    return text.encode(errors="replace").decode()


def _without_controls(line: bytes) -> bytes:
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()


def _shortened(line: bytes, most: int) -> bytes:
    """`line` with its long values cut until it has at most `most` bytes, and marked `truncated`."""
    fields = _decode(line)
    for room in (most // 4, most // 16, most // 64, 16):
        short = encode({name: _cut(value, room) for name, value in fields.items()} | {"truncated": True})
        if len(short) <= most:
            return short
    return encode({name: _cut(fields[name], 64) for name in Line.__struct_fields__} | {"truncated": True})


def _cut(value: object, room: int) -> object:
    encoded = _encode(value)
    if len(encoded) <= room:
        return value
    text = value if isinstance(value, str) else encoded.decode()
    return text[: room // 6] + "…"  # one character takes at most six bytes of JSON


class _Forward(logging.Handler):
    """Hands the records of the standard library's logging to a log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name, "message": _message(record)}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        if record.levelno >= logging.ERROR:
            self._log.error("log", **fields)
        elif record.levelno >= logging.WARNING:
            self._log.warning("log", **fields)
        else:
            self._log.info("log", **fields)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit the format
        return f"{record.msg} {record.args}"


def capture_stdlib(log: Log, level: int = logging.WARNING) -> None:
    """Sends everything that is logged through the standard library, warnings too, to `log` as `log` events."""
    logging.captureWarnings(True)
    logging.basicConfig(level=level, handlers=[_Forward(log)], force=True)
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
