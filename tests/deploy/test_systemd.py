"""The units: systemd takes them; they start, stop and reload Penstock as Penstock wants it, with no right too many."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.config import Model, Settings
from penstock.supervisor.service import OVERTIME_S
from tests.acceptance.driver import serving
from tests.deploy.driver import EXAMPLES, PROGRAMS

UNIT = EXAMPLES / "penstock.service"
TEMPLATE = EXAMPLES / "penstock@.service"
MOST_EXPOSED = 2.0  # of 10, as systemd reckons; a unit that says nothing has 9.6


def settings() -> Iterator[tuple[str, str]]:
    for line in UNIT.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            yield name, value


SAYS = dict(settings())


def here(unit: Path, folder: Path) -> Path:
    """A copy of the unit that names the program of the tests' own environment."""
    path = folder / unit.name.replace("@", "@iris")
    path.write_text(unit.read_text().replace("/opt/penstock/bin", str(PROGRAMS)))
    return path


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", [UNIT, TEMPLATE], ids=lambda unit: unit.name)
def test_systemd_has_nothing_to_say(unit: Path, tmp_path: Path) -> None:
    verify: list[str | Path] = ["systemd-analyze", "verify", "--man=no", here(unit, tmp_path)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.needs("systemd-analyze")
def test_little_is_exposed(tmp_path: Path) -> None:
    limit = f"--threshold={MOST_EXPOSED * 10:g}"
    review: list[str | Path] = [
        "systemd-analyze",
        "security",
        "--offline=yes",
        "--no-pager",
        limit,
        here(UNIT, tmp_path),
    ]
    done = subprocess.run(review, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_template_is_the_unit_but_for_the_name_of_the_instance() -> None:
    def told(unit: Path) -> list[str]:
        return [line for line in unit.read_text().splitlines() if not line.startswith("#")]

    assert "/etc/penstock/%i/penstock.yaml" in TEMPLATE.read_text()
    assert [line.replace("/%i", "").replace(" %i", "") for line in told(TEMPLATE)] == told(UNIT)


def test_a_start_may_take_as_long_as_a_model_may() -> None:
    assert SAYS["Type"] == "notify"
    assert float(SAYS["TimeoutStartSec"]) > Model(path="x").start_timeout_s


def test_signals_go_to_the_supervisor_alone_and_a_stop_takes_as_long_as_a_drain() -> None:
    drain = Settings().drain
    ends_by_itself = drain.linger_s + drain.finish_s + 2 * OVERTIME_S
    assert SAYS["KillMode"] == "mixed"
    assert SAYS["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert ends_by_itself < float(SAYS["TimeoutStopSec"]) <= ends_by_itself + 5


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """The socket at which systemd waits for what a service of Type=notify says."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"{folder}/notify")
        receiver.settimeout(60)
        yield receiver


def test_what_it_starts_serves_reloads_and_stops(site: Path, tmp_path: Path, manager: socket.socket) -> None:
    """Its three commands, on a service whose configuration lies elsewhere; and what that says to systemd meanwhile."""
    folder = tmp_path / "etc"
    shutil.copytree(site, folder)
    program = [
        word.replace("/opt/penstock/bin", str(PROGRAMS)).replace("/etc/penstock", str(folder))
        for word in SAYS["ExecStart"].split()
    ]
    environment = {"PENSTOCK_DRAIN_LINGER_S": "0", "NOTIFY_SOCKET": manager.getsockname()}
    with serving(cwd=tmp_path, env=environment, program=program, ready=False) as service:
        assert manager.recv(999).startswith(b"READY=1\nSTATUS=Serving on http://")
        assert service.get("/models/iris").body["versions"][0]["live"] == 1
        (front,) = service.processes("front")
        reload = SAYS["ExecReload"].replace("$MAINPID", str(service.process.pid)).split()
        subprocess.run(reload, check=True)
        service.wait_for("front_ready", lambda line: line["pid"] != front)
        assert service.predict(5.1, 3.5, 1.4, 0.2).body["prediction"] == "setosa"
        assert service.end() == 0
        assert manager.recv(999).startswith(b"STOPPING=1\n")
    assert os.path.isabs(program[0]), "systemd looks for no program"
