"""How the versions that are tried compare with the one that answers, for people."""

from collections.abc import Sequence
from typing import Any

from penstock.cli.table import table

COLUMNS = ("requests", "failed", "refused", "gone")


def shown(said: dict[str, Any], unfit: Sequence[str]) -> str:
    """What /models/{name}/comparison says: a paragraph for each pair of versions, and a table for each canary; before
    that, who is `unfit` for it."""
    parts = ["\n".join(unfit)] if unfit else []
    parts += [_pair(pair) for pair in said["compared"]] + [_canary(canary) for canary in said["canaries"]]
    return "\n\n".join(parts) or "No version is tried beside another."


def _pair(pair: dict[str, Any]) -> str:
    rows = pair["rows"]
    answered = rows["agreed"] + rows["differed"] + rows["failed"]
    agreed = "" if pair["agreement"] is None else f", {pair['agreement']:.2%} agreed"
    lines = [f"version {pair['version']} beside {pair['against']}{_ended(pair)}: {_n(answered, 'row')}{agreed}"]
    missed = [f"{rows[result]:,} {result}" for result in ("failed", "lost", "dropped") if rows[result]]
    lines += [f"  {', '.join(missed)}"] if missed else []
    if pair["mean_difference"] is not None:
        what = "confidences" if pair["flips"] else "numbers"
        mean, largest = pair["mean_difference"], pair["largest_difference"]
        lines.append(f"  {what} apart by {mean:.3g} on average, {largest:.3g} at the most")
    if pair["times_as_long"] is not None:
        lines.append(f"  takes {pair['times_as_long']:.1f} times as long")
    flips = [(f"{flip['rows']:,}", f"{flip['from']} → {flip['to']}") for flip in pair["flips"]]
    return "\n".join([*lines, *([table(flips, "  ")] if flips else [])])


def _canary(canary: dict[str, Any]) -> str:
    head = ("", *COLUMNS, "p50 ms", "p90 ms", "p99 ms")
    rows = [(f"canary {canary['version']}{_ended(canary)}", canary["canary"]), ("default", canary["default"])]
    return table([head, *(_arm(name, arm) for name, arm in rows)])


def _arm(name: str, arm: dict[str, Any]) -> tuple[str, ...]:
    times = ("" if arm[key] is None else f"{arm[key]:.3g}" for key in ("p50_ms", "p90_ms", "p99_ms"))
    return (name, *(f"{arm[column]:,}" for column in COLUMNS), *times)


def _ended(told: dict[str, Any]) -> str:
    return "" if told["running"] else " (ended)"


def _n(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
