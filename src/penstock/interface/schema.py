"""JSON Schema of what a signature takes and gives.

What is refused is a constraint here; what is only unusual (a value out of range, an unknown category that is served)
is told in words and in `x-` keys, since it is served. Schemas are those of OpenAPI 3.1, that is of JSON Schema 2020-12.
"""

import math
from collections.abc import Sequence
from typing import Any

from penstock.interface.examples import entity as example_entity
from penstock.interface.examples import scalar as example
from penstock.interface.examples import size
from penstock.interface.values import written
from penstock.model.context import LONGEST_ENTITY, Context, own_part
from penstock.model.numbers import BEYOND, INTEGERS, bounds
from penstock.model.signature import DType, Field, Label, OutputField, Signature

Schema = dict[str, Any]

LARGEST: dict[str, float] = {"float32": 3.4028234663852886e38, "float16": 65504.0}
FORMATS = {"float64": "double", "float32": "float", "int64": "int64", "int32": "int32"}
UNNAMED = "prediction"  # what an output is called that has no name of its own
MOST_NAMED = 20  # categories that a description lists
PRINTABLE = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"  # control characters mean mischief in the names of what is looked up
MOST_COUNTED = 10_000
"""Values of a tensor beyond which words alone tell its shape: the page, which makes up examples, would stand still."""


# ------------------------------------------------------------------ requests
def request(signature: Signature) -> Schema:
    """The body of `/predict`."""
    return _body("features", row(signature))


def batch_request(signature: Signature, rows: int) -> Schema:
    """The body of `/predict-batch`: rows of one form, at most `rows` of them."""
    batches = [
        {"type": "array", "title": form["title"], "items": form, "minItems": 1, "maxItems": rows}
        for form in row(signature)["anyOf"]
    ]
    return _body("batch", {"anyOf": batches})


def context_request(signature: Signature, contexts: Sequence[Context]) -> Schema:
    """The body of `/predict-with-context`: what the client has to send, and nothing of what stores hold."""
    own = own_part(signature, contexts)
    keys = {context.key: _entity(context.key, contexts) for context in contexts}
    required = [*keys, "features"] if own.inputs else [*keys]
    return {
        "type": "object",
        "properties": {**keys, "features": _by_name(own)},
        "required": required,
        "additionalProperties": False,
    }


def _entity(key: str, contexts: Sequence[Context]) -> Schema:
    """A key of what is looked up. An integer is looked up as its decimal text."""
    names = [each.name for context in contexts if context.key == key for each in context.features]
    some = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
    return {
        "type": ["string", "integer"],
        "minLength": 1,
        "maxLength": LONGEST_ENTITY,
        "pattern": PRINTABLE,
        "minimum": -(2**63),
        "maximum": 2**63 - 1,
        "description": f"Looked up for {some}.",
        "examples": [example_entity(key)],
    }


def row(signature: Signature) -> Schema:
    """A row: in order or by name."""
    return {"anyOf": [_by_name(signature), _in_order(signature)][:: 1 if signature.named else -1]}


def _body(key: str, schema: Schema) -> Schema:
    return {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}


def _by_name(signature: Signature) -> Schema:
    return {
        "type": "object",
        "title": "by name",
        "properties": {field.name: input_field(field) for field in signature.inputs},
        "required": [field.name for field in signature.inputs],
        "additionalProperties": False,
        **_not_all_zero(signature, {"properties": {field.name: _zero(field) for field in signature.inputs}}),
    }


def _in_order(signature: Signature) -> Schema:
    fields = signature.inputs
    if len(fields) == 1 and fields[0].shape:
        return input_field(fields[0]) | {"title": fields[0].name} | _not_all_zero(signature, _zero(fields[0]))
    schemas = [input_field(field) for field in fields]
    length = {
        "minItems": len(fields),
        "maxItems": len(fields),
        **_not_all_zero(signature, {"prefixItems": list(map(_zero, fields))}),
    }
    if not signature.named and all(schema == schemas[0] for schema in schemas):
        return {"type": "array", "title": "in order", "items": schemas[0], **length}
    titled = [{"title": field.name, **schema} for field, schema in zip(fields, schemas, strict=True)]
    return {"type": "array", "title": "in order", "prefixItems": titled, "items": False, **length}


def _not_all_zero(signature: Signature, zeros: Schema) -> Schema:
    """What forbids a row whose numbers are all zero, which `zeros` describes, if the model is not to see those."""
    if signature.all_zero == "serve":
        return {}
    return {"not": zeros, "description": "At least one number is not zero."}


def _zero(field: Field) -> Schema:
    """The schema of a field that is zero; anything will do where it is no number."""
    schema: Schema = {"const": 0} if field.is_number else {}
    for _ in field.shape:
        schema = {"items": schema}
    return schema


def input_field(field: Field) -> Schema:
    """One field, a scalar or nested lists, with all that is known about it."""
    sized = size(field) <= MOST_COUNTED
    schema = _nested(_input_scalar(field), field.shape, sized=sized)
    if told := " ".join(_told(field)):
        schema["description"] = told
    if field.range is not None and all(map(math.isfinite, field.range)):
        schema["x-range"] = list(field.range)
    if field.categories is not None:
        schema["x-categories"] = list(field.categories)
    if field.unit is not None:
        schema["x-unit"] = field.unit
    return schema | {"x-dtype": field.dtype, "x-origin": field.origin}


def _input_scalar(field: Field) -> Schema:
    schema = scalar(field.dtype)
    if field.dtype in INTEGERS:
        schema["minimum"], schema["maximum"] = bounds(field)
    elif field.dtype in LARGEST:
        schema["minimum"], schema["maximum"] = -LARGEST[field.dtype], LARGEST[field.dtype]
    if field.categories is not None and field.unknown == "refuse":
        schema = {"type": schema["type"], "enum": list(field.categories)}
    if field.nullable and not field.shape:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"].append(None)
    return schema | {"examples": [example(field)]}


def _told(field: Field) -> list[str]:
    """What a person should know about the field, sentence by sentence."""
    sentences = [f"Nested lists of shape {written(field.shape)}."] if field.shape else []
    if field.unit is not None:
        sentences.append(f"In {field.unit}.")
    if field.range is not None:
        low, high = field.range
        sentences.append(f"Usually from {low:g} to {high:g}; what is outside is served and logged.")
    if field.categories is not None and field.unknown == "warn":
        some = ", ".join(map(str, field.categories[:MOST_NAMED]))
        more = ", …" if len(field.categories) > MOST_NAMED else ""
        sentences.append(f"Usually one of {some}{more}; others are served and logged.")
    if field.nullable and not field.shape:
        sentences.append("null where it is missing.")
    return sentences


# ------------------------------------------------------------------ answers
def answer(model: str, signature: Signature) -> Schema:
    """The body of an answer of `/predict`."""
    properties = {"prediction": prediction(signature), "confidence": _confidence(signature), **_ending(model)}
    chances = {"probabilities": _chances(signature)} if signature.output.probabilities else {}
    return {"type": "object", "properties": properties | chances, "required": list(properties)}


def batch_answer(model: str, signature: Signature) -> Schema:
    """The body of an answer of `/predict-batch`: one entry a row, in the order of the rows."""
    properties = {
        "predictions": {"type": "array", "items": prediction(signature)},
        "confidences": {"type": "array", "items": _confidence(signature)},
        **_ending(model),
    }
    chances = {}
    if signature.output.probabilities:
        chances["probabilities"] = {"type": "array", "items": _chances(signature)}
    return {"type": "object", "properties": properties | chances, "required": list(properties)}


def prediction(signature: Signature) -> Schema:
    """What is predicted for a row: the only output, or a list of them all."""
    fields = signature.output.fields
    if len(fields) == 1:
        return _decided(_output(fields[0]), signature)
    schemas = [{"title": field.name, **_output(field)} for field in fields]
    return {"type": "array", "prefixItems": schemas, "items": False, "minItems": len(fields), "maxItems": len(fields)}


def _output(field: OutputField) -> Schema:
    schema = _nested(_value(field) if field.classes is None else _labels(field.classes), field.shape)
    if told := " ".join(_told_of_output(field)):
        schema["description"] = told
    if field.unit is not None:
        schema["x-unit"] = field.unit
    return schema if field.name == UNNAMED else {"title": field.name, **schema}


def _value(field: OutputField) -> Schema:
    low, high = field.clip or (None, None)
    ends = {"minimum": low, "maximum": high}
    return scalar(field.dtype) | {key: end for key, end in ends.items() if end is not None}


def _told_of_output(field: OutputField) -> list[str]:
    sentences = [f"In {field.unit}."] if field.unit is not None else []
    if field.round is not None:
        sentences.append(f"Rounded to {field.round} digit{'' if field.round == 1 else 's'}.")
    if field.clip is not None:
        sentences.append("What the model answers beyond these ends is given as the end.")
    return sentences


def _decided(schema: Schema, signature: Signature) -> Schema:
    """The schema of a decision says how it is made."""
    threshold, classes = signature.output.threshold, signature.output.fields[0].classes or ()
    if threshold is None:
        return schema
    of = f"the probability of {_shown(classes[1])}" if signature.output.probabilities else "the model's score"
    told = f"{_shown(classes[1])} where {of} is at least {threshold:g}, else {_shown(classes[0])}."
    return schema | {"description": told, "x-threshold": threshold}


def _shown(label: Label) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def _labels(classes: Sequence[Label]) -> Schema:
    kinds = {type(label) for label in classes}
    names = {str: "string", bool: "boolean", int: "integer", float: "number"}
    return {"type": names[kinds.pop()], "enum": list(classes)} if len(kinds) == 1 else {"enum": list(classes)}


def _confidence(signature: Signature) -> Schema:
    if not signature.output.probabilities:
        return {"type": "null", "description": "This model states no probabilities."}
    return {"type": "number", "description": "The probability of the predicted class."}


def _chances(signature: Signature) -> Schema:
    classes = signature.output.fields[0].classes or ()
    if signature.output.top_k is not None:
        return _likeliest(signature.output.top_k, classes)
    told = "With ?probabilities=true: the probability of each of `classes` in GET /models/{name}, in this order: "
    some = ", ".join(map(str, classes[:MOST_NAMED])) + (", …" if len(classes) > MOST_NAMED else ".")
    length = {"minItems": len(classes), "maxItems": len(classes)} if classes else {}
    return {"type": "array", "items": {"type": "number"}, "description": told + some, **length}


def _likeliest(most: int, classes: Sequence[Label]) -> Schema:
    chance = {
        "type": "object",
        "properties": {"class": _labels(classes), "probability": {"type": "number"}},
        "required": ["class", "probability"],
    }
    told = f"With ?probabilities=true: the likeliest {most} of {len(classes)} classes, the likeliest first."
    return {"type": "array", "items": chance, "description": told, "minItems": most, "maxItems": most}


def _ending(model: str) -> dict[str, Schema]:
    return {
        "latency_ms": {"type": "number", "description": "From the arrival of the request to this answer."},
        "timestamp": {"type": "string", "format": "date-time"},
        "model": {"type": "string", "const": model},
        "model_version": {"type": "string"},
    }


# ------------------------------------------------------------------ both
def scalar(dtype: DType) -> Schema:
    """A single value of `dtype`, as far as the type says it."""
    if dtype in BEYOND:
        return {"type": "number"} | ({"format": FORMATS[dtype]} if dtype in FORMATS else {})
    if dtype in INTEGERS:
        return {"type": "integer"} | ({"format": FORMATS[dtype]} if dtype in FORMATS else {})
    return {"type": "boolean" if dtype == "bool" else "string"}


def _nested(schema: Schema, shape: Sequence[int | None], *, sized: bool = True) -> Schema:
    for length in reversed(shape):
        bounded = {"minItems": 1} if length is None else {"minItems": length, "maxItems": length}
        schema = {"type": "array", "items": schema, **(bounded if sized else {})}
    return schema
