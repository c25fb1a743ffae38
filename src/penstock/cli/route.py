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
  penstock route iris --canary 2 --percent 5 --error-percent 1 --latency-ratio 1.5
                                                      and back to none where it does worse than that
  penstock route iris --no-canary
  penstock route iris --shadow 2                      ask version 2 the same, and compare
  penstock route iris --default 1 --yaml              what to write into penstock.yaml for that; nothing is changed

It is answered when it is so on every front; what is needed is loaded first.
{HELP}"""


GUARDED = {
    "error_percent": "back to none where so many more of a hundred requests fail",
    "latency_ratio": "… or it takes so many times as long",
    "disagreement_percent": "… or answers so many of a hundred otherwise",
}
"""The limits of the canary's guard."""


def run(words: Sequence[str]) -> int:
    """Changes the route, or shows it; returns the exit code. Raises PenstockError."""
    parser = Parser("route", "MODEL [options]", "Say which version answers.", EXAMPLES)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--default", metavar="VERSION", help="the version that answers, or latest")
    parser.add_argument("--canary", metavar="VERSION", help="the version that is tried on a share of the requests")
    parser.add_argument("--percent", type=float, metavar="N", help="how many of a hundred requests go to it")
    parser.add_argument("--sticky", metavar="HEADER", help="the header whose value decides who gets it")
    for name, help_text in GUARDED.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="N", help=help_text)
    parser.add_argument("--min-requests", type=int, metavar="N", help="… but not before so many requests")
    parser.add_argument("--no-canary", action="store_true", help="none is tried any more")
    parser.add_argument("--shadow", metavar="VERSION", help="the version that is asked the same, and compared")
    parser.add_argument("--shadow-percent", type=float, metavar="N", help="of how many of a hundred requests")
    parser.add_argument("--no-shadow", action="store_true", help="none is compared any more")
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
        print(_yaml(namespace.model, _merged(wanted, wish)))
    else:
        print(f"{namespace.model}: {shown(wanted, route['default'])}")
    return 0


def _wish(parser: Parser, namespace: Namespace) -> dict[str, Any]:
    """What is to be changed."""
    guard = _given(namespace, *GUARDED, "min_requests")
    canary = _given(namespace, "percent", "sticky", version="canary") | ({"guard": guard} if guard else {})
    shadow = _given(namespace, version="shadow", percent="shadow_percent")
    if namespace.no_canary and canary:
        parser.error("--canary or --no-canary")
    if namespace.no_shadow and shadow:
        parser.error("--shadow or --no-shadow")
    if namespace.canary is not None and namespace.percent is None:
        parser.error("--canary: say with --percent how many of a hundred requests go to it")
    wish = _given(namespace, "default")
    wish |= {"canary": canary} if canary or namespace.no_canary else {}
    return wish | ({"shadow": shadow} if shadow or namespace.no_shadow else {})


def _given(namespace: Namespace, *names: str, **others: str) -> dict[str, Any]:
    """What was said, of the options of these names and of `others`, by the names that they have in an order."""
    said = {
        name: getattr(namespace, option) for name, option in {**dict(zip(names, names, strict=True)), **others}.items()
    }
    return {name: value for name, value in said.items() if value is not None}


def _merged(now: dict[str, Any], wish: dict[str, Any]) -> dict[str, Any]:
    """As the service would: what is not mentioned stays, and nothing at all ends it."""
    merged = now | {name: value for name, value in wish.items() if not isinstance(value, dict)}
    for name, value in wish.items():
        if isinstance(value, dict):
            merged[name] = _merged(now.get(name, {}), value) if value else {}
    return merged


def _yaml(model: str, route: dict[str, Any]) -> str:
    lines = ["models:", f"  {_quoted(model)}:", "    route:", f"      default: {_quoted(route['default'])}"]
    parts = {part: route.get(part) or {} for part in ("canary", "shadow")}
    lines += [f"      {part}: {_quoted(said)}" for part, said in parts.items() if said.get("version")]
    return "\n".join(lines)


def _quoted(said: Any) -> str:
    """As YAML has to have it to be text whatever it is: 1.10 would be a number, and another one, and on a truth."""
    if isinstance(said, dict):
        return "{" + ", ".join(f"{name}: {_quoted(value)}" for name, value in said.items()) + "}"
    return json.dumps(said)
