"""The strict decoder of the native dialect: a body becomes packed rows, or a precise error.

It is made once for a signature. The fast way is one typed pass of msgspec and one of `struct`; it only says yes or
no. Where it says no, `explain` reads the body again, slowly, and says why.
"""

import re
from collections.abc import Sequence
from operator import itemgetter
from types import GenericAlias
from typing import Any

import msgspec
from msgspec import Struct, defstruct

from penstock.config import Limits
from penstock.inference.rows import Rows
from penstock.interface.bulk import BulkReader
from penstock.interface.measure import LARGE, measure_of
from penstock.interface.packing import Pack, Row, Unpackable, packer
from penstock.interface.request import explain, explain_excess
from penstock.model.signature import Field, Signature, Tensor

UNWRITABLE = re.compile(r'["\\\x00-\x1f]')


class RowDecoder:
    """Decodes `{"features": row}` and `{"batch": [row, …]}` for one signature.

    A row is a list in the order of the fields or an object by their names; a model that takes a single tensor takes
    the nested list itself as well.
    """

    def __init__(self, signature: Signature, limits: Limits) -> None:
        self._signature = signature
        self._limits = limits
        self._tensors = signature.tensors()
        self._variable = any(None in tensor.shape for tensor in self._tensors)
        self._bare = len(signature.inputs) == 1 and bool(signature.inputs[0].shape)
        self._packers = _packers(self._tensors, signature)
        self._numbers = self._packers[0][0] is None and self._tensors[0].dtype != "string"
        self._bulk = BulkReader(signature, limits.rows) if BulkReader.suits(signature) else None
        self._measure = measure_of(signature.inputs, limits.rows)
        self._measure_of_row = measure_of(signature.inputs, 1)
        row: Any = _list_type(signature, self._bare) | object_type(signature)
        self._single = msgspec.json.Decoder(_body("features", row)).decode
        self._batch = msgspec.json.Decoder(_body("batch", list[row])).decode

    def single(self, body: bytes) -> Rows:
        """The one row of `{"features": …}`. Raises RequestErrors of status 400 and 422."""
        if len(body) > LARGE and self._measure_of_row.exceeded_by(body):
            raise explain_excess(body, self._signature, batch=False, limits=self._limits)
        try:
            return self.pack([self.values(self._single(body).features)])
        except (msgspec.MsgspecError, Unpackable, UnicodeError, RecursionError):
            raise self._why(body, batch=False) from None

    def batch(self, body: bytes) -> Rows:
        """The rows of `{"batch": […]}`, at most the limit. Raises RequestErrors of status 400 and 422."""
        if self._bulk is not None and (read := self._bulk.read(body)) is not None:
            return read
        if len(body) > LARGE and self._measure.exceeded_by(body):
            raise explain_excess(body, self._signature, batch=True, limits=self._limits)
        try:
            rows = self._batch(body).batch
            if not 0 < len(rows) <= self._limits.rows:
                raise Unpackable
            if self._bare or not self._numbers or isinstance(rows[0], Struct | dict):
                if len(set(map(type, rows))) > 1:
                    raise Unpackable
                rows = [self.values(row) for row in rows]
            return self.pack(rows)  # of lists; an object among them has no length, which the packer notices
        except (msgspec.MsgspecError, Unpackable, UnicodeError, RecursionError):
            raise self._why(body, batch=True) from None

    def values(self, row: Any) -> Row:
        """The values of a decoded row. Raises Unpackable and ValidationError."""
        if isinstance(row, Struct):
            return msgspec.structs.astuple(row)
        if isinstance(row, dict):
            return self._by_name(row)
        return (row,) if self._bare else row

    def _by_name(self, row: dict[str, Any]) -> Row:
        """The values of an object whose names a struct cannot have. Raises Unpackable and ValidationError."""
        fields = self._signature.inputs
        if row.keys() != {field.name for field in fields}:
            raise Unpackable
        types = tuple(_type_of(field) for field in fields)
        values: Row = msgspec.convert([row[field.name] for field in fields], GenericAlias(tuple, types))
        return values

    def pack(self, rows: Sequence[Row]) -> Rows:
        """Rows of such values. Raises Unpackable where one does not fit."""
        columns = [pack(rows if take is None else [take(row) for row in rows]) for take, pack in self._packers]
        return Rows(len(rows), columns, self._shapes(rows) if self._variable else None)

    def _shapes(self, rows: Sequence[Row]) -> tuple[tuple[int, ...], ...]:
        return tuple(_shape_of(rows[0][i]) if t.fields[0].shape else () for i, t in enumerate(self._tensors))

    def _why(self, body: bytes, *, batch: bool) -> Exception:
        return explain(body, self._signature, batch=batch, limits=self._limits)


def _packers(tensors: Sequence[Tensor], signature: Signature) -> list[tuple[Any, Pack]]:
    """Each tensor's packer, and what takes its value out of a row (None: the whole row)."""
    if len(tensors) == 1 and len(tensors[0].fields) == len(signature.inputs):
        return [(None, packer(tensors[0]))]
    return [(itemgetter(slice(i, i + 1)), packer(tensor)) for i, tensor in enumerate(tensors)]


def _shape_of(value: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _body(name: str, of: Any) -> type[Any]:
    return defstruct("Body", [(name, of)], forbid_unknown_fields=True)


def _list_type(signature: Signature, bare: bool) -> Any:
    types = tuple(_type_of(field) for field in signature.inputs)
    if bare:
        return types[0]
    if all(kind == types[0] for kind in types):
        return GenericAlias(list, types[0])  # its length is checked when it is packed
    return GenericAlias(tuple, types)


def object_type(signature: Signature) -> Any:
    """A struct with the fields' names, or a plain dictionary where msgspec cannot write such a name."""
    if any(UNWRITABLE.search(field.name) for field in signature.inputs):
        return dict[str, Any]
    names = {f"f{i}": field.name for i, field in enumerate(signature.inputs)}
    fields = [(f"f{i}", _type_of(field)) for i, field in enumerate(signature.inputs)]
    return defstruct("Row", fields, rename=names, forbid_unknown_fields=True)


def _type_of(field: Field) -> Any:
    kind: Any = {"string": str, "bool": bool}.get(
        field.dtype, float if field.dtype.startswith("float") else int | float
    )
    if field.nullable and not field.shape:
        kind = kind | None
    for _ in field.shape:
        kind = list[kind]
    return kind
