"""The Dockerfile: what it says is good, what it runs as pid 1 works, and its health check tells the truth."""

import fnmatch
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import penstock
from penstock.config import Settings
from tests.acceptance.driver import Service, children_of, command_of, serving, wait_until
from tests.deploy.driver import EXAMPLES, PROGRAMS, Dockerfile, container_environment, path_with_programs

DOCKERFILE = Dockerfile(EXAMPLES / "Dockerfile")
WHEELS = "penstock-*.whl"
ORPHANING = """
import subprocess

class Orphaning:
    n_features_in_ = 1

    def predict(self, rows):
        subprocess.Popen(["sleep", str(rows[0][0])], start_new_session=True)
        return [0.0] * len(rows)
"""


def test_the_linter_has_nothing_to_say() -> None:
    lint = subprocess.run([PROGRAMS / "hadolint", EXAMPLES / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout) == (0, "")


def test_it_installs_this_version_in_a_stage_of_its_own() -> None:
    """From its own wheel, since a name is only as good as the index that it is looked up in."""
    assert DOCKERFILE.last("ARG").text == f"PENSTOCK=penstock-{penstock.__version__}-py3-none-any.whl"
    assert DOCKERFILE.all("RUN")[0].text.endswith('"/wheels/${PENSTOCK}[all]"')
    assert len(DOCKERFILE.all("FROM")) == 2


def test_it_runs_as_a_user_that_is_a_number_and_not_root() -> None:
    user, group = DOCKERFILE.last("USER").text.split(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_port_is_the_one_that_penstock_listens_on() -> None:
    assert int(DOCKERFILE.last("EXPOSE").text) == Settings().server.port
    assert str(Settings().server.port) in DOCKERFILE.last("HEALTHCHECK").text


def test_the_build_sees_the_models_and_what_configures_them_and_nothing_else(site: Path) -> None:
    """.dockerignore leaves out everything, and lets in again what the service reads."""
    lines = (EXAMPLES / ".dockerignore").read_text().splitlines()
    everything, *let_in = [line for line in lines if line and not line.startswith("#")]
    assert everything == "*"
    assert sorted(line.removeprefix("!") for line in let_in) == sorted([*os.listdir(site), WHEELS])
    assert not any(fnmatch.fnmatch(name, line[1:]) for name in (".env", ".git", "Dockerfile") for line in let_in)


def test_no_secret_is_baked_in() -> None:
    words = " ".join(
        each.text for each in DOCKERFILE.instructions if each.name in ("ARG", "ENV", "RUN", "COPY")
    ).upper()
    assert not any(word in words for word in ("PASSWORD", "SECRET", "TOKEN", "_KEY"))


def health(service: Service) -> int:
    """The exit status of the health check, on the service's own port instead of 8000."""
    words = [word.replace("8000", str(service.port)) for word in DOCKERFILE.last("HEALTHCHECK").words]
    environment = os.environ | {"PATH": path_with_programs()}
    return subprocess.run(words, env=environment, capture_output=True, timeout=10, check=False).returncode


@pytest.mark.needs("tini")
def test_what_it_runs_serves_is_healthy_and_ends_on_its_stop_signal(site: Path) -> None:
    stop = signal.Signals[DOCKERFILE.last("STOPSIGNAL").text]
    environment = container_environment() | {"PENSTOCK_DRAIN_LINGER_S": "0"}
    with serving(cwd=site, env=environment, program=DOCKERFILE.command) as service:
        assert service.predict(5.1, 3.5, 1.4, 0.2).body["prediction"] == "setosa"
        assert health(service) == 0
        assert service.end(stop) == 0
        assert service.lines("stopped")[-1]["forced"] is False
        assert health(service) != 0


@pytest.mark.needs("tini")
def test_orphans_of_a_model_are_taken_care_of(tmp_path: Path) -> None:
    """tini adopts them here because it is told to, and in a container because it is pid 1."""
    code = tmp_path / "orphaning.py"
    code.write_text(ORPHANING)
    make = "import pickle, sys, orphaning; sys.stdout.buffer.write(pickle.dumps(orphaning.Orphaning()))"
    made = subprocess.run([sys.executable, "-c", make], cwd=tmp_path, capture_output=True, check=True)
    (tmp_path / "orphaning.pkl").write_bytes(made.stdout)
    program = [*DOCKERFILE.last("ENTRYPOINT").words, "serve", "orphaning.pkl", "--code-path", str(code)]
    environment = container_environment() | {"TINI_SUBREAPER": "1", "PENSTOCK_DRAIN_LINGER_S": "0"}
    with serving(cwd=tmp_path, env=environment, program=program) as service:
        service.predict(600)
        (host,) = service.processes("host")
        (orphan,) = [pid for pid in children_of(host) if command_of(pid).startswith("sleep 600")]
        os.kill(host, signal.SIGKILL)
        wait_until(lambda: parent(orphan) == service.process.pid, "the adoption", service.explain)
        os.kill(orphan, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{orphan}").exists(), "the end of the orphan", service.explain)
        assert service.end() == 0


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
