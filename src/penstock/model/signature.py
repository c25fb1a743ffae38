"""What a model takes and what it gives: the one description that the decoder, the schema and the runtimes share."""

from typing import Literal, NamedTuple

from msgspec import Struct

DType = Literal[
    "float64",
    "float32",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
    "string",
]
FLOATS = frozenset({"float64", "float32", "float16"})
Origin = Literal["declared", "inferred"]
Label = str | int | float | bool
AllZero = Literal["serve", "refuse"]


class Field(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input of a model: a column of a table, or a whole tensor.

    `shape` is the shape within one row: () for a scalar, (3, 224, 224) for an image; None stands for a length that
    may differ between requests. `nullable` fields take null, which reaches the model as NaN (None in text).
    """

    name: str
    dtype: DType = "float64"
    shape: tuple[int | None, ...] = ()
    nullable: bool = False
    range: tuple[float, float] | None = None
    categories: tuple[Label, ...] | None = None
    unknown: Literal["warn", "refuse"] = "warn"
    unit: str | None = None
    origin: Origin = "inferred"

    @property
    def is_number(self) -> bool:
        return self.dtype not in ("string", "bool")

    @property
    def wire(self) -> DType:
        """The dtype on the wire: a nullable integer or bool travels as float64, since only that can say NaN."""
        return "float64" if self.nullable and self.dtype not in FLOATS and self.dtype != "string" else self.dtype


class OutputField(Struct, frozen=True, kw_only=True):
    """One thing that a model answers for a row.

    With `classes` the wire carries indices into them (int32); else values of `dtype` and per-row `shape`, rounded to
    `round` digits and within `clip`, of which either end may be open.
    """

    name: str
    dtype: DType = "float64"
    shape: tuple[int | None, ...] = ()
    classes: tuple[Label, ...] | None = None
    unit: str | None = None
    round: int | None = None
    clip: tuple[float | None, float | None] | None = None


class Output(Struct, frozen=True, kw_only=True):
    """What a model answers: its fields, and whether it states a probability for each class of its only field.

    With a `threshold` that field is a decision between two classes: the second from there on. With `top_k` only so
    many classes, the likeliest, are told with their probabilities.
    """

    fields: tuple[OutputField, ...]
    probabilities: bool = False
    threshold: float | None = None
    top_k: int | None = None


class Tensor(NamedTuple):
    """One tensor as it crosses the wire: the fields it carries, its dtype and its shape within one row."""

    name: str
    dtype: DType
    shape: tuple[int | None, ...]
    fields: tuple[Field, ...]


class Signature(Struct, frozen=True, kw_only=True):
    """The inputs of a model, in order, and its output.

    `named` is false where the model never said what its columns are called, and the names were made up (f0, f1, …).
    `all_zero` says what becomes of a row whose numbers are all zero. `unused` are columns of the training data that the
    model drops, so that it does not take them.
    """

    inputs: tuple[Field, ...]
    output: Output
    named: bool = True
    all_zero: AllZero = "serve"
    unused: tuple[str, ...] = ()

    def tensors(self) -> tuple[Tensor, ...]:
        """How rows are laid out on the wire.

        Scalars of one numeric dtype travel as a single matrix of shape (rows, fields) named "rows"; anything else as
        one tensor a field.
        """
        first = self.inputs[0]
        if first.wire != "string" and all(f.shape == () and f.wire == first.wire for f in self.inputs):
            return (Tensor("rows", first.wire, (len(self.inputs),), self.inputs),)
        return tuple(Tensor(f.name, f.wire, f.shape, (f,)) for f in self.inputs)
