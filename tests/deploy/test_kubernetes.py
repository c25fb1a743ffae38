"""The manifests: valid, agreeing with each other and with what Penstock does; a pod comes and goes without a loss."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from penstock.config import Settings
from penstock.configuration import load
from penstock.supervisor.service import OVERTIME_S
from tests.acceptance.driver import Load, Service, serving
from tests.deploy.driver import EXAMPLES, PROGRAMS, Dockerfile, container, container_environment, manifest, pod

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
LINGER_S = 2.5  # of the pod that the tests take down: enough for a slow machine to come to its next line
UNITS = {"Mi": 2**20, "Gi": 2**30}


def configured() -> Settings:
    """The settings that the container's environment makes."""
    return load(None, {}, container_environment()).settings


def number_of(quantity: str) -> int:
    """Bytes of "512Mi"."""
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def test_kubernetes_takes_them() -> None:
    validate: list[str | Path] = [PROGRAMS / "kubernetes-validate", "--strict", EXAMPLES / "kubernetes.yaml"]
    done = subprocess.run(validate, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("passed") + done.stdout.count("passed") == 3


def test_every_selector_finds_the_pods_and_every_port_is_the_one_that_penstock_listens_on() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    service = manifest("Service")["spec"]
    assert manifest("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert service["selector"] == labels
    (port,) = container()["ports"]
    assert port["containerPort"] == configured().server.port
    assert [each["targetPort"] for each in service["ports"]] == [port["name"]]
    assert {container()[probe]["httpGet"]["port"] for probe in PROBES} == {port["name"]}


def test_a_pod_is_granted_the_time_that_a_drain_takes() -> None:
    drain = configured().drain
    ends_by_itself = drain.linger_s + drain.finish_s + 2 * OVERTIME_S
    grace = pod()["terminationGracePeriodSeconds"]
    assert ends_by_itself < grace <= ends_by_itself + 5
    assert "lifecycle" not in container(), "the linger does what a sleep in preStop is for, which would add to it"


def test_no_pod_goes_before_its_successor_is_ready() -> None:
    spec = manifest("Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["replicas"] > manifest("PodDisruptionBudget")["spec"]["maxUnavailable"]


def test_the_user_is_that_of_the_image() -> None:
    user = f"{pod()['securityContext']['runAsUser']}:{pod()['securityContext']['runAsGroup']}"
    assert user == Dockerfile(EXAMPLES / "Dockerfile").last("USER").text


def test_a_model_that_leaks_is_stopped_before_the_whole_container_is(site: Path) -> None:
    (model,) = load(site / "penstock.yaml", {}, container_environment()).settings.models.values()
    assert model.memory is not None
    assert model.memory < number_of(container()["resources"]["limits"]["memory"])


# ------------------------------------------------------------------ a kubelet
class Kubelet:
    """Does to one container what a kubelet does: probes it as the manifest says, and takes it down."""

    def __init__(self, service: Service) -> None:
        self.failed: list[str] = []
        self._service = service
        self._over = threading.Event()

    def probe(self, name: str) -> bool:
        """One probe: any status from 200 to 399 is a success."""
        spec = container()[name]
        try:
            answer = self._service.request("GET", spec["httpGet"]["path"], timeout=spec["timeoutSeconds"])
        except (OSError, HTTPException):
            return False
        return 200 <= answer.status < 400

    def await_success(self, name: str) -> None:
        """Probes until it succeeds, no longer than the manifest grants."""
        spec = container()[name]
        until = time.monotonic() + spec["periodSeconds"] * spec["failureThreshold"]
        while not self.probe(name):
            assert time.monotonic() < until, f"{name} failed too often\n{self._service.explain()}"
            time.sleep(0.05)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Probes for life all the while, more often than the manifest says."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            if not self.probe("livenessProbe"):
                self.failed.append("livenessProbe")


def test_a_pod_comes_and_goes_under_load_and_nothing_is_lost(site: Path) -> None:
    """SIGTERM and the removal of the endpoints begin together; until nodes have heard of it, new connections come."""
    image = Dockerfile(EXAMPLES / "Dockerfile")
    environment = container_environment() | {"PENSTOCK_DRAIN_LINGER_S": str(LINGER_S)}
    program = [word for word in image.command if word not in ("tini", "--")]
    with serving(cwd=site, env=environment, program=program, ready=False) as service:
        kubelet = Kubelet(service)
        kubelet.await_success("startupProbe")
        kubelet.await_success("readinessProbe")
        with Load(service, clients=2, fresh=True) as distant, Load(service, clients=2) as kept:
            with kubelet.watching():
                distant.wait_for(100)
                killed = time.monotonic()
                service.process.send_signal(signal.SIGTERM)
                service.wait_for("draining")
                before = len(distant.answers)
                assert not kubelet.probe("readinessProbe")
                distant.wait_for(before + 20)
            distant.stop()
            kept.stop()
            assert service.process.wait(pod()["terminationGracePeriodSeconds"]) == 0
            took = time.monotonic() - killed
        assert (distant.failures, kept.failures, kubelet.failed) == ([], [], [])
        assert (distant.refused, kept.refused) == (0, 0)
        assert set(distant.answers) | set(kept.answers) == {200}
        assert took < LINGER_S + configured().drain.finish_s
