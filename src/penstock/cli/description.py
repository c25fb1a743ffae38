"""What a person is told of a model: what it takes, what it gives, and how fast it is."""

from collections.abc import Sequence

from penstock.cli.probe import Latency
from penstock.model.signature import Field, OutputField

MOST_CLASSES = 10


def versions(packages: dict[str, str]) -> str:
    """Packages with their versions."""
    return ", ".join(f"{name} {version}" for name, version in packages.items()) or "–"


def latency(measured: Latency) -> str:
    """How long a batch takes, or why that is not known."""
    if measured.total_ms is None:
        return f"failed on made-up values: {measured.error}"
    return f"{measured.total_ms:g} ms, {measured.model_ms:g} ms of it the model's (median of {measured.batches})"


def takes(field: Field) -> tuple[str, str, str, str]:
    """A field by its name, its type, whether it was declared, and what its values are."""
    limits = f"{field.range[0]:g} to {field.range[1]:g}" if field.range else _classes(field.categories or ())
    extras = [limits, field.unit or "", "nullable" if field.nullable else ""]
    return field.name, _kind(field.dtype, field.shape), field.origin, ", ".join(filter(None, extras))


def gives(field: OutputField) -> tuple[str, str, str]:
    """An output by its name, its type or classes, and what becomes of it."""
    rounded = "" if field.round is None else f"rounded to {field.round} digit{'' if field.round == 1 else 's'}"
    low, high = ("" if end is None else f"{end:g}" for end in field.clip or (None, None))
    clipped = f"clipped to {low}…{high}" if field.clip else ""
    extras = ", ".join(filter(None, [rounded, clipped, field.unit or ""]))
    return field.name, _classes(field.classes) if field.classes else _kind(field.dtype, field.shape), extras


def _kind(dtype: str, shape: Sequence[int | None]) -> str:
    lengths = "x".join("?" if length is None else str(length) for length in shape)
    return f"{dtype} {lengths}".rstrip()


def _classes(classes: Sequence[object]) -> str:
    more = ", …" if len(classes) > MOST_CLASSES else ""
    return ", ".join(map(str, classes[:MOST_CLASSES])) + more
