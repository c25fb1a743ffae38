"""A front whose supervisor answers late or not at all, or sends what it cannot use."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from penstock import front as subject
from penstock.config import Logs, Settings
from penstock.errors import FiguresLate
from penstock.front import Front
from penstock.model import control
from penstock.model.control import Channel

pytestmark = pytest.mark.anyio
MERGED: dict[str, Any] = {"counters": {"of_all": [[[], [7]]]}, "gauges": {}, "histograms": {}}


async def test_a_front_that_cannot_share_a_stamp_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its supervisor starts another: one that did not know of a host would serve badly for as long as it lives."""
    monkeypatch.setattr(subject, "capture_stdlib", lambda log: None)
    ours, theirs = socket.socketpair()
    supervisor = Channel(theirs, control.FromFront)
    front = Front(Channel(ours, control.ToFront), control.Configure(0, Settings(logs=Logs(file=str(tmp_path / "log")))))
    end, no_memory = socket.socketpair()
    supervisor.send(control.HostOf(1, "iris", "1"), [end.fileno(), no_memory.fileno()])
    async with asyncio.timeout(10):
        await front.run([])
    assert "cannot_attach" in (tmp_path / "log").read_text()
    for sock in (ours, theirs, end, no_memory):
        sock.close()


async def test_figures_are_asked_for_once_and_the_last_stand_in_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "SCRAPE_S", 0.2)
    monkeypatch.setattr(subject, "capture_stdlib", lambda log: None)  # which is for a process of its own
    ours, theirs = socket.socketpair()
    supervisor = Channel(theirs, control.FromFront)
    front = Front(Channel(ours, control.ToFront), control.Configure(0, Settings()))
    with pytest.raises(FiguresLate):
        await front.figures()
    supervisor.receive()

    asking = [asyncio.create_task(front.figures()) for _ in range(50)]
    await asyncio.sleep(0.01)
    [(report, _)] = supervisor.receive()
    supervisor.send(control.Merged(report.scrape, MERGED))
    front._hear()
    assert await asyncio.gather(*asking) == [MERGED] * 50

    assert await front.figures() == MERGED, "nobody answers, and these are fresh"
    monkeypatch.setattr(subject, "MERGED_S", 0.0)
    with pytest.raises(FiguresLate):
        await front.figures()
    ours.close()
    theirs.close()
