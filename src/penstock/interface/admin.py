"""What administrators may do over HTTP: `/admin/models/{name}/…`, with a key that has the right `admin`.

    POST load, unload, promote   {"version": "2"}
    POST route                   {"default": "2", "canary": {"version": "3", "percent": 5, "sticky": "X-User-ID",
                                  "guard": {"error_percent": 1}}, "shadow": {"version": "4", "percent": 100},
                                  "tolerance": 0.01}
    POST rollback                {}
    GET  history

Each answers when it is so on every front. A body may say `why`, for the history. What a route does not mention stays as
it is; `"canary": null` ends it, and so it is with the guard, the sticky header and the shadow. Names are those that the
configuration knows: no paths, no URLs, no uploads.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol, TypeVar, get_args

import msgspec
from fastapi import FastAPI
from msgspec import UNSET, Meta, Struct, UnsetType, structs
from starlette.requests import Request
from starlette.responses import Response

from penstock.config import Canary, Guard, HeaderName, Percent, Settings, Shadow
from penstock.errors import BodyTooLarge, Conflict, InvalidRequest, MalformedRequest, Problem
from penstock.inference.router import choose_model
from penstock.interface.scope import KEY
from penstock.model.control import Action, ModelState, Order, Outcome
from penstock.model.key import Key
from penstock.model.versions import VERSION_NAME

LARGEST = 16 * 2**10
LONGEST_WHY = 200
VERSIONED = ("load", "unload", "promote")

Part = TypeVar("Part", Guard, Shadow)
Version = Annotated[str, Meta(pattern=f"^{VERSION_NAME.pattern}$")]


class GuardWish(Struct, forbid_unknown_fields=True):
    """What is to be changed of a canary's guard."""

    error_percent: Percent | UnsetType | None = UNSET
    latency_ratio: Annotated[float, Meta(ge=1)] | UnsetType | None = UNSET
    disagreement_percent: Percent | UnsetType | None = UNSET
    min_requests: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class CanaryWish(Struct, forbid_unknown_fields=True):
    """What is to be changed of a canary."""

    version: Version | UnsetType | None = UNSET
    percent: Percent | UnsetType = UNSET
    sticky: HeaderName | UnsetType | None = UNSET
    guard: GuardWish | UnsetType | None = UNSET


class ShadowWish(Struct, forbid_unknown_fields=True):
    """What is to be changed of a shadow."""

    version: Version | UnsetType | None = UNSET
    percent: Percent | UnsetType = UNSET


class Wish(Struct, forbid_unknown_fields=True):
    """The body of an order."""

    version: Version | None = None
    default: Version | None = None
    canary: CanaryWish | UnsetType | None = UNSET
    shadow: ShadowWish | UnsetType | None = UNSET
    tolerance: Annotated[float, Meta(ge=0)] | None = None
    why: Annotated[str, Meta(max_length=LONGEST_WHY, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] | None = None


class Administered(Protocol):
    """Who carries out orders."""

    settings: Settings

    @property
    def models(self) -> tuple[ModelState, ...]: ...

    async def order(self, order: Order) -> Outcome:
        """What became of it."""


class Admin:
    """The handlers."""

    def __init__(self, service: Administered) -> None:
        self._service = service

    def install(self, app: FastAPI) -> None:
        """Adds the paths, which the OpenAPI document does not list."""
        for action in get_args(Action):
            method = "GET" if action == "history" else "POST"
            path = f"/admin/models/{{name}}/{action}"
            app.add_api_route(path, self._handler(action), methods=[method], include_in_schema=False)

    def _handler(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            key: Key = request.scope[KEY]  # who has none does not come here
            wish = Wish() if action == "history" else _read(await _body(request))
            known = {model.name: model for model in self._service.models}
            model = choose_model(known, None, request.path_params["name"])
            outcome = await self._service.order(_order(action, key.name, model, wish))
            if outcome.refused is not None:
                raise Conflict(outcome.refused)
            return Response(msgspec.json.encode(_told(model.name, action, outcome)), media_type="application/json")

        return handle


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise BodyTooLarge
    return body


def _read(body: bytes) -> Wish:
    try:
        return msgspec.json.decode(body or b"{}", type=Wish)
    except msgspec.ValidationError as problem:
        where = str(problem).rpartition(" - at `$")[2].rstrip("`").lstrip(".") if " - at `$" in str(problem) else ""
        raise InvalidRequest(
            "The order cannot be understood.", [Problem((where or "body",), _sentence(problem))]
        ) from None
    except (msgspec.DecodeError, UnicodeError):
        raise MalformedRequest from None


def _sentence(problem: msgspec.ValidationError) -> str:
    """What msgspec says of its own types and of what we declared; of the body it repeats at most a field's name."""
    said = str(problem).partition(" - at")[0].replace("`", "")
    if "matching regex" in said:
        return "Send letters, digits, '.', '_', '-' and '+' alone."
    return f"{said}."


def _order(action: Action, by: str, model: ModelState, wish: Wish) -> Order:
    if action in VERSIONED and wish.version is None:
        raise InvalidRequest("The order cannot be understood.", [Problem(("version",), "Name a version.")])
    route = None
    if action == "route":
        now = model.route
        route = structs.replace(
            now,
            default=wish.default or now.default,
            canary=_canary(now.canary, wish.canary),
            shadow=_merged(now.shadow, wish.shadow, Shadow()),
            tolerance=now.tolerance if wish.tolerance is None else wish.tolerance,
        )
    return Order(by=by, model=model.name, action=action, version=wish.version, route=route, why=wish.why)


def _canary(now: Canary, wish: CanaryWish | UnsetType | None) -> Canary:
    """What is not mentioned stays; the share of another version has to be said."""
    if wish is None:
        return Canary()
    if isinstance(wish, UnsetType):
        return now
    said = _said(wish)
    if said.get("version") not in (None, now.version) and "percent" not in said:
        raise InvalidRequest(
            "The order cannot be understood.", [Problem(("canary", "percent"), "Say how many of 100.")]
        )
    if not said:
        return Canary()
    return structs.replace(now, **said | {"guard": _merged(now.guard, wish.guard, Guard())})


def _merged(now: Part, wish: GuardWish | ShadowWish | UnsetType | None, none: Part) -> Part:
    """What is not mentioned stays; nothing at all is `none`."""
    if isinstance(wish, UnsetType):
        return now
    return structs.replace(now, **said) if wish is not None and (said := _said(wish)) else none


def _said(wish: Struct) -> dict[str, Any]:
    return {name: value for name, value in structs.asdict(wish).items() if value is not UNSET}


def _told(model: str, action: Action, outcome: Outcome) -> dict[str, Any]:
    if action == "history":
        return {"model": model, "history": outcome.history}
    before = {"default": outcome.default_before, "route": outcome.route_before}
    return {"model": model, "before": before, "after": {"default": outcome.default_after, "route": outcome.route_after}}
