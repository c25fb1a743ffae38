"""What a front says of the figures of all processes, to a supervisor that answers late or not at all."""

import asyncio
import socket
from typing import Any

import pytest

from penstock import front as subject
from penstock.config import Settings
from penstock.errors import FiguresLate
from penstock.front import Front
from penstock.model import control
from penstock.model.control import Channel

pytestmark = pytest.mark.anyio
MERGED: dict[str, Any] = {"counters": {"of_all": [[[], [7]]]}, "gauges": {}, "histograms": {}}


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
