"""Redis, where several machines share one, and what becomes of a question when it is away.

hiredis reads the answers; what stands around it here is a tenth of what a general client costs for a batch of commands
(64 of them: 90 µs against 1,060), and never lets anybody wait for longer than was configured.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis

from penstock import config
from penstock.errors import PenstockError
from penstock.observability import catalog
from penstock.observability.logs import Log
from penstock.observability.metrics import Figures
from penstock.redis_url import address_of

Word = str | bytes | int | float
CONNECT_S = 1.0  # for a connection to be made, and the password to be taken
FIRST_PAUSE_S = 0.1  # before it is looked for again,
LONGEST_PAUSE_S = 2.0  # which it is at least so often
QUIET_S = 10.0  # between two lines of the log that say the same; and what has held for so long is well again
EXPECTED = ("NOSCRIPT", "WRONGTYPE")
MOST_WAITING = 10_000  # commands that have no answer yet
READ_FIRST_S = 0.001  # for the loop to come round once more
MOST_UNSENT = 16 * 2**20  # bytes
MOST_UNREAD = 32 * 2**20  # bytes of an answer that does not end


class RedisAway(PenstockError):
    """Redis does not answer, or not in time."""


class RedisRefused(RedisAway):
    """Redis answers, but with an error, of which this is the code: the rest may repeat what it was asked, a password
    for instance."""


class Redis:
    """One connection for one `purpose`, which is looked for until it is there, and again when it is lost.

    While it is away whoever asks hears so at once: nobody waits for a connection to be made. What was asked before it
    went away waits for `timeout_ms` at most.

    One that takes connections and is too slow for anything else comes and goes all the time: so it is looked for as
    seldom as one that is away for good until a connection has held for a while, and the log has no more of it.
    """

    def __init__(self, settings: config.Redis, purpose: str, log: Log, figures: Figures) -> None:
        assert settings.url is not None
        self._purpose = purpose
        self.prefix = settings.prefix
        self._address = address_of(settings.url)
        self._tls = ssl.create_default_context() if self._address.tls else None  # reading all authorities takes 40 ms
        self._timeout_s = settings.timeout_ms / 1000
        self._log = log
        self._failures = figures.counter(catalog.REDIS_FAILURES)
        self._up = figures.gauge(catalog.REDIS_LIVE).child()
        self._loop = asyncio.get_running_loop()
        self._line: _Line | None = None
        self._told: str | None = None  # why it is or was away, while the log says that it is
        self._back_at = self._complained_at = -QUIET_S
        self.tried = asyncio.Event()
        """Set once a connection is made, or could not be."""
        self._looking = self._loop.create_task(self._look())

    @property
    def is_here(self) -> bool:
        return self._line is not None

    @property
    def unanswered(self) -> int:
        """Commands that wait for their answers."""
        return self._line.unanswered if self._line is not None else 0

    def ask(self, *words: Word) -> asyncio.Future[Any]:
        """The answer to one command, as bytes, numbers, None and lists of these.

        All that is asked in one turn of the loop travels together. The future raises RedisAway, and RedisRefused.
        """
        line = self._line
        if line is not None:
            return line.ask(words)
        answer = self._loop.create_future()
        answer.set_exception(RedisAway(self._told or ""))
        answer.exception()  # who asks need not look
        return answer

    def close(self) -> None:
        self._looking.cancel()
        if self._line is not None:
            self._line.end("this process ends")
            self._lost()

    async def _look(self) -> None:
        """Makes the connection, and makes it anew whenever it is lost."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout(CONNECT_S):
                    line = await self._connect()
            except Exception as problem:  # noqa: BLE001 # whatever it is, the service goes on without Redis
                self._missed(_reason(problem), "connect")
            else:
                self._found(line)
                since = self._loop.time()
                reason, kind = await asyncio.shield(line.ended)
                if self._loop.time() >= since + QUIET_S:
                    pause_s = FIRST_PAUSE_S
                self._missed(reason, kind)
            self.tried.set()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _connect(self) -> "_Line":
        to = self._address
        if to.path is not None:
            _, line = await self._loop.create_unix_connection(self._new_line, to.path)
        else:
            _, line = await self._loop.create_connection(self._new_line, to.host, to.port, ssl=self._tls)
        try:
            for words in to.greeting():
                await line.ask(words, CONNECT_S)
            await line.ask(("PING",))  # which shows that it is as quick as it has to be
        except BaseException:
            line.end("")
            raise
        return line

    def _new_line(self) -> "_Line":
        return _Line(self._loop, self._timeout_s, self._refused)

    def _found(self, line: "_Line") -> None:
        self._line = line
        self._up.inc()
        if self._loop.time() >= self._back_at + QUIET_S:
            self._tell_back(line)
        else:
            self._loop.call_later(QUIET_S, self._tell_back, line)
        self.tried.set()

    def _tell_back(self, line: "_Line") -> None:
        """Unless it has gone again meanwhile."""
        if self._line is line and self._told is not None:
            self._told = None
            self._back_at = self._loop.time()
            self._log.info("redis_back", host=self._address.place, purpose=self._purpose)

    def _missed(self, reason: str, kind: str) -> None:
        self._lost()
        self._failures.child(kind).inc()
        if self._told is None:
            self._log.warning("redis_away", host=self._address.place, purpose=self._purpose, reason=reason)
        self._told = reason

    def _lost(self) -> None:
        if self._line is not None:
            self._line = None
            self._up.dec()  # which is both connections' of this front

    def _refused(self, code: str) -> None:
        """It is there, but does not do what it is asked. What can be meant by that is told; but not again and again."""
        if self._line is None or code in EXPECTED:
            return  # it is not even let in, which is told as an outage; or whoever asked sees to it
        self._failures.child("refused").inc()
        if (now := self._loop.time()) >= self._complained_at + QUIET_S:
            self._complained_at = now
            self._log.warning("redis_refused", purpose=self._purpose, code=code)


class _Line(asyncio.Protocol):
    """A connection that answers in the order in which it is asked, until it once does not in time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float, refused: Callable[[str], object]) -> None:
        self.ended: asyncio.Future[tuple[str, str]] = loop.create_future()
        self._loop = loop
        self._timeout_s = timeout_s
        self._refused = refused
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._unread = 0  # bytes
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()  # and when each answer is due
        self._watch: asyncio.TimerHandle | None = None

    @property
    def unanswered(self) -> int:
        return len(self._waiting)

    def ask(self, words: tuple[Word, ...], timeout_s: float | None = None) -> asyncio.Future[Any]:
        answer = self._loop.create_future()
        if self.ended.done() or len(self._waiting) >= MOST_WAITING or self._unsent_bytes > MOST_UNSENT:
            answer.set_exception(RedisAway("it does not keep up with what it is asked"))
            answer.exception()
            return answer
        command = hiredis.pack_command(words)  # type: ignore[arg-type] # its types say one word
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(command)
        self._unsent_bytes += len(command)
        self._waiting.append((answer, self._loop.time() + (timeout_s or self._timeout_s)))
        if self._watch is None:
            self._watch = self._loop.call_later(timeout_s or self._timeout_s, self._look)
        return answer

    def end(self, reason: str, kind: str = "lost") -> None:
        """Whoever waits has waited for nothing."""
        if self.ended.done():
            return
        self.ended.set_result((reason, kind))
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        for answer, _ in self._waiting:
            if not answer.done():
                answer.set_exception(RedisAway(reason))
                answer.exception()
        self._waiting.clear()

    def _send(self) -> None:
        if self._transport is not None and not self.ended.done():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()
        self._unsent_bytes = 0

    def _look(self) -> None:
        """Whether anything is overdue. What lies in the socket already is read first: if this process was held up,
        that is not Redis' fault."""
        self._watch = self._loop.call_later(READ_FIRST_S, self._judge)

    def _judge(self) -> None:
        self._watch = None
        if not self._waiting:
            return
        left_s = self._waiting[0][1] - self._loop.time()
        if left_s <= 0:
            self.end("it did not answer in time", "timeout")
        else:
            self._watch = self._loop.call_later(left_s, self._look)

    # ---------------------------------------------------------------- what asyncio calls
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not below it

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            self._unread += len(data)
            while (reply := self._reader.gets()) is not False:
                self._unread = 0
                self._answer(reply)
            if self._unread > MOST_UNREAD:
                self.end("its answer is too large", "protocol")
        except (hiredis.ProtocolError, IndexError):
            self.end("what answers is not Redis", "protocol")

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(_reason(exc) if exc is not None else "it closed the connection")

    def eof_received(self) -> None:
        self.end("it closed the connection")

    def _answer(self, reply: Any) -> None:
        answer, _ = self._waiting.popleft()
        if isinstance(reply, hiredis.ReplyError):
            code = str(reply).partition(" ")[0]
            self._refused(code)
            if not answer.done():
                answer.set_exception(RedisRefused(code))
                answer.exception()
        elif not answer.done():
            answer.set_result(reply)


def _reason(problem: BaseException) -> str:
    """In words for the log. A system's error may name the address, which has no password in it."""
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror.lower()
    return "it did not answer in time" if isinstance(problem, TimeoutError) else str(problem)
