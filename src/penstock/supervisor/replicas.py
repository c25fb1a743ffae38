"""The hosts of one version of a model: started, watched, restarted, and told of in the log."""

from typing import Protocol

from msgspec.structs import replace

from penstock.errors import FailedStart
from penstock.model.certificate import Certificate
from penstock.model.control import Golden, Load, Loaded, Progress, Refused, VersionState
from penstock.model.source import ModelSource
from penstock.supervisor.cpus import usable_cpus
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.hosts import Host
from penstock.supervisor.loop import Timer
from penstock.supervisor.standing import Standing


class Owner(Protocol):
    """Who decides what hosts are for."""

    def host_ready(self, host: Host) -> None:
        """It is to be attached to the fronts."""

    def changed(self) -> None:
        """`state()` is another than before, or a process has ended."""


class Replicas:
    """Keeps `source.settings.replicas` hosts of one version alive."""

    def __init__(self, equipment: Equipment, source: ModelSource, owner: Owner, others: Golden | None = None) -> None:
        source = replace(source, artifact=replace(source.artifact, others=others))
        self.model = source.name
        self._equipment = equipment
        self._loop = equipment.loop
        self._log = equipment.log
        self._source = source
        self._owner = owner
        self._standing = Standing(source, equipment.host_backoff)
        self._threads = max(1, usable_cpus() // source.settings.replicas)  # replicas work at the same time: they share
        self._hosts: dict[int, Host] = {}
        self._due: dict[int, Timer] = {}
        self._stopping = False

    def start(self) -> None:
        """Starts the first host; the others follow when it has loaded."""
        if self._source.refusal:
            self._refused(self._source.refusal)
            return
        self._tell("model_loading", path=self._source.path, format=self._source.artifact.format)
        self._start(0)

    def ready(self) -> list[Host]:
        return [host for host in self._hosts.values() if host.ready]

    def processes(self) -> dict[str, int]:
        """The ids of the processes, each by a name for the metrics."""
        name = f"host-{self.model}-{self._source.version}"
        return {f"{name}-{replica}": host.link.pid for replica, host in self._hosts.items()}

    def state(self) -> VersionState:
        return replace(self._standing.state(), pids=tuple(host.link.pid for host in self.ready()))

    @property
    def refused(self) -> bool:
        """Whether the model could not be loaded at all."""
        return self._standing.refused

    @property
    def loaded(self) -> Loaded | None:
        """What it is, once it was loaded and stood all its checks."""
        return self._standing.loaded

    @property
    def has_passed(self) -> bool:
        return self.loaded is not None

    @property
    def examples(self) -> Golden | None:
        """Its examples, as they were when it was loaded."""
        path = self._source.artifact.examples
        sha256 = self.loaded.beside.get(path) if path is not None and self.loaded is not None else None
        return Golden(path, sha256) if path is not None and sha256 is not None else None

    @property
    def running(self) -> int:
        """Processes that have not ended yet."""
        return len(self._hosts)

    def hung(self, host: int) -> bool:
        """A front says that host number `host` does not answer. False where it is none of these."""
        found = [held for held in self._hosts.values() if held.number == host]
        for held in found:
            held.hung(self._source.settings.predict_timeout_s)
        return bool(found)

    def hurry(self) -> None:
        """Starts at once what was to be restarted later: there is reason to hope."""
        for replica, timer in list(self._due.items()):
            timer.cancel()
            self._start(replica)

    def stop(self) -> None:
        """Asks every host to end, and starts no other."""
        self._stopping = True
        for timer in self._due.values():
            timer.cancel()
        for host in list(self._hosts.values()):
            host.stop()

    def kill(self) -> None:
        self._stopping = True
        for host in self._hosts.values():
            host.link.kill()

    def _start(self, replica: int) -> None:
        self._due.pop(replica, None)
        self._standing.started(replica)
        try:
            self._hosts[replica] = self._new_host(replica)
        except OSError as problem:  # no memory, no processes, no descriptors: that may pass
            self._ended(replica, Refused(FailedStart.code, f"no process could be started: {problem.strerror}"), "spawn")

    def _new_host(self, replica: int) -> Host:
        artifact = replace(self._standing.artifact, threads=self._threads)
        return Host(
            self._loop,
            self._log,
            next(self._equipment.numbers),
            Load(self.model, self._source.version, artifact),
            start_timeout_s=self._source.settings.start_timeout_s,
            on_progress=self._progressed,
            on_loaded=lambda host, loaded: self._loaded(replica, host, loaded),
            on_end=lambda why, word: self._ended(replica, why, word),
            program=self._equipment.host,
        )

    def _progressed(self, progress: Progress) -> None:
        """Tells of compiling; and, once, that code will run for no other reason than that somebody named the file."""
        if progress.stage == "compiling":
            self._tell("model_compiling")
        artifact = self._standing.artifact
        if progress.stage == "loading" and artifact.trusted and artifact.pinned is None and self._source.operator_named:
            self._log.warning(
                "model_trusted_by_name",
                model=self.model,
                version=self._source.version,
                path=artifact.path,
                sha256=progress.sha256,
                detail="loading this file runs the code in it, because it was named on the command line",
            )

    def _loaded(self, replica: int, host: Host, loaded: Loaded) -> None:
        further = self._standing.has_loaded(replica, loaded, self._loop.now())
        self._equipment.ledger.model_loaded(self.model, self._source.version, host.seconds, loaded.certificate)
        self._tell("model_ready", replica=replica, pid=host.link.pid, seconds=round(host.seconds, 3), **summary(loaded))
        for warning in loaded.warnings:
            self._log.warning("model_warning", model=self.model, version=self._source.version, detail=warning)
        self._owner.host_ready(host)
        for number in further:
            self._start(number)

    def _ended(self, replica: int, why: Refused, word: str) -> None:
        host = self._hosts.pop(replica, None)
        if not self._stopping:
            self._recover(replica, host.link.pid if host else None, why, word)
        self._owner.changed()

    def _recover(self, replica: int, pid: int | None, why: Refused, word: str) -> None:
        wait = self._standing.has_ended(replica, why, self._loop.now())
        if wait is None:
            self._refused(why)
            return
        self._complain("host_died", why, replica=replica, pid=pid)
        self._equipment.ledger.host_restarted(self.model, self._source.version, word)
        self._tell("host_restarting", replica=replica, wait_s=wait)
        self._due[replica] = self._loop.later(wait, lambda: self._start(replica))

    def _refused(self, why: Refused) -> None:
        self._equipment.ledger.model_refused(self.model, self._source.version, why.code)
        self._complain("model_refused", why, path=self._source.path)

    def _complain(self, event: str, why: Refused, **fields: object) -> None:
        labels = {"model": self.model, "version": self._source.version}
        self._log.error(event, **labels, reason=why.message, code=why.code, **fields)

    def _tell(self, event: str, **fields: object) -> None:
        self._log.info(event, model=self.model, version=self._source.version, **fields)


def summary(loaded: Loaded) -> dict[str, object]:
    """What a person wants to see of a model that has just become ready."""
    inputs, output = loaded.signature.inputs, loaded.signature.output
    return {
        "inputs": [f"{field.name}:{field.dtype}" for field in inputs[:20]],
        "features": len(inputs),
        "outputs": [field.name for field in output.fields],
        "classes": [len(field.classes) for field in output.fields if field.classes is not None],
        "runtime": loaded.runtime,
        "device": loaded.device,
        "sha256": loaded.sha256,
        "examples": loaded.examples,
        **(_decision(loaded.certificate) if loaded.certificate else {}),
    }


def _decision(certificate: Certificate) -> dict[str, object]:
    """What the log tells of a certificate."""
    told = ("reason", "form", "rows", "largest_difference", "original_us", "compiled_us")
    found = {name: value for name in told if (value := getattr(certificate, name)) is not None}
    return {"compiled": certificate.verdict == "compiled", "compile": found}
