"""Log lines for people: one aligned line each, in local time, with colours where the terminal takes them."""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

RESET = "\x1b[0m"
DIM = "\x1b[2m"
LEVELS = {"error": "\x1b[31m", "warning": "\x1b[33m", "info": "\x1b[32m"}
NAMES = {"warning": "warn"}

decode = msgspec.json.Decoder().decode


def takes_colours(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a terminal is to be coloured (https://no-color.org)."""
    return not environment.get("NO_COLOR") and environment.get("TERM", "dumb") != "dumb"


class Text:
    """Renders encoded lines as text."""

    def __init__(self, colours: bool = False) -> None:
        self._colours = colours

    def __call__(self, line: bytes) -> bytes:
        fields: dict[str, Any] = decode(line)
        level, event = fields.pop("level"), fields.pop("event")
        start = f"{_time(fields.pop('timestamp'))} {self._coloured(LEVELS[level], f'{NAMES.get(level, level):<5}')} "
        said = _prediction(fields) if event == "prediction" else _message(fields)
        rest = " ".join(f"{name}={_value(value)}" for name, value in fields.items())
        parts = (f"{_value(event):<10}", said, rest and self._coloured(DIM, rest))
        return (start + "  ".join(filter(None, parts))).encode()

    def _coloured(self, colour: str, text: str) -> str:
        return f"{colour}{text}{RESET}" if self._colours else text


def _prediction(fields: dict[str, Any]) -> str:
    """`iris@1 setosa 0.97 0.8 ms`, taken out of `fields`; what that leaves is told as name=value."""
    status, rows = fields.pop("status", 200), fields.pop("rows", 1)
    model, version = fields.pop("model", None) or "-", fields.pop("model_version", None) or "-"
    prediction, confidence = fields.pop("prediction", None), fields.pop("confidence", None)
    said = [f"{_value(model)}@{_value(version)}"]
    if status >= 400:
        said += [str(status), _value(fields.pop("code", "")), _value(fields.pop("detail", ""))]
    elif rows == 1:
        said += [_value(prediction), "" if confidence is None else f"{confidence:.2f}"]
    else:
        said.append(f"{rows} rows")
    said.append(f"{fields.pop('latency_ms', 0):.1f} ms")
    kept = {"id": fields.pop("request_id", None), "process": fields.pop("process", None)}
    fields.clear()
    fields.update(kept)
    return " ".join(filter(None, said))


def _message(fields: dict[str, Any]) -> str:
    if fields.get("process") == "supervisor":
        del fields["process"]
    return _value(fields.pop("message", ""))


def _time(timestamp: str) -> str:
    return datetime.fromisoformat(timestamp).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _value(value: object) -> str:
    """`value` on one line, with nothing in it that would move a cursor or fake a line."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
