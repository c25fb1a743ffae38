"""Answers in Redis, where all fronts of several machines find them."""

import asyncio
import os.path
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec

from penstock.inference.redis import Redis
from penstock.inference.row_answers import Columns, RowAnswer, apart
from penstock.inference.row_format import FORMAT, RowFormat
from penstock.model.control import Loaded
from penstock.observability.caching import CacheMeter

MOST_UNANSWERED = 512  # commands, beyond which Redis would be late with those that are waited for
MOST_TOGETHER = 1024  # answers, written in one turn of the loop: 4,000 keep it up for longer than Redis may take
DIGEST = 32


def identity(model: str, version: str, loaded: Loaded) -> bytes:
    """All that decides what a version answers, in a digest: its files, its code, what runs it and how it is shaped."""
    certificate = loaded.certificate
    form = (certificate.verdict, certificate.form, certificate.sha256) if certificate is not None else None
    whole = (
        FORMAT, model, version, loaded.sha256, _lying(loaded.beside), loaded.modules, loaded.chain, loaded.runtime,
        loaded.device, loaded.libraries, form, loaded.signature,
    )  # fmt: skip
    return blake2b(msgspec.msgpack.encode(whole, order="deterministic"), digest_size=DIGEST).digest()


def _lying(beside: Mapping[str, str]) -> list[tuple[str, str]]:
    """The digests of files by how they lie to one another, wherever a machine keeps all of them."""
    home = os.path.commonpath([os.path.dirname(path) for path in beside]) if beside else ""
    return sorted((os.path.relpath(path, home), sha256) for path, sha256 in beside.items())


class SharedStore:
    """The answers of one model version in Redis, each under the digest of the version and the row, for `ttl_s`.

    Nothing that is read is believed: what is no answer of this model to this row is as good as nothing.
    """

    def __init__(self, redis: Redis, identity: bytes, ttl_s: float, form: RowFormat, meter: CacheMeter) -> None:
        self._redis = redis
        self._identity = identity
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._form = form
        self._meter = meter

    def is_here(self) -> bool:
        """Whether it can be asked. Where it cannot, nobody waits for it."""
        here = self._redis.is_here
        if not here:
            self._meter.failures.value += 1
        return here

    def find(
        self, keys: Sequence[bytes], probabilities: bool, found: Callable[[Sequence[RowAnswer | None]], object]
    ) -> None:
        """Tells `found` what there is, key by key, as soon as Redis has answered or its time is up."""
        digests = [self._digest(key) for key in keys]
        asked = self._redis.ask("MGET", *map(self._name, digests))
        asked.add_done_callback(partial(self._answered, digests, probabilities, found))

    def put(self, keys: Sequence[bytes], answers: Columns) -> None:
        """Keeps answers, as far as Redis takes them; nobody waits for that. While it is behind none are given to it."""
        self._put(tuple(zip(keys, apart(answers), strict=True)))

    def _put(self, rest: Sequence[tuple[bytes, RowAnswer]]) -> None:
        """Gives Redis some of them, and the others when it has these. Only what it had before makes it late: a large
        batch would else be too much by its own first half."""
        meter, redis = self._meter, self._redis
        if not redis.is_here or redis.unanswered >= MOST_UNANSWERED:
            (meter.behind if redis.is_here else meter.away).value += len(rest)
            return
        last = None
        for key, answer in rest[:MOST_TOGETHER]:
            last = self._set(key, answer) or last
        if later := rest[MOST_TOGETHER:]:
            if last is None:
                self._put(later)
            else:
                last.add_done_callback(lambda _: self._put(later))

    def _set(self, key: bytes, answer: RowAnswer) -> "asyncio.Future[Any] | None":
        """Asks Redis to keep an answer; None where it is too large for that."""
        digest = self._digest(key)
        raw = self._form.written(digest, answer)
        if raw is None:
            self._meter.large.value += 1
            return None
        asked = self._redis.ask("SET", self._name(digest), raw, "PX", self._ttl_ms)
        self._meter.behind.value += asked.done()  # there was no room for it
        return asked

    def _answered(
        self,
        digests: Sequence[bytes],
        probabilities: bool,
        found: Callable[[Sequence[RowAnswer | None]], object],
        asked: Any,
    ) -> None:
        raws = None if asked.cancelled() or asked.exception() is not None else asked.result()
        if not isinstance(raws, list) or len(raws) != len(digests):
            self._meter.failures.value += 1
            raws = [None] * len(digests)
        answers = [self._read(raw, digests[at], probabilities) for at, raw in enumerate(raws)]
        found(answers)

    def _read(self, raw: object, digest: bytes, probabilities: bool) -> RowAnswer | None:
        if raw is None:
            return None
        answer = self._form.read(raw, digest, probabilities=probabilities)
        self._meter.rejected.value += answer is None
        return answer

    def _digest(self, key: bytes) -> bytes:
        return blake2b(key, digest_size=DIGEST, key=self._identity).digest()

    def _name(self, digest: bytes) -> str:
        return f"{self._redis.prefix}:cache:{digest.hex()}"
