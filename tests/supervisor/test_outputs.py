"""What a model prints becomes log lines, bounded in length and in rate, and never holds it up."""

import json
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from penstock.config import Logs
from penstock.observability.logs import open_log
from penstock.supervisor.loop import Loop
from penstock.supervisor.outputs import Allowance, Lines, Output


@given(st.lists(st.binary(max_size=40)))
def test_lines_are_the_same_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    lines = Lines()
    cut = [line for piece in pieces for line in lines.feed(piece)] + lines.end()
    whole = Lines()
    assert cut == whole.feed(b"".join(pieces)) + whole.end()


def test_a_long_line_is_cut_and_without_an_end_holds_no_memory() -> None:
    lines = Lines(longest=10)
    for _ in range(1000):
        assert lines.feed(b"x" * 1000) == []
    assert lines.feed(b"\nnext\n") == ["x" * 10, "next"]


def test_an_allowance_is_a_burst_and_then_so_many_a_second() -> None:
    allowance = Allowance(rate=2, burst=3)
    assert [allowance.take(0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.take(0.5), allowance.take(0.5)] == [True, False]
    assert [allowance.take(100) for _ in range(4)] == [True, True, True, False]


def written(folder: Path, said: bytes) -> list[dict[str, object]]:
    """The log of a process that said this and ended."""
    log = open_log(Logs(format="json", file=str(folder / "log")), "supervisor")
    with Loop() as loop:
        output = Output(loop, log, model="iris", version="1", stream="stdout")
        for at in range(0, len(said), 4096):
            os.write(output.write_end, said[at : at + 4096])
            loop.turn(0)
        output.handed_over()
        output.close()
    log.close()
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def test_each_line_is_an_event_that_says_whose_it_is(tmp_path: Path) -> None:
    (line,) = written(tmp_path, b"epoch \x1b[31m1\x1b[0m \xff")
    assert line["event"] == "model_output"
    assert (line["model"], line["version"], line["stream"]) == ("iris", "1", "stdout")
    assert line["line"] == "epoch \x1b[31m1\x1b[0m \N{REPLACEMENT CHARACTER}"
    assert "\x1b" not in (tmp_path / "log").read_text()


def test_a_flood_is_counted_rather_than_written(tmp_path: Path) -> None:
    lines = written(tmp_path, b"again\n" * 5000)
    told = sum(line["event"] == "model_output" for line in lines)
    dropped = [line["lines"] for line in lines if line["event"] == "model_output_dropped"]
    assert 500 <= told < 1000
    assert told + sum(int(str(count)) for count in dropped) == 5000
