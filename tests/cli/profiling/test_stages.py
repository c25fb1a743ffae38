"""Stages are means between two looks at the figures, and what is left of the round trip is the rest."""

from penstock.cli.profiling.stages import figures, load_of
from penstock.cli.profiling.traffic import Traffic


def look(requests: int, decode: float, batches: int, rows: int) -> str:
    labels = 'model="m",version="1"'
    lines = [f'penstock_stage_duration_seconds_sum{{{labels},stage="decode"}} {decode}']
    lines += [f'penstock_stage_duration_seconds_count{{{labels},stage="decode"}} {requests}']
    lines += [f"penstock_batch_rows_sum{{{labels}}} {rows}", f"penstock_batch_rows_count{{{labels}}} {batches}"]
    kinds = [f"# TYPE penstock_{name} histogram" for name in ("stage_duration_seconds", "batch_rows")]
    return "\n".join([kinds[0], *lines[:2], kinds[1], *lines[2:], "# TYPE other counter", "other_total 7", ""])


def test_what_was_there_before_does_not_count() -> None:
    before, after = figures(look(100, 5.0, 10, 20)), figures(look(104, 5.004, 12, 30))
    load = load_of(4, Traffic([0.002, 0.004, 0.006, 0.008], 1, 0.01), before, after)
    assert (load.connections, load.requests, load.errors, load.per_second) == (4, 4, 1, 400.0)
    assert (load.mean_ms, load.p50_ms, load.p99_ms, load.rows) == (5.0, 6.0, 8.0, 5.0)
    assert load.stages_ms == {"decode": 1.0, "queue": 0.0, "inference": 0.0, "encode": 0.0, "rest": 4.0}


def test_only_the_figures_that_are_looked_at_are_kept() -> None:
    assert set(figures(look(1, 1.0, 1, 1))) == {
        ("penstock_stage_duration_seconds_sum", "decode"),
        ("penstock_stage_duration_seconds_count", "decode"),
        ("penstock_batch_rows_sum", ""),
        ("penstock_batch_rows_count", ""),
    }
