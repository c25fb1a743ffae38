"""The text of model.yaml: everything that is known of the model, each field on a line."""

from collections.abc import Sequence
from typing import Any

from penstock.model.signature import Field

HEAD = "# Written by `penstock pack`. A unit is for you to fill in: pack does not know it.\n"


def manifest(
    artifact: str, transforms: Sequence[str], code: Sequence[str], fields: Sequence[Field], companions: dict[str, str]
) -> str:
    """The manifest of an artifact. `companions` are the files of examples and the reference by their keys."""
    said: dict[str, Any] = {"artifact": artifact}
    said |= {key: list(names) for key, names in (("transform", transforms), ("code", code)) if names}
    lines = [HEAD, *(f"{key}: {_flow(value)}\n" for key, value in said.items()), "inputs:\n"]
    lines += [f"  - {_flow(_said(field))}\n" for field in fields]
    lines += [f"{key}: {_flow(name)}\n" for key, name in companions.items()]
    return "".join(lines)


def _said(field: Field) -> dict[str, Any]:
    said: dict[str, Any] = {"name": field.name, "dtype": field.dtype}
    if field.shape:
        said["shape"] = list(field.shape)
    said["nullable"] = field.nullable
    if field.range is not None:
        said["range"] = list(field.range)
    if field.categories is not None:
        said |= {"categories": list(field.categories), "unknown": field.unknown}
    return said | {"unit": field.unit}


def _flow(value: Any) -> str:
    """The value as YAML on one line."""
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)
    return text.removesuffix("...\n").strip()
