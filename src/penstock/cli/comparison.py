"""How the versions that are tried compare with the one that answers, for people."""

from typing import Any

from penstock.cli.table import table


def shown(said: dict[str, Any]) -> str:
    """What /models/{name}/comparison says: a paragraph for each pair of versions, and a table for each canary."""
    parts = [_pair(pair) for pair in said["compared"]] + [_canary(canary) for canary in said["canaries"]]
    return "\n\n".join(parts) or "No version is tried beside another."


def _pair(pair: dict[str, Any]) -> str:
    rows = pair["rows"]
    missed = ", ".join(f"{rows[result]:,} {result}" for result in ("failed", "lost", "dropped") if rows.get(result))
    answered = rows["agreed"] + rows["differed"]
    agreed = "" if pair["agreement"] is None else f": {pair['agreement']:.2%} agreed"
    lines = [f"version {pair['version']} beside {pair['against']}: {answered:,} rows{agreed}"]
    lines += [f"  {missed}"] if missed else []
    if pair["mean_difference"] is not None:
        lines.append(
            f"  apart by {pair['mean_difference']:.3g} on average, {pair['largest_difference']:.3g} at the most"
        )
    if pair["times_as_long"] is not None:
        lines.append(f"  takes {pair['times_as_long']:.2f} times as long")
    flips = [(f"{flip['rows']:,}", f"{flip['from']} → {flip['to']}") for flip in pair["flips"]]
    return "\n".join([*lines, *([table(flips, "  ")] if flips else [])])


def _canary(canary: dict[str, Any]) -> str:
    head = ("", "requests", "failed", "p50 ms", "p90 ms", "p99 ms")
    return table([head, *(_arm(arm, canary[arm], canary["version"]) for arm in ("canary", "default"))])


def _arm(name: str, arm: dict[str, Any], version: str) -> tuple[str, ...]:
    times = ("" if arm[key] is None else f"{arm[key]:g}" for key in ("p50_ms", "p90_ms", "p99_ms"))
    return (f"canary {version}" if name == "canary" else name, f"{arm['requests']:,}", f"{arm['failed']:,}", *times)
