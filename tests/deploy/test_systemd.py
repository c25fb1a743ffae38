"""The unit: systemd takes it, it stops and reloads Penstock as Penstock wants it, and gives it no right too many."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.config import Settings
from penstock.supervisor.service import OVERTIME_S
from tests.acceptance.driver import serving
from tests.deploy.driver import EXAMPLES, PROGRAMS

UNIT = EXAMPLES / "penstock.service"
MOST_EXPOSED = 2.0  # of 10, as systemd reckons; a unit that says nothing has 9.6


def settings() -> Iterator[tuple[str, str]]:
    for line in UNIT.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            yield name, value


SAYS = dict(settings())


def here(folder: Path) -> Path:
    """A copy of the unit that names the program of the tests' own environment."""
    path = folder / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/penstock/bin", str(PROGRAMS)))
    return path


@pytest.mark.needs("systemd-analyze")
def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    verify: list[str | Path] = ["systemd-analyze", "verify", "--man=no", here(tmp_path)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.needs("systemd-analyze")
def test_little_is_exposed(tmp_path: Path) -> None:
    limit = f"--threshold={MOST_EXPOSED * 10:g}"
    review: list[str | Path] = ["systemd-analyze", "security", "--offline=yes", "--no-pager", limit, here(tmp_path)]
    done = subprocess.run(review, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_signals_go_to_the_supervisor_alone_and_a_stop_takes_as_long_as_a_drain() -> None:
    drain = Settings().drain
    ends_by_itself = drain.linger_s + drain.finish_s + 2 * OVERTIME_S
    assert SAYS["KillMode"] == "mixed"
    assert SAYS["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert ends_by_itself < float(SAYS["TimeoutStopSec"]) <= ends_by_itself + 5


def test_what_it_starts_serves_reloads_and_stops(site: Path, tmp_path: Path) -> None:
    """Its three commands, on a service whose configuration lies elsewhere."""
    folder = tmp_path / "etc"
    shutil.copytree(site, folder)
    program = [
        word.replace("/opt/penstock/bin", str(PROGRAMS)).replace("/etc/penstock", str(folder))
        for word in SAYS["ExecStart"].split()
    ]
    with serving(cwd=tmp_path, env={"PENSTOCK_DRAIN_LINGER_S": "0"}, program=program) as service:
        (front,) = service.processes("front")
        reload = SAYS["ExecReload"].replace("$MAINPID", str(service.process.pid)).split()
        subprocess.run(reload, check=True)
        service.wait_for("front_ready", lambda line: line["pid"] != front)
        assert service.predict(5.1, 3.5, 1.4, 0.2).body["prediction"] == "setosa"
        assert service.end() == 0
    assert os.path.isabs(program[0]), "systemd looks for no program"
