"""The body of `/predict-with-context`: the keys of what is looked up, and the features that the client sends itself.

    {"user_id": "u42", "features": {"amount": 12.5}}

It is read as strictly as a body of `/predict`, and for what is wrong the same sentences are answered.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, defstruct

from penstock.config import Limits
from penstock.errors import MalformedRequest, Problem, RequestError
from penstock.inference.context import Completion, Judged
from penstock.inference.rows import Rows
from penstock.interface.decoder import RowDecoder, object_type
from penstock.interface.errors import MOST_PROBLEMS
from penstock.interface.measure import LARGE, measure_of
from penstock.interface.packing import Row, Unpackable
from penstock.interface.request import (
    Form,
    decoded,
    explain_excess,
    form_of,
    invalid,
    noun,
    of_object,
    shapes_of,
    stranger,
)
from penstock.interface.values import Loc
from penstock.interface.zeros import refusing_zeros
from penstock.model.context import LONGEST_ENTITY
from penstock.model.numbers import EXACT
from penstock.model.signature import Signature

STORED = "This feature comes from a store; leave it out."
ENTITY = f"Send text of 1 to {LONGEST_ENTITY} characters, without control characters, or an integer of 64 bits"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
FEATURES: Loc = ("features",)

_Entity = str | int | float


class Asked(NamedTuple):
    """What a client sent: the entity of each key, and the values of its own features, in their order."""

    entities: tuple[str, ...]
    own: Row


class ContextReader:
    """Reads the bodies for one version, and packs the rows that stores completed."""

    def __init__(self, completion: Completion, signature: Signature, limits: Limits) -> None:
        self._completion = completion
        self._limits = limits
        self._own = completion.own
        self._keys = completion.keys
        self._decoder = RowDecoder(completion.own, limits) if completion.own.inputs else None
        self._measure = measure_of(completion.own.inputs, 1)
        self._decode = msgspec.json.Decoder(_body(completion)).decode
        self._whole = RowDecoder(signature, limits)
        self._packed = refusing_zeros(self._pack, signature, "features")

    def read(self, body: bytes) -> Asked:
        """What the body asks for. Raises RequestErrors of status 400 and 422."""
        if len(body) > LARGE and self._measure.exceeded_by(body):
            raise explain_excess(body, self._own, batch=False, limits=self._limits)
        try:
            said = msgspec.structs.astuple(self._decode(body))
            entities = tuple(map(_entity, said[:-1]))
            return Asked(entities, self._checked(said[-1]))
        except (msgspec.MsgspecError, Unpackable, UnicodeError, RecursionError):
            raise self._why(body) from None

    def demand(self, found: Sequence[Judged]) -> None:
        """Raises MissingContext and ContextUnavailable where something was not found, and has no default."""
        self._completion.demand(found)

    def rows(self, asked: Asked, found: Sequence[Judged]) -> Rows:
        """The whole row. Raises InvalidRequest where its numbers are all zero and may not be."""
        return self._packed(self._completion.row(asked.own, found))

    def _pack(self, row: Row) -> Rows:
        return self._whole.pack([row])

    def _checked(self, features: Any) -> Row:
        """The client's own values, of which each fits its field. Raises Unpackable and ValidationError."""
        if self._decoder is None:
            return ()
        own = self._decoder.values(features)
        self._decoder.pack([own])
        return own

    # ---------------------------------------------------------------- what is wrong
    def _why(self, body: bytes) -> RequestError:
        form = form_of(self._own, batch=False, limits=self._limits)
        form = form._replace(known={**form.known, **dict.fromkeys(self._completion.stored, STORED)})
        try:
            problems = list(islice(self._problems(decoded(body, form), form), MOST_PROBLEMS))
        except MalformedRequest as error:
            return error
        return invalid(problems or [Problem((), "A key of the body is given twice; send each of them once.")])

    def _problems(self, body: Any, form: Form) -> Iterator[Problem]:
        if not isinstance(body, dict):
            yield Problem((), f'Send an object: {{"{self._keys[0]}": …, "features": {{…}}}}.')
            return
        known = (*self._keys, "features")
        for place, key in enumerate(body, 1):
            if key not in known:
                yield stranger(key, place, (), f"This key is unknown; send {' and '.join(known)}.")
        for key in self._keys:
            if (wrong := _misfit(body, key)) is not None:
                yield Problem((key,), wrong)
        yield from self._of_features(body, form)

    def _of_features(self, body: dict[str, Any], form: Form) -> Iterator[Problem]:
        features = body.get("features")
        if "features" not in body:
            if form.fields:
                yield Problem(FEATURES, "This key is missing.")
        elif not isinstance(features, dict):
            yield Problem(FEATURES, f"Send an object by name, not {noun(features)}: a store adds to it.")
        else:
            yield from of_object(features, form, FEATURES, shapes_of(features, form))


def _entity(sent: Any) -> str:
    """What is looked up: text as it is, an integer as its digits, be it written as a float. Raises Unpackable."""
    if type(sent) is float and -EXACT < sent < EXACT and sent.is_integer():
        sent = int(sent)
    if type(sent) is int and -(2**63) <= sent < 2**63:
        return str(sent)
    if type(sent) is not str or not 0 < len(sent) <= LONGEST_ENTITY or CONTROL.search(sent):
        raise Unpackable
    return sent


def _misfit(body: dict[str, Any], key: str) -> str | None:
    """What is wrong with the entity of a key, if anything is."""
    if key not in body:
        return "This key is missing."
    entity = body[key]
    try:
        _entity(entity)
    except Unpackable:
        return f"{ENTITY}." if type(entity) in (str, int, float) else f"{ENTITY}, not {noun(entity)}."
    return None


def _body(completion: Completion) -> type[Struct]:
    """A struct of the keys and the features, which may be left out where all come from stores."""
    names = {f"k{i}": key for i, key in enumerate(completion.keys)}
    keys: list[Any] = [(name, _Entity) for name in names]
    if completion.own.inputs:
        features: Any = ("features", object_type(completion.own))
    else:
        nothing = defstruct("Nothing", [], forbid_unknown_fields=True)
        features = ("features", nothing, msgspec.field(default_factory=nothing))
    return defstruct("Body", [*keys, features], rename=names, forbid_unknown_fields=True)
