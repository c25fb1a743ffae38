"""`penstock models`: what a running service has loaded, and which version answers; load and unload more."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from penstock.cli import comparison
from penstock.cli.arguments import Parser
from penstock.cli.remote import HELP, Remote, add_order, shown, unfit
from penstock.cli.table import table

EXAMPLES = f"""\
examples:
  penstock models                      every model and version
  penstock models iris --history       who changed what, and when
  penstock models iris --comparison    how its shadow and its canary compare with the version that answers
  penstock models iris --load 3        load another version, which takes no traffic by that
  penstock models iris --unload 3      and let go of it

{HELP}"""


def run(words: Sequence[str]) -> int:
    """Prints what there is; returns the exit code. Raises PenstockError."""
    parser = Parser("models", "[MODEL] [options]", "Show the models of a running service.", EXAMPLES)
    parser.add_argument("model", metavar="MODEL", nargs="?", help="one of them")
    parser.add_argument("--load", metavar="VERSION", help="load this version as well")
    parser.add_argument("--unload", metavar="VERSION", help="let go of a version that was loaded so")
    parser.add_argument("--history", action="store_true", help="what administrators have changed")
    parser.add_argument("--comparison", action="store_true", help="what was seen of a shadow and a canary")
    add_order(parser)
    namespace = parser.read(words)
    remote = Remote(namespace)
    if namespace.model is None:
        if namespace.load or namespace.unload or namespace.history or namespace.comparison:
            parser.error("say of which model")
        names = [model["name"] for model in remote.get("/models")["models"]]
    else:
        names = [namespace.model]
    if namespace.load and namespace.unload:
        parser.error("--load or --unload, one at a time")
    for action in ("load", "unload"):
        if (version := getattr(namespace, action)) is not None:
            remote.order(namespace.model, action, version=version, why=namespace.why)
    if namespace.history:
        print(_history(remote.get(f"/admin/models/{quote(namespace.model, safe='')}/history")["history"]))
        return 0
    if namespace.comparison:
        path = f"/models/{quote(namespace.model, safe='')}"
        print(comparison.shown(remote.get(f"{path}/comparison"), unfit(remote.get(path)["route"])))
        return 0
    print(table([row for name in names for row in _rows(remote.get(f"/models/{quote(name, safe='')}"))]))
    return 0


def _rows(model: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    route = model["route"]
    canary, shadow = route.get("canary", {}), route.get("shadow", {})
    for version in model["versions"]:
        parts = []
        if version["version"] == route["default"]:
            parts.append("default" + (f" ({route['wanted']})" if route["wanted"] != route["default"] else ""))
        if version["version"] == canary.get("version"):
            parts.append(f"canary, {canary['percent']:g} %")
        if version["version"] == shadow.get("version"):
            parts.append(f"shadow, {shadow['percent']:g} %")
        yield model["name"], version["version"], version["state"], "; ".join(parts), _reason(version, model)


def _reason(version: dict[str, Any], model: dict[str, Any]) -> str:
    """What is to be known of a version, the worst first."""
    route = model["route"]
    parts = (model["breach"] or {}, route.get("shadow", {}), route.get("canary", {}))
    breach, shadow, canary = (part if part.get("version") == version["version"] else {} for part in parts)
    idle = f"not asked: {shadow['unfit']}" if "unfit" in shadow else None
    return version["reason"] or breach.get("reason") or idle or canary.get("unfit") or version["held"] or ""


def _history(changes: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            change["at"],
            change["by"],
            " ".join(filter(None, [change["action"], change.get("version")])),
            shown(change["route_after"], change["route_after"]["default"]),
            change.get("why") or "",
        )
        for change in changes
    ]
    return table(rows) if rows else "Nothing was changed by hand."
