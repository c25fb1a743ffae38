"""The service as a whole: listeners, fronts and hosts assembled, kept running, drained and ended."""

import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Literal

from penstock.config import Settings
from penstock.errors import FailedStart
from penstock.model.control import Attach, HostOf, Models, ModelState
from penstock.model.source import ModelSource
from penstock.observability.logs import open_log
from penstock.observability.metrics import Snapshot
from penstock.supervisor.connection import connection
from penstock.supervisor.descriptors import raise_limit
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.fronts import Fronts
from penstock.supervisor.hangup import Terminal
from penstock.supervisor.hosts import Host
from penstock.supervisor.ledger import Ledger
from penstock.supervisor.listeners import open_listeners, url_of
from penstock.supervisor.loop import Loop
from penstock.supervisor.manager import Manager
from penstock.supervisor.replicas import Replicas
from penstock.supervisor.slots import Front

OVERTIME_S = 2.0  # beyond what a child was given to end, before it is killed
STATISTICS_S = 60.0


def serve(settings: Settings, sources: Sequence[ModelSource], *, strict: bool) -> int:
    """Serves `sources` until a signal ends it; returns the exit code: 0, or 1 where work was cut.

    `strict`: one model that cannot be loaded ends the service; else only all of them do. Raises ConfigurationError
    where the port cannot be had, and FailedStart, with the reason, where nothing can be served.
    """
    listeners = open_listeners(settings.server)
    log = open_log(settings.logs, process="supervisor")
    raise_limit(settings.limits.connections, log)
    with Loop() as loop:
        service = Service(Equipment(loop, log, Ledger(log)), settings, sources, listeners, strict=strict)
        try:
            return service.run()
        finally:
            service.end()
            log.close()


class Service:
    """Fronts for `listeners` and hosts for `sources`, until a signal. One service runs once."""

    def __init__(
        self,
        equipment: Equipment,
        settings: Settings,
        sources: Sequence[ModelSource],
        listeners: Sequence[socket.socket],
        *,
        strict: bool,
    ) -> None:
        self._loop = equipment.loop
        self._log = equipment.log
        self._ledger = equipment.ledger
        self._manager = Manager(os.environ, equipment.log)
        self._drain = settings.drain
        self._strict = strict
        self._url = url_of(listeners[0])
        self._fronts = Fronts(equipment, settings, listeners, self)
        self._versions = [Replicas(equipment, source, self) for source in sources]
        self._announced = False
        self._stage: Literal["serving", "draining", "finishing", "ending"] = "serving"
        self._failure: str | None = None
        self._forced = False

    def run(self) -> int:
        """Starts everything, and returns the exit code when all of it has ended. Raises FailedStart."""
        self._loop.on_signal(signal.SIGTERM, lambda: self._signalled(self._drain.linger_s))
        self._loop.on_signal(signal.SIGINT, lambda: self._signalled(0.0))
        terminal = Terminal()
        self._loop.on_signal(signal.SIGHUP, lambda: self._hung_up(terminal))
        self._fronts.start()
        for version in self._versions:
            version.start()
        self._loop.later(STATISTICS_S, self._log_statistics)
        self._loop.run()
        if self._failure:
            raise FailedStart(self._failure)
        code = int(self._forced or self._fronts.cut > 0)
        self._log.info("stopped", exit_code=code, cut=self._fronts.cut, forced=self._forced)
        return code

    def end(self) -> None:
        """Kills what still runs, and waits for it as long as a kill can take."""
        self._stage = "ending"
        self._kill()
        until = time.monotonic() + OVERTIME_S
        while self._running() and (left := until - time.monotonic()) > 0:
            self._loop.turn(left)

    # ------------------------------------------------------------------ what fronts and hosts have to say
    def models(self) -> Models:
        states: dict[str, list[Replicas]] = {}
        for version in self._versions:
            states.setdefault(version.model, []).append(version)
        return Models(tuple(_model(name, versions) for name, versions in states.items()))

    def figures(self) -> Snapshot:
        processes = {"supervisor": os.getpid()}
        processes |= {f"front-{front.slot}": front.link.pid for front in self._fronts.in_place()}
        for version in self._versions:
            processes |= version.processes()
            self._ledger.hosts_live(version.model, version.state().version, len(version.ready()))
        return self._ledger.merged(processes)

    def front_started(self, front: Front) -> None:
        for version in self._versions:
            for host in version.ready():
                _connect(front, host)

    def front_listening(self, front: Front) -> None:
        if not self._announced:
            self._announced = True
            self._log.info("listening", url=self._url)
            self._tell_manager()

    def front_gone(self) -> None:
        self._advance()

    def host_ready(self, host: Host) -> None:
        self.changed()
        for front in self._fronts.alive():
            _connect(front, host)

    def host_hung(self, host: int) -> None:
        for version in self._versions:
            version.hung(host)

    def changed(self) -> None:
        self._fronts.broadcast(self.models())
        self._judge()
        self._tell_manager()
        self._advance()

    def failed(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._loop.stop()

    def _tell_manager(self) -> None:
        """Says that the start is over, when that is so: a model that was refused is none to wait for."""
        refused = [version.model for version in self._versions if version.refused]
        started = all(version.refused or version.ready() for version in self._versions)
        if self._announced and started and self._stage == "serving" and not self._failure:
            without = f", without {', '.join(refused)}" if refused else ""
            self._manager.ready(f"Serving on {self._url}{without}")

    # ------------------------------------------------------------------ how it ends
    def _judge(self) -> None:
        """Gives up where what was asked for cannot be served."""
        refused = [f"cannot serve {v.model}: {v.state().reason}" for v in self._versions if v.refused]
        if refused and (self._strict or len(refused) == len(self._versions)):
            self.failed("; ".join(refused))

    def _signalled(self, linger_s: float) -> None:
        if self._stage != "serving":
            self._force()
            return
        self._stage = "draining"
        self._log.info("draining", linger_s=linger_s, finish_s=self._drain.finish_s)
        self._manager.stopping("Draining")
        self._fronts.drain()
        self._loop.later(linger_s, self._finish)
        self._advance()

    def _hung_up(self, terminal: Terminal) -> None:
        """SIGHUP: somebody wants new fronts, unless it is the terminal that has gone: then both its shell and the
        kernel may say so, and neither means to force."""
        if self._stage == "serving":
            if terminal.is_gone():
                self._signalled(0.0)
            else:
                self._fronts.roll()

    def _finish(self) -> None:
        if self._stage == "draining":
            self._stage = "finishing"
            self._fronts.stop(self._drain.finish_s)
            self._loop.later(self._drain.finish_s + OVERTIME_S, self._force)
            self._advance()

    def _advance(self) -> None:
        """Takes the next step of the way out, once nothing runs any more of what the last one ended."""
        if self._stage in ("draining", "finishing") and not self._fronts.alive():
            self._stage = "ending"
            self._fronts.stop(0.0)
            self._loop.later(OVERTIME_S, self._kill)
            for version in self._versions:
                version.stop()
        if self._stage == "ending" and not self._running():
            self._loop.stop()

    def _force(self) -> None:
        """Cuts what is still under way."""
        self._forced = True
        self._kill()
        self._loop.later(OVERTIME_S, self._loop.stop)

    def _kill(self) -> None:
        self._fronts.kill()
        for version in self._versions:
            version.kill()

    def _running(self) -> int:
        return len(self._fronts.alive()) + sum(version.running for version in self._versions)

    def _log_statistics(self) -> None:
        self._loop.later(STATISTICS_S, self._log_statistics)
        statistics = self._ledger.statistics()
        if statistics:
            self._log.info("latency_stats", **statistics)


def _model(name: str, versions: Sequence[Replicas]) -> ModelState:
    states = tuple(version.state() for version in versions)
    return ModelState(name=name, default=states[-1].version, versions=states)


def _connect(front: Front, host: Host) -> None:
    """What the two need of each other; from here on batches do not pass through this process."""
    try:
        of_front, of_host = connection()
    except OSError as problem:  # no descriptors
        front.give_up(f"it could not be connected to a model: {problem.strerror}")
        return
    host.link.send(Attach(front.number), of_host)
    front.link.send(HostOf(host.number, host.model, host.version), of_front)
