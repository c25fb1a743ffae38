"""Redis as a store: an entity is a hash, whose fields are its values."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from penstock.inference.redis import Redis, RedisAway, RedisRefused
from penstock.inference.stores import AWAY, UNREADABLE, Answer
from penstock.inference.stores.complaint import Complaint
from penstock.observability.logs import Log

WRONG_KIND = "WRONGTYPE"
"""What Redis says where a key holds something else than a hash."""


class Hashes:
    """Reads keys that begin with `prefix`, whatever a manifest or a client calls an entity: what else is in that Redis
    is not theirs to read.

    Asks for no more than the fields that are needed. What is asked in one turn of the event loop travels together, and
    an entity that is being looked up is not asked for again.
    """

    def __init__(self, name: str, redis: Redis, prefix: str, timeout_s: float, log: Log) -> None:
        self.timeout_s = timeout_s
        self._redis = redis
        self._prefix = prefix
        self._complain = Complaint(name, log)
        self._loop = asyncio.get_running_loop()
        self._flying: dict[tuple[str, tuple[str, ...]], asyncio.Future[Answer]] = {}

    def look(self, entity: str, fields: tuple[str, ...]) -> "Answer | asyncio.Future[Answer]":
        answer = self._flying.get((entity, fields))
        if answer is None:
            if not self._redis.is_here:
                return AWAY
            answer = self._flying[entity, fields] = self._loop.create_future()
            reply = self._redis.ask("HMGET", f"{self._prefix}{entity}", *fields)
            reply.add_done_callback(partial(self._replied, entity, fields))
        return answer

    def close(self) -> None:
        pass

    def _replied(self, entity: str, fields: tuple[str, ...], reply: "asyncio.Future[Any]") -> None:
        self._flying.pop((entity, fields)).set_result(self._answer(fields, reply))

    def _answer(self, fields: Sequence[str], reply: "asyncio.Future[Any]") -> Answer:
        if reply.cancelled():
            return AWAY
        match reply.exception():
            case RedisRefused() as refusal if str(refusal).startswith(WRONG_KIND):
                return dict.fromkeys(fields, UNREADABLE)
            case RedisRefused() as refusal:
                self._complain(f"Redis refuses to be asked: {refusal}")
                return AWAY
            case RedisAway():
                return AWAY
        values = reply.result()
        if not isinstance(values, list) or len(values) != len(fields):
            return AWAY
        return dict(zip(fields, values, strict=True)) if any(value is not None for value in values) else None
