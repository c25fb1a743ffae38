"""Kills, stops and signals at random moments, drawn from a seed."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress

from tests.acceptance.driver import Service
from tests.soak.timeline import events

ACTS = ("kill front", "kill front", "kill host", "kill host", "stop host", "hang up", "hang up")  # in shuffled rounds
STOP_FRONT = "stop front"  # it is found out after ten seconds: one in time is enough
RECKLESS_S = 15.0  # after that the last host is spared: back-offs grow, and without hosts little is asked of anybody
STOPS_S = 25.0  # between two of them


class Storm:
    """Does one thing to the service every `pause_s` or so; remembers what, and when fronts were killed."""

    def __init__(self, service: Service, seed: int, pause_s: float) -> None:
        self.done: Counter[str] = Counter()
        self.fronts_killed: list[float] = []
        self._service = service
        self._draw = random.Random(seed)
        self._pause_s = pause_s
        self._acts: list[str] = []

    async def rage(self, seconds: float) -> None:
        began, stopped = time.monotonic(), -STOPS_S
        while (past := time.monotonic() - began) < seconds:
            self._acts = self._acts or self._draw.sample(ACTS, len(ACTS))
            if past - stopped >= STOPS_S:
                stopped = past
                self._do(STOP_FRONT, past)
            else:
                self._do(self._acts.pop(), past)
            await asyncio.sleep(self._draw.uniform(0.5, 1.5) * self._pause_s)

    def _do(self, act: str, past: float) -> None:
        if act == "hang up":
            self.done[act] += 1
            self._service.process.send_signal(signal.SIGHUP)
            return
        what, kind = act.split()
        pids = self._service.processes(kind)
        if act == STOP_FRONT:  # one that never listened is given a minute
            listened = {line["pid"] for line in events(self._service.log) if line["event"] == "front_ready"}
            pids = [pid for pid in pids if pid in listened]
        if kind == "host" and len(pids) < 2 and past > RECKLESS_S:
            return
        if pids:
            with suppress(ProcessLookupError):
                os.kill(self._draw.choice(pids), signal.SIGKILL if what == "kill" else signal.SIGSTOP)
            self.done[act] += 1
            if act == "kill front":
                self.fronts_killed.append(time.time())
