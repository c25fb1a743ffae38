"""The service as a whole: listeners, fronts and hosts assembled, kept running, drained and ended."""

import os
import signal
import socket
import time
from collections.abc import Callable, Collection, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal

from penstock.config import Settings
from penstock.errors import FailedStart
from penstock.model.control import Attach, Follows, HostOf, Hung, Models, Order, Released
from penstock.model.key import Key
from penstock.model.repository import Resolved
from penstock.model.source import ModelSource
from penstock.model.tls import Pair, read_pair
from penstock.observability.health import has_started
from penstock.observability.logs import open_log
from penstock.observability.metrics import Snapshot
from penstock.supervisor.connection import connection
from penstock.supervisor.descriptors import raise_limit
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.fronts import Fronts
from penstock.supervisor.guards import Guards
from penstock.supervisor.hangup import Terminal
from penstock.supervisor.hosts import Host
from penstock.supervisor.ledger import Ledger
from penstock.supervisor.lineup import Lineup
from penstock.supervisor.listeners import open_listeners, url_of
from penstock.supervisor.loop import Loop
from penstock.supervisor.manager import Manager
from penstock.supervisor.orders import Orders
from penstock.supervisor.quotas import Lender
from penstock.supervisor.reload import News, Reload
from penstock.supervisor.renewal import Renewal
from penstock.supervisor.slots import Front

OVERTIME_S = 2.0  # beyond what a child was given to end, before it is killed
STATISTICS_S = 60.0
TAKEN_OVER = ("load", "route")  # of a model's settings, while it is served


def serve(resolved: Resolved, reread: Callable[[Resolved], Resolved], *, strict: bool) -> int:
    """Serves what was found until a signal ends it; returns the exit code: 0, or 1 where work was cut.

    What has changed on the disk since is taken over; `reread` finds it. `strict`: one model that cannot be loaded ends
    the service; else only all of them do. Raises ConfigurationError where the port cannot be had or the certificate not
    be used, and FailedStart, with the reason, where nothing can be served.
    """
    settings = resolved.settings
    pair = read_pair(settings.server.tls_cert, settings.server.tls_key)
    listeners = open_listeners(settings.server)
    log = open_log(settings.logs, process="supervisor")
    raise_limit(settings.limits.connections, log)
    with Loop() as loop:
        sources = [source for versions in resolved.models.values() for source in versions]
        equipment = Equipment(loop, log, Ledger(log))
        service = Service(equipment, settings, sources, listeners, resolved.keys, pair, strict=strict)
        if pair is not None:
            Renewal(equipment, settings.server, pair, service.renew).start()
        Reload(equipment, reread, service.update, service.take_keys, service.knows).start(resolved)
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
        keys: tuple[Key, ...] | None = None,
        pair: Pair | None = None,
        *,
        strict: bool,
    ) -> None:
        self._loop = equipment.loop
        self._log = equipment.log
        self._ledger = equipment.ledger
        self._manager = Manager(os.environ, equipment.log)
        self._drain = settings.drain
        self._strict = strict
        self._url = url_of(listeners[0], tls=pair is not None)
        self._lender = Lender(settings.quota, keys, settings.server.workers, equipment.ledger, equipment.loop.now)
        self._fronts = Fronts(equipment, settings, listeners, self, self._lender, pair)
        self._revision = 0
        self._lineups: dict[str, Lineup] = {}
        state_dir = Path(settings.state_dir).absolute()
        self._orders = Orders(equipment, state_dir, self._lineups, lambda: self._revision, self._fronts.followed)
        self._guards = Guards(equipment, self._lineups, self._orders.send_away)
        self._announced = False
        self._was_ready = False
        self._started = False
        self._settings = settings
        self._keys = keys
        self._equipment = equipment
        self._news: News | None = None  # the last ones
        for name, group in groupby(sources, _name):
            self._add(name, list(group))
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
        for lineup in self._lineups.values():
            lineup.start()
        self._loop.later(STATISTICS_S, self._log_statistics)
        self._guards.start()
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

    # ------------------------------------------------------------------ what is to be served
    def update(self, news: News) -> None:
        """Something else is there than before: models come and go, and versions of them."""
        self._news = news
        told = restart_needed(self._settings, news.resolved.settings)
        if told:
            self._log.warning("restart_needed", settings=told, detail="these are read at the start")
        self.take_keys(news.resolved.keys)
        for name in self._lineups.keys() - news.named:
            self._lineups[name].remove()
        for name in news.resolved.models:
            self._take(name, news)

    def take_keys(self, keys: tuple[Key, ...] | None) -> None:
        """Whoever has none of them is refused from now on."""
        if keys != self._keys:
            self._keys = keys
            self._lender.update(keys)
            if keys:
                self._log.info("keys_taken", keys=[key.name for key in keys])
            else:
                self._log.warning("keys_taken", keys=[], detail="there is no key left: everybody is refused")
            self.changed()

    def renew(self, pair: Pair) -> None:
        """The certificate is another one from now on."""
        self._fronts.renew(pair)

    def knows(self, source: ModelSource) -> bool:
        """Whether this version is among those that are there already."""
        lineup = self._lineups.get(source.name)
        return lineup is not None and lineup.knows(source.version)

    def _take(self, name: str, news: News) -> None:
        versions = news.resolved.models[name]
        if (lineup := self._lineups.get(name)) is None:
            self._add(name, versions).start()
        elif not lineup.removed:  # else it has to end first
            touched = [source.version for source in versions if news.has_changed(source)]
            lineup.update(versions, touched, self._orders.laid_over(name, versions[-1].settings.route))

    def _add(self, name: str, versions: Sequence[ModelSource]) -> Lineup:
        overlay = self._orders.laid_over(name, versions[-1].settings.route)
        past, breach = self._orders.past(name), self._orders.breach(name)
        self._lineups[name] = lineup = Lineup(self._equipment, versions, self, overlay, past, breach)
        return lineup

    def _forget_removed(self) -> None:
        for name in [name for name, lineup in self._lineups.items() if lineup.removed and not lineup.running]:
            del self._lineups[name]
            if self._news is not None and name in self._news.resolved.models:
                self._take(name, self._news)

    # ------------------------------------------------------------------ what fronts and hosts have to say
    def models(self) -> Models:
        states = tuple(lineup.state() for lineup in self._lineups.values() if not lineup.removed)
        self._was_ready = self._was_ready or has_started(states)
        return Models(states, self._revision, self._was_ready, self._keys)

    def fronts(self) -> set[int]:
        return {front.number for front in self._fronts.alive()}

    def figures(self) -> Snapshot:
        processes = {"supervisor": os.getpid()}
        processes |= {f"front-{front.slot}": front.link.pid for front in self._fronts.in_place()}
        for lineup in self._lineups.values():
            processes |= lineup.processes()
            for version, hosts in lineup.live().items():
                self._ledger.hosts_live(lineup.name, version, hosts)
        return self._ledger.merged(processes)

    def front_started(self, front: Front) -> None:
        for lineup in self._lineups.values():
            for host in lineup.ready():
                _connect(front, host)

    def front_listening(self, front: Front) -> None:
        self._orders.advance()
        if not self._announced:
            self._announced = True
            self._log.info("listening", url=self._url)
            self._tell_manager()

    def front_gone(self, front: Front) -> None:
        for lineup in self._lineups.values():
            lineup.front_gone(front.number)
        self._orders.advance()
        self._advance()

    def heard(self, front: Front, message: Hung | Released | Follows | Order) -> None:
        match message:
            case Hung(host):
                for lineup in self._lineups.values():
                    lineup.hung(host)
            case Released(model, version) if model in self._lineups:
                self._lineups[model].released(version, front.number)
            case Follows(revision):
                front.follows = revision
                self._tell_manager()
                self._orders.advance()
            case Order():
                self._orders.take(front, message)

    def connect(self, host: Host, fronts: Collection[int]) -> None:
        for front in self._fronts.alive():
            if front.number in fronts:
                _connect(front, host)

    def host_ready(self, host: Host) -> None:
        for front in self._fronts.alive():
            _connect(front, host)

    def changed(self) -> None:
        self._forget_removed()
        self._revision += 1
        self._fronts.broadcast(self.models())
        self._judge()
        self._tell_manager()
        self._orders.advance()
        self._advance()

    def failed(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._loop.stop()

    def _tell_manager(self) -> None:
        """Says that the start is over, when that is so, and each front knows: a model that was refused is none to wait
        for."""
        lineups = self._lineups.values()
        refused = [lineup.name for lineup in lineups if lineup.refused]
        started = all(lineup.refused or lineup.ready() for lineup in lineups)
        if self._announced and started and self._stage == "serving" and not self._failure:
            self._started = True
            without = f", without {', '.join(refused)}" if refused else ""
            if self._fronts.followed() >= self._revision:
                self._manager.ready(f"Serving on {self._url}{without}")

    # ------------------------------------------------------------------ how it ends
    def _judge(self) -> None:
        """Gives up where what was asked for at the start cannot be served."""
        refused = [f"cannot serve {each.name}: {each.reason}" for each in self._lineups.values() if each.refused]
        if not self._started and refused and (self._strict or len(refused) == len(self._lineups)):
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
            for lineup in self._lineups.values():
                lineup.stop()
        if self._stage == "ending" and not self._running():
            self._loop.stop()

    def _force(self) -> None:
        """Cuts what is still under way."""
        self._forced = True
        self._kill()
        self._loop.later(OVERTIME_S, self._loop.stop)

    def _kill(self) -> None:
        self._fronts.kill()
        for lineup in self._lineups.values():
            lineup.kill()

    def _running(self) -> int:
        return len(self._fronts.alive()) + sum(lineup.running for lineup in self._lineups.values())

    def _log_statistics(self) -> None:
        self._loop.later(STATISTICS_S, self._log_statistics)
        statistics = self._ledger.statistics()
        if statistics:
            self._log.info("latency_stats", **statistics)


def restart_needed(before: Settings, after: Settings) -> list[str]:
    """The settings that differ and are not taken over: all but the keys, the models, and where their requests go."""
    names = [name for name in before.__struct_fields__ if name not in ("keys", "models")]
    told = [name for name in names if getattr(before, name) != getattr(after, name)]
    for model in sorted(before.models.keys() & after.models.keys()):
        old, new = before.models[model], after.models[model]
        names = [name for name in old.__struct_fields__ if name not in TAKEN_OVER]
        told += [f"models.{model}.{name}" for name in names if getattr(old, name) != getattr(new, name)]
    return told


def _name(source: ModelSource) -> str:
    return source.name


def _connect(front: Front, host: Host) -> None:
    """What the two need of each other; from here on batches do not pass through this process."""
    try:
        of_front, of_host = connection()
    except OSError as problem:  # no descriptors
        front.give_up(f"it could not be connected to a model: {problem.strerror}")
        return
    host.link.send(Attach(front.number), of_host)
    front.link.send(HostOf(host.number, host.model, host.version), of_front)
