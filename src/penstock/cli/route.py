"""`penstock route`: where a running service sends the requests that name no version."""

import json
import shlex
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct, inspect
from msgspec.structs import asdict

from penstock.cli.arguments import Parser
from penstock.cli.remote import HELP, Remote, add_order, changed, shown, unfit
from penstock.config import Canary, Guard, Route, Shadow
from penstock.errors import ConfigurationError
from penstock.model.control import Order
from penstock.model.overlay import Overlay, ordered
from penstock.option import EVERY_MODEL, paths
from penstock.values import Unfit, expected, from_text

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
  penstock route iris --no-guard                      on with it, however it does
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

SETTINGS = {
    "percent": "canary.percent",
    "sticky": "canary.sticky",
    **{name: f"canary.guard.{name}" for name in (*GUARDED, "min_requests")},
    "shadow_percent": "shadow.percent",
    "tolerance": "tolerance",
}
"""What these options set: what they may be is declared there."""


def run(words: Sequence[str]) -> int:
    """Changes the route, or shows it; returns the exit code. Raises PenstockError."""
    parser = Parser("route", "MODEL [options]", "Say which version answers.", EXAMPLES)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--default", metavar="VERSION", help="the version that answers, or latest")
    parser.add_argument("--canary", metavar="VERSION", help="the version that is tried on a share of the requests")
    parser.add_argument("--percent", metavar="N", help="how many of a hundred requests go to it")
    parser.add_argument("--sticky", metavar="HEADER", help="the header whose value decides who gets it")
    parser.add_argument("--no-sticky", action="store_true", help="each request for itself")
    for name, help_text in GUARDED.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="N", help=help_text)
    parser.add_argument("--min-requests", metavar="N", help="… but not before so many requests")
    parser.add_argument("--no-guard", action="store_true", help="it is held to nothing any more")
    parser.add_argument("--no-canary", action="store_true", help="none is tried any more")
    parser.add_argument("--shadow", metavar="VERSION", help="the version that is asked the same, and compared")
    parser.add_argument("--shadow-percent", metavar="N", help="of how many of a hundred requests")
    parser.add_argument("--no-shadow", action="store_true", help="none is compared any more")
    parser.add_argument("--tolerance", metavar="N", help="the share by which two numbers may differ and still agree")
    parser.add_argument("--yaml", action="store_true", help="change nothing, and print what penstock.yaml would say")
    add_order(parser)
    namespace = parser.read(words)
    _convert(namespace)
    wish = _wish(parser, namespace)
    remote = Remote(namespace)
    if wish and not namespace.yaml:
        print(changed(remote.order(namespace.model, "route", why=namespace.why, **wish)))
    model = remote.get(f"/models/{quote(namespace.model, safe='')}")
    if namespace.yaml:
        print(_yaml(namespace.model, _route(model, wish)))
        return 0
    route = model["route"]
    if not wish:
        print(f"{namespace.model}: {shown({**route, 'default': route['wanted']}, route['default'])}")
    for line in unfit(route):
        print(f"  {line}")
    return 0


def _convert(namespace: Namespace) -> None:
    """Reads the numbers and the header among the words. Raises ConfigurationError where they cannot be."""
    for name, setting in SETTINGS.items():
        if (text := getattr(namespace, name)) is not None:
            annotation = paths()[f"{EVERY_MODEL}route.{setting}"]
            try:
                setattr(namespace, name, from_text(annotation, text))
            except Unfit:
                wanted = expected(inspect.type_info(annotation))
                flag = f"--{name.replace('_', '-')}"
                raise ConfigurationError(f"{flag}: expected {wanted}, got {shlex.quote(text)}") from None


def _wish(parser: Parser, namespace: Namespace) -> dict[str, Any]:
    """What is to be changed."""
    guard = _given(namespace, *GUARDED, "min_requests")
    canary = _given(namespace, "percent", "sticky", version="canary") | ({"guard": guard} if guard else {})
    shadow = _given(namespace, version="shadow", percent="shadow_percent")
    for what, said in (("guard", guard), ("sticky", namespace.sticky)):
        if getattr(namespace, f"no_{what}"):
            if said:
                parser.error(f"--no-{what}, or what it is to be")
            canary[what] = None
    if namespace.no_canary and canary:
        parser.error("--canary or --no-canary")
    if namespace.no_shadow and shadow:
        parser.error("--shadow or --no-shadow")
    if namespace.canary is not None and namespace.percent is None:
        parser.error("--canary: say with --percent how many of a hundred requests go to it")
    wish = _given(namespace, "default", "tolerance")
    wish |= {"canary": canary} if canary or namespace.no_canary else {}
    return wish | ({"shadow": shadow} if shadow or namespace.no_shadow else {})


def _given(namespace: Namespace, *names: str, **others: str) -> dict[str, Any]:
    """What was said, of the options of these names and of `others`, by the names that they have in an order."""
    said = {
        name: getattr(namespace, option) for name, option in {**dict(zip(names, names, strict=True)), **others}.items()
    }
    return {name: value for name, value in said.items() if value is not None}


def _route(model: Mapping[str, Any], wish: dict[str, Any]) -> Route:
    """The route of a model after what is wished. Raises Conflict where the service would refuse that."""
    default = model["route"]["default"]
    now = {**model["route"], "default": model["route"]["wanted"]}
    route = _known(Route, _merged(now, wish))
    there = [version["version"] for version in model["versions"]]
    order = Order(model=model["name"], action="route", route=route)
    laid = ordered(order, Overlay(route=route, over=route), there=there, loaded=there, default=default, before=None)
    return laid.route


def _merged(now: dict[str, Any], wish: dict[str, Any]) -> dict[str, Any]:
    """As the service would: what is not mentioned stays, and nothing at all ends it."""
    merged = now | {name: value for name, value in wish.items() if not isinstance(value, dict)}
    for name, value in wish.items():
        if isinstance(value, dict):
            merged[name] = _merged(now.get(name, {}), value) if value else {}
    return merged


def _known(kind: type[Struct], said: Mapping[str, Any]) -> Any:
    """A slice of the settings, of what a service says that is among them."""
    parts: dict[str, type[Struct]] = {"canary": Canary, "guard": Guard, "shadow": Shadow}
    known = {name: value for name, value in said.items() if name in kind.__struct_fields__ and value is not None}
    return msgspec.convert(
        {name: _known(parts[name], value) if name in parts else value for name, value in known.items()}, kind
    )


def _yaml(model: str, route: Route) -> str:
    lines = ["models:", f"  {_quoted(model)}:", "    route:", f"      default: {_quoted(route.default)}"]
    parts: dict[str, Canary | Shadow] = {"canary": route.canary, "shadow": route.shadow}
    lines += [f"      {part}: {_quoted(dict(_said(slice_)))}" for part, slice_ in parts.items() if slice_.version]
    if route.tolerance != Route().tolerance:
        lines.append(f"      tolerance: {_quoted(route.tolerance)}")
    return "\n".join(lines)


def _said(slice_: Struct) -> Iterator[tuple[str, Any]]:
    """What differs from the defaults; the share in any case."""
    defaults = asdict(type(slice_)())
    for name, value in asdict(slice_).items():
        if value != defaults[name] or name == "percent":
            yield name, dict(_said(value)) if isinstance(value, Struct) else value


def _quoted(said: Any) -> str:
    """As YAML has to have it to be text whatever it is: 1.10 would be a number, and another one, and on a truth."""
    if isinstance(said, dict):
        return "{" + ", ".join(f"{name}: {_quoted(value)}" for name, value in said.items()) + "}"
    return json.dumps(said)
