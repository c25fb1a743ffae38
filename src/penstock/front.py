"""`python -P -m penstock.front`: one front, started by the supervisor with its control socket as descriptor 3.

It speaks HTTP, holds no model and no lasting state, and may die at any time. It does what its supervisor says, and
ends with it.
"""

import asyncio
import gc
import os
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import count
from typing import Any

import uvloop
from msgspec.structs import replace

from penstock.config import Settings
from penstock.errors import FiguresLate
from penstock.inference.caches import Caches
from penstock.inference.engine import Engine
from penstock.inference.forecast import Capacity
from penstock.inference.redis import Redis
from penstock.inference.served import ServedVersion
from penstock.inference.stores.registry import Stores
from penstock.inference.versions import LoopTimer, Versions
from penstock.interface.access import Access
from penstock.interface.accounts import Accounts
from penstock.interface.app import App
from penstock.interface.client import Clients
from penstock.interface.lane import Lane
from penstock.interface.lenders import Lender, SupervisorLender
from penstock.interface.native import Native
from penstock.interface.ops import build_ops
from penstock.interface.quotas import Quotas
from penstock.interface.redis_lender import RedisLender
from penstock.interface.server import HttpServer
from penstock.interface.tls import Certificate
from penstock.model import control, quota
from penstock.model.control import CHANNEL_FD, Channel, ModelState
from penstock.model.key import Key
from penstock.model.leash import be_a_child
from penstock.model.stamp import Stamp
from penstock.observability.logs import capture_stdlib, open_log
from penstock.observability.metrics import Figures, Snapshot

REPORT_S = 1.0
FORGET_S = 120.0  # two scrapes, as they are usual, after a version has gone
TIDY_S = 0.5  # after a version has gone, so as not to keep a swap waiting
GC_THRESHOLDS = (20_000, 20, 20)  # requests leave few cycles behind; looking for them after 700 objects costs a tenth
SCRAPE_S = 2.0
MERGED_S = 10.0  # how old figures may be where there are no newer ones


class Front:
    """Connects the supervisor's words to the parts that carry them out."""

    def __init__(self, channel: Channel, configure: control.Configure) -> None:
        self.settings: Settings = configure.settings
        self.draining = False
        self.started = False
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._scrapes: dict[int, asyncio.Future[Snapshot]] = {}
        self._scrape_ids = count(1)
        self._orders: dict[int, asyncio.Future[control.Outcome]] = {}
        self._order_numbers = count(1)
        self._scrape: asyncio.Task[Snapshot] | None = None
        self._merged: tuple[Snapshot, float] | None = None  # the last ones, and when they came
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving: asyncio.Task[None] | None = None
        self._has_left = False
        self._figures = Figures()
        process = f"front-{configure.slot}"
        self._log = open_log(self.settings.logs, process)
        capture_stdlib(self._log)
        self._redis = self._open_redis("quotas and features")
        self._kept = self._open_redis("cache")  # apart, since it may be given more than it can take
        self._stores = Stores(self.settings.stores, self._log, self._redis)
        timer = LoopTimer(self._loop)
        caches = Caches(self._figures, self._log, timer, self._loop.call_soon, self._kept)
        self._versions = Versions(self.settings, self._figures, self._hung, self._released, caches, self._stores)
        self._access = Access()
        self._native = Native(Engine(self._versions), self.settings.limits, self._access)
        clients = Clients(self.settings.server.trusted_proxies)
        self._accounts = Accounts(self._log, self._figures, process, self._loop.call_later, clients)
        self._supervisor = SupervisorLender(self._send)
        quotas = quota.Quotas(self.settings.quota)
        lender: Lender = self._supervisor
        if self._redis is not None and self.settings.quota.store == "redis":
            fronts = self.settings.server.workers
            lender = RedisLender(self._redis, quotas, fronts, self._supervisor, self._log, self._figures)
        self._quotas = Quotas(quotas, clients, lender, self._loop, self._figures)
        lane = Lane(self._native, self._accounts)
        self._certificate = Certificate(configure.pair) if configure.pair else None
        self._server = HttpServer(App(lane, build_ops(self)), lane, self._certificate)

    def _open_redis(self, purpose: str) -> Redis | None:
        settings = self.settings.redis
        return Redis(settings, purpose, self._log, self._figures) if settings.url else None

    # ---------------------------------------------------------------- what the operations pages ask
    @property
    def models(self) -> tuple[ModelState, ...]:
        return tuple(self._versions.models.values())

    def capacity(self, model: str, version: str) -> Capacity | None:
        """What the model's processes can do, as far as this front has seen of them."""
        return self._versions.capacity(model, version)

    async def figures(self) -> Snapshot:
        """The figures of all processes. Whoever asks while they are being fetched waits for the same ones."""
        if self._scrape is None or self._scrape.done():
            self._scrape = self._loop.create_task(self._merged_figures())
        return await asyncio.shield(self._scrape)

    async def _merged_figures(self) -> Snapshot:
        """The supervisor's; the last ones if it is late, since this front's alone would look like counters reset."""
        scrape = next(self._scrape_ids)
        answer: asyncio.Future[Snapshot] = self._loop.create_future()
        self._scrapes[scrape] = answer
        self._send(control.Report(self._snapshot(), scrape))
        try:
            figures = await asyncio.wait_for(answer, SCRAPE_S)
        except TimeoutError:
            if self._merged is None or self._loop.time() - self._merged[1] > MERGED_S:
                raise FiguresLate from None
            return self._merged[0]
        finally:
            del self._scrapes[scrape]
        self._merged = figures, self._loop.time()
        return figures

    async def order(self, order: control.Order) -> control.Outcome:
        """What becomes of what an administrator wants, once it is so, or will not be."""
        number = next(self._order_numbers)
        self._orders[number] = self._loop.create_future()
        self._send(replace(order, number=number))
        try:
            return await self._orders[number]
        finally:
            del self._orders[number]

    # ---------------------------------------------------------------- the supervisor's words
    async def run(self, messages: list[tuple[Any, list[int]]]) -> None:
        """Obeys until told to stop or the channel ends."""
        self._loop.add_reader(self._channel.socket, self._hear)
        self._obey(messages)
        self._report()
        gc.freeze()  # what is here now stays: no need to look at it again and again
        gc.set_threshold(*GC_THRESHOLDS)
        await self._ended
        self._versions.close()
        self._stores.close()
        for redis in (self._redis, self._kept):
            if redis is not None:
                redis.close()
        self._accounts.settle()
        self._log.close()

    def _hear(self) -> None:
        self._obey(self._channel.receive())
        if self._channel.closed:
            self._loop.remove_reader(self._channel.socket)
            self._finish()

    def _obey(self, messages: list[tuple[Any, list[int]]]) -> None:
        for message, descriptors in messages:
            match message:
                case control.Listen():
                    self._begin(self._listen(message.slot, socket.socket(fileno=descriptors[0])))
                case control.HostOf():
                    self._attach(message, *descriptors)
                case control.Models():
                    self.started = message.started
                    self._take_keys(message.keys)
                    self._versions.update(message.models)
                    self._native.update(self._versions.models)
                    self._send(control.Follows(message.revision))
                case control.Merged() | control.Outcome() | control.Grants():
                    self._hear_back(message)
                case control.Renew() if self._certificate is not None:
                    self._certificate.take(message.pair)
                case control.Yield():
                    self._server.leave(message.slot)
                case _:
                    self._come_to_an_end(message)

    def _hear_back(self, message: control.Merged | control.Outcome | control.Grants) -> None:
        """What was asked for has come."""
        match message:
            case control.Merged():
                if (waiting := self._scrapes.get(message.scrape)) and not waiting.done():
                    waiting.set_result(message.figures)
            case control.Outcome():
                if (ordered := self._orders.get(message.number)) and not ordered.done():
                    ordered.set_result(message)
            case control.Grants():
                self._supervisor.answered(message)

    def _come_to_an_end(self, message: control.Drain | control.Retire | control.Stop) -> None:
        match message:
            case control.Drain():
                self.draining = True
                self._server.drain()
            case control.Retire():
                self._leave(partial(self._server.retire, message.linger_s, message.finish_s))
            case control.Stop():
                self.draining = True
                self._refuse_orders()
                self._leave(partial(self._server.stop, message.finish_s))

    def _take_keys(self, keys: tuple[Key, ...] | None) -> None:
        self._access.update(keys)
        self._quotas.update(keys)
        self._native.quotas = self._quotas if self._quotas.any else None

    def _refuse_orders(self) -> None:
        """What an administrator waits for will not come to be any more."""
        for number, outcome in self._orders.items():
            if not outcome.done():
                outcome.set_result(control.Outcome(number=number, refused="The service is ending."))

    def _attach(self, host: control.HostOf, data: int, stamp: int) -> None:
        sock = socket.socket(fileno=data)
        try:
            shared = Stamp(stamp)
        except OSError as problem:
            sock.close()
            self._log.error("cannot_attach", model=host.model, version=host.version, reason=problem.strerror)
            self._finish()
        else:
            self._versions.attach(host, sock, shared)

    async def _listen(self, slot: int, listener: socket.socket) -> None:
        for redis in (self._redis, self._kept):
            if redis is not None:
                await redis.tried.wait()
        try:
            await self._server.listen(slot, listener)
        except OSError as problem:
            self._log.error("cannot_listen", slot=slot, reason=problem.strerror)
            self._finish()
        else:
            self._send(control.Listening(slot))

    def _leave(self, ending: Callable[[], Coroutine[Any, Any, int]]) -> None:
        """Ends as `ending` does. The last word on how counts: a front that retires may be told to stop."""
        if self._has_left:
            return
        if self._leaving:
            self._leaving.cancel()
        self._leaving = self._begin(self._end(ending))

    async def _end(self, ending: Callable[[], Coroutine[Any, Any, int]]) -> None:
        cut = await ending()
        self._has_left = True
        self._send(control.Report(self._snapshot()))
        self._send(control.Drained(cut))
        while self._channel.pending and not self._channel.closed:
            await asyncio.sleep(0.01)
            self._channel.flush()
        self._finish()

    def _finish(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    # ---------------------------------------------------------------- words to the supervisor
    def _snapshot(self) -> Snapshot:
        self._accounts.settle()
        return self._figures.snapshot()

    def _report(self) -> None:
        self._send(control.Report(self._snapshot()))
        self._loop.call_later(REPORT_S, self._report)

    def _released(self, model: str, version: str, served: ServedVersion | None) -> None:
        if served is not None:
            self._accounts.forget(served)
            self._native.forget(served)
            self._loop.call_later(FORGET_S, self._forget, model, version)
            self._loop.call_later(TIDY_S, gc.collect)  # its parts know each other, and nobody else would look for hours
        self._send(control.Released(model, version))

    def _forget(self, model: str, version: str) -> None:
        """Its last figures have been told by now."""
        if not self._versions.holds(model, version):
            self._figures.forget_version(model, version)

    def _hung(self, host: int) -> None:
        self._send(control.Hung(host))

    def _send(self, message: object) -> None:
        self._channel.send(message)
        if self._channel.pending:
            self._loop.add_writer(self._channel.socket, self._flush)

    def _flush(self) -> None:
        self._channel.flush()
        if not self._channel.pending:
            self._loop.remove_writer(self._channel.socket)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def serve() -> None:
    """Waits for the supervisor's first word, then lives as it says."""
    loop = asyncio.get_running_loop()
    channel = Channel(socket.socket(fileno=CHANNEL_FD), control.ToFront)
    messages: list[tuple[Any, list[int]]] = []
    while not messages and not channel.closed:
        readable = loop.create_future()
        loop.add_reader(channel.socket, readable.set_result, None)
        await readable
        loop.remove_reader(channel.socket)
        messages = channel.receive()
    if messages and isinstance(messages[0][0], control.Configure):
        await Front(channel, messages[0][0]).run(messages[1:])


def main() -> None:
    be_a_child()
    os.set_inheritable(CHANNEL_FD, False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
