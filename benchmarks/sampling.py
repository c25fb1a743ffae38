"""Where the time goes: py-spy on every busy process of a server while it is under load."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Thread

from load import Cell, wrk
from server import Server

RATE = 500
SHOWN = 25
IDLE = 0.02  # of a core


def profile(server: Server, cell: Cell, seconds: float, folder: Path, core: int) -> str:
    """The hottest functions of each process: by their own time, and with what they call (with all)."""
    load = Thread(target=wrk, args=(server, cell, seconds + 3, folder, core))
    load.start()
    before = server.cpu()
    samplers = {pid: sampler(pid, seconds, folder / f"{pid}.raw") for pid in server.processes()}
    for process in samplers.values():
        process.wait()
    used = {pid: now - before.get(pid, 0.0) for pid, now in server.cpu().items()}
    names = server.processes()
    load.join()
    busy = [pid for pid in samplers if used.get(pid, 0.0) > IDLE * seconds]
    return "\n\n".join(
        f"{names[pid]} ({used[pid] / seconds:.2f} cores)\n{hottest(folder / f'{pid}.raw')}" for pid in busy
    )


def sampler(pid: int, seconds: float, path: Path) -> subprocess.Popen[bytes]:
    spy = str(Path(sys.executable).with_name("py-spy"))
    options = ["--function", "--format", "raw", "--rate", str(RATE), "--duration", str(round(seconds))]
    return subprocess.Popen(
        [spy, "record", "--pid", str(pid), "--output", str(path), *options], stdout=subprocess.DEVNULL
    )


def hottest(path: Path) -> str:
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    total = max(1, own.total()) / 100
    leaves = [f"  {n / total:5.1f} % own      {frame}" for frame, n in own.most_common(SHOWN)]
    trunks = [f"  {n / total:5.1f} % with all  {frame}" for frame, n in whole.most_common(SHOWN)]
    return "\n".join(leaves + trunks)
