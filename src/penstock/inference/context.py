"""What a version needs from stores: looking it up, and completing a row with it."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from msgspec import UNSET

from penstock.errors import ContextUnavailable, MissingContext, Problem, RequestError
from penstock.inference.lookup import Answers, Lookup
from penstock.inference.stores import AWAY, UNREADABLE, Answer, Source
from penstock.model.cells import reader_of
from penstock.model.context import Context, own_part
from penstock.model.signature import Field, Signature

AHEAD_S = 86_400.0  # a moment further ahead than clocks may differ is in another unit, and says nothing
NONE: Mapping[str, str] = {}
SAID = {
    "missing": "{} of this {} is not known.",
    "stale": "{} of this {} is too old.",
    "invalid": "{} of this {} is no value that the model takes.",
}
"""What is wrong with the entity that was named; the store is well. Another one may be had meanwhile, and whoever names
this one again gets nothing else: a 503 would be one that clients bring about at will."""


class Judged(NamedTuple):
    """What came of one look-up: a value for each feature, and what was wrong with those that were not found.

    The value is then the default; where there is none, the feature is among `refused`.
    """

    values: list[Any]
    faults: Mapping[str, str]
    refused: Sequence[str] = ()


class Entry:
    """Features that are looked up together, ready to be asked for."""

    def __init__(self, context: Context, source: Source, inputs: Mapping[str, Field]) -> None:
        self.key = context.key
        self.store = context.source
        self.names = tuple(feature.name for feature in context.features)
        self.source = source
        self._fields = context.fields
        self._before, _, self._after = (context.entity or f"{{{context.key}}}").partition(f"{{{context.key}}}")
        self._updated = context.updated
        self._max_age_s = context.max_age_s
        self._features = [
            (each.name, each.field, reader_of(inputs[each.name]), each.default) for each in context.features
        ]

    def look(self, entity: str) -> "Answer | asyncio.Future[Answer]":
        return self.source.look(f"{self._before}{entity}{self._after}", self._fields)

    def judge(self, answer: Answer, now: float) -> Judged:
        """What is to be made of an answer. `now` is in seconds since the epoch."""
        try:
            return self._judged(answer, now)
        except Exception:  # noqa: BLE001 # what a store of one's own gives may be anything, and raise when it is read
            return self._without("invalid")

    def _judged(self, answer: Answer, now: float) -> Judged:
        if answer is AWAY:
            return self._without("away")
        if answer is None:
            return self._without("missing")
        if (fault := self._staleness(answer, now)) is not None:
            return self._without(fault)
        values: list[Any] = []
        faults: dict[str, str] = {}
        for name, field, read, default in self._features:
            try:
                raw = answer.get(field)
                if raw is not None and raw == raw:  # NaN is missing
                    values.append(read(raw))
                    continue
                faults[name] = "missing"
            except Exception:  # noqa: BLE001 # what a store of one's own holds may be anything
                faults[name] = "invalid"
            values.append(default)
        return Judged(values, faults, self._refused(faults)) if faults else Judged(values, NONE)

    def _without(self, fault: str) -> Judged:
        """Nothing was found, for one reason."""
        faults = dict.fromkeys(self.names, fault)
        return Judged([default for *_, default in self._features], faults, self._refused(faults))

    def _refused(self, faults: Mapping[str, str]) -> list[str]:
        return [name for name, *_, default in self._features if default is UNSET and name in faults]

    def _staleness(self, record: Mapping[str, object], now: float) -> str | None:
        """ "stale" where the values are too old, or do not say how old they are; or why there are none."""
        if self._max_age_s is None or self._updated is None:
            return None
        raw = record.get(self._updated)
        if raw is UNREADABLE:
            return "invalid"
        if raw is None and all(record.get(field) is None for field in self._fields):
            return "missing"
        try:
            written = moment_of(raw)
        except Exception:  # noqa: BLE001 # as above
            return "stale"
        return None if now - self._max_age_s <= written <= now + AHEAD_S else "stale"


class Completion:
    """The look-ups of a version. `keys` are what clients send, `own` the signature of what else they send.

    The stores that are `owned` are of no use to others.
    """

    def __init__(
        self,
        contexts: Sequence[Context],
        signature: Signature,
        sources: Sequence[Source],
        owned: Sequence[Source] = (),
    ) -> None:
        inputs = {field.name: field for field in signature.inputs}
        pairs = zip(contexts, sources, strict=True)
        self.entries = tuple(Entry(context, source, inputs) for context, source in pairs)
        self.keys = tuple(dict.fromkeys(entry.key for entry in self.entries))
        stored = [name for entry in self.entries for name in entry.names]
        self.own = own_part(signature, contexts)
        self.stored = frozenset(stored)
        self._asks = [self.keys.index(entry.key) for entry in self.entries]
        place = {name: i for i, name in enumerate([*(field.name for field in self.own.inputs), *stored])}
        self._order = [place[field.name] for field in signature.inputs]
        self._owned = owned
        self._loop = asyncio.get_running_loop()

    def look(
        self, entities: Sequence[str], left_s: float, later: Callable[[list[Judged]], object]
    ) -> list[Judged] | None:
        """What the stores hold of these entities, one for each of the keys; `later`, within `left_s`, where None."""
        asked = [entry.look(entities[i]) for entry, i in zip(self.entries, self._asks, strict=True)]
        if not any(isinstance(answer, asyncio.Future) for answer in asked):
            return self._judge(asked)  # type: ignore[arg-type] # there is no future among them
        waits = [min(entry.source.timeout_s, left_s) for entry in self.entries]
        Lookup(asked, waits, self._loop, lambda answers: later(self._judge(answers)))
        return None

    def _judge(self, answers: Answers) -> list[Judged]:
        now = time.time()
        return [entry.judge(answer, now) for entry, answer in zip(self.entries, answers, strict=True)]

    def demand(self, found: Sequence[Judged]) -> None:
        """Raises MissingContext and ContextUnavailable where there is neither a value nor a default."""
        if not any(judged.refused for judged in found):
            return
        pairs = [(e, j, name) for e, j in zip(self.entries, found, strict=True) for name in j.refused]
        problems = [
            Problem((e.key,), SAID[j.faults[name]].format(name, e.key))
            for e, j, name in pairs
            if j.faults[name] in SAID
        ]
        if problems:
            raise _missing(problems)
        entry, _, name = pairs[0]
        raise ContextUnavailable(f"{name} comes from the store '{entry.store}', which does not answer.")

    def row(self, own: Sequence[Any], found: Sequence[Judged]) -> list[Any]:
        """The whole row: what the client sent, and what was found."""
        values = [*own]
        for judged in found:
            values += judged.values
        return [values[i] for i in self._order]

    def close(self) -> None:
        for source in self._owned:
            source.close()


def _missing(problems: Sequence[Problem]) -> RequestError:
    first = f"At {problems[0].loc[0]}: {problems[0].msg}"
    return MissingContext(first if len(problems) == 1 else f"{first} See `errors` for the rest.", problems)


def moment_of(raw: object) -> float:
    """When values were written, in seconds since the epoch: these as a number or as text, RFC 3339, or a datetime.

    Raises ValueError, TypeError and OverflowError.
    """
    if isinstance(raw, bytes):
        raw = raw.decode()
    if isinstance(raw, str):
        try:
            return float(raw)
        except ValueError:
            raw = datetime.fromisoformat(raw)
    if isinstance(raw, datetime):
        return (raw if raw.tzinfo is not None else raw.replace(tzinfo=UTC)).timestamp()
    return float(raw)  # type: ignore[arg-type] # TypeError is meant
