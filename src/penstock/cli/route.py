"""`penstock route`: where a running service sends the requests that name no version."""

import json
from argparse import Namespace
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from penstock.cli.arguments import Parser
from penstock.cli.remote import HELP, Remote, add_order, changed, shown

EXAMPLES = f"""\
examples:
  penstock route iris                                 where they go
  penstock route iris --default 1                     all to version 1
  penstock route iris --default latest                to the newest that has passed its checks
  penstock route iris --canary 2 --percent 5          a twentieth of them to version 2
  penstock route iris --canary 2 --percent 5 --sticky X-User-ID
  penstock route iris --percent 20                    a fifth; what is not said stays
  penstock route iris --no-canary
  penstock route iris --default 1 --yaml              what to write into penstock.yaml for that; nothing is changed

It is answered when it is so on every front; what is needed is loaded first.
{HELP}"""


def run(words: Sequence[str]) -> int:
    """Changes the route, or shows it; returns the exit code. Raises PenstockError."""
    parser = Parser("route", "MODEL [options]", "Say which version answers.", EXAMPLES)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--default", metavar="VERSION", help="the version that answers, or latest")
    parser.add_argument("--canary", metavar="VERSION", help="the version that is tried on a share of the requests")
    parser.add_argument("--percent", type=float, metavar="N", help="how many of a hundred requests go to it")
    parser.add_argument("--sticky", metavar="HEADER", help="the header whose value decides who gets it")
    parser.add_argument("--no-canary", action="store_true", help="none is tried any more")
    parser.add_argument("--yaml", action="store_true", help="change nothing, and print what penstock.yaml would say")
    add_order(parser)
    namespace = parser.read(words)
    wish = _wish(parser, namespace)
    remote = Remote(namespace)
    if wish and not namespace.yaml:
        print(changed(remote.order(namespace.model, "route", why=namespace.why, **wish)))
        return 0
    route = remote.get(f"/models/{quote(namespace.model, safe='')}")["route"]
    wanted = {**route, "default": route["wanted"]}
    if namespace.yaml:
        canary = wish.get("canary", {})
        wish["canary"] = {**wanted.get("canary", {}), **canary} if canary or "canary" not in wish else {}
        print(_yaml(namespace.model, wanted | wish))
    else:
        print(f"{namespace.model}: {shown(wanted, route['default'])}")
    return 0


def _wish(parser: Parser, namespace: Namespace) -> dict[str, Any]:
    """What is to be changed."""
    wish: dict[str, Any] = {"default": namespace.default} if namespace.default else {}
    said = {"version": namespace.canary, "percent": namespace.percent, "sticky": namespace.sticky}
    canary = {name: value for name, value in said.items() if value is not None}
    if namespace.no_canary and canary:
        parser.error("--canary or --no-canary")
    if namespace.canary is not None and namespace.percent is None:
        parser.error("--canary: say with --percent how many of a hundred requests go to it")
    return wish | ({"canary": canary} if canary or namespace.no_canary else {})


def _yaml(model: str, route: dict[str, Any]) -> str:
    lines = ["models:", f"  {_quoted(model)}:", "    route:", f"      default: {_quoted(route['default'])}"]
    canary = route.get("canary") or {}
    if canary.get("version"):
        sticky = f", sticky: {_quoted(canary['sticky'])}" if canary.get("sticky") else ""
        lines.append(f"      canary: {{version: {_quoted(canary['version'])}, percent: {canary['percent']}{sticky}}}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """As YAML has to have it to be text whatever it is: 1.10 would be a number, and another one, and on a truth."""
    return json.dumps(text)
