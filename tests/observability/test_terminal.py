"""What a person sees: lines rendered for a terminal, on a real one."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.observability.logs import PredictionLine, encode
from penstock.observability.terminal import Text, takes_colours

AT = datetime(2026, 11, 23, 9, 31, 2, 123_000, UTC)
HEAD: dict[str, Any] = {
    "timestamp": "2026-11-23T09:31:02.123Z",
    "level": "info",
    "event": "said",
    "process": "supervisor",
}
LOCAL = AT.astimezone().strftime("%H:%M:%S.123")
PROGRAM = """
from penstock.config import Logs
from penstock.observability.logs import open_log
log = open_log(Logs(), "supervisor")
log.warning("draining", linger_s=5)
log.close()
"""


def rendered(**fields: object) -> str:
    return Text()(encode(HEAD | fields)).decode()


def predicted(**fields: Any) -> str:
    usual = HEAD | {
        "event": "prediction",
        "request_id": "a1",
        "model": "iris",
        "model_version": "1",
        "process": "front-0",
    }
    usual |= {"status": 200, "rows": 1, "latency_ms": 0.83}
    return Text()(encode(PredictionLine(**usual | fields))).decode()


def on_a_terminal(**environment: str) -> str:
    """What the program shows on a terminal of its own."""
    ours, its = os.openpty()
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    subprocess.run([sys.executable, "-c", PROGRAM], stdout=its, env=inherited | environment, check=True)
    shown = os.read(ours, 2**16).decode()
    os.close(ours)
    os.close(its)
    return shown


def test_an_event_is_its_name_and_its_fields() -> None:
    assert rendered(port=8000, path="/a b") == f"{LOCAL} info  said        port=8000 path=/a b"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prediction": "setosa", "confidence": 0.974}, "info  prediction  iris@1 setosa 0.97 0.8 ms"),
        ({"prediction": 2.5, "confidence": None}, "info  prediction  iris@1 2.5 0.8 ms"),
        ({"rows": 12}, "info  prediction  iris@1 12 rows 0.8 ms"),
        (
            {"status": 503, "code": "queue_full", "detail": "Full."},
            "error prediction  iris@1 503 queue_full Full. 0.8 ms",
        ),
        ({"status": 404, "code": "unknown_model", "model": ""}, "warn  prediction  -@1 404 unknown_model 0.8 ms"),
    ],
)
def test_a_prediction_reads_like_a_sentence(fields: dict[str, object], said: str) -> None:
    assert predicted(**fields) == f"{LOCAL} {said}  id=a1 process=front-0"


@given(st.text(), st.text())
def test_no_text_can_move_the_cursor_or_fake_a_line(event: str, text: str) -> None:
    event, text = (word.encode(errors="replace").decode() for word in (event, text))
    assert rendered(event=event, text=text, message=text).isprintable()


def test_a_terminal_gets_coloured_text() -> None:
    shown = on_a_terminal(TERM="xterm")
    assert "\x1b[33mwarn" in shown
    assert re.sub(r"\x1b\[\d+m", "", shown).endswith("warn  draining    linger_s=5\r\n")


@pytest.mark.parametrize("environment", [{"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_colours_are_left_out_where_they_are_not_wanted_or_not_known(environment: dict[str, str]) -> None:
    assert "\x1b" not in on_a_terminal(**environment)
    assert not takes_colours(environment)
