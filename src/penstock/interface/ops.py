"""Everything but predictions: health, metrics, what is loaded, and the documentation."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock import __version__
from penstock.config import Settings
from penstock.inference.forecast import Capacity
from penstock.inference.router import choose_model
from penstock.interface import comparison, docs, models
from penstock.interface.admin import Admin
from penstock.interface.errors import install
from penstock.interface.openapi import Document
from penstock.interface.operations import OPERATIONS, TAG
from penstock.model.control import ModelState, Order, Outcome
from penstock.observability import exposition, health
from penstock.observability.metrics import Snapshot
from penstock.observability.timestamps import timestamp

Handler = Callable[..., Awaitable[Response]]


class Service(Protocol):
    """What these pages tell about."""

    settings: Settings
    draining: bool
    started: bool

    @property
    def models(self) -> tuple[ModelState, ...]: ...

    def capacity(self, model: str, version: str) -> Capacity | None:
        """What the model's processes can do together; None where that is not known yet."""

    async def figures(self) -> Snapshot:
        """The figures of all processes together."""

    async def order(self, order: Order) -> Outcome:
        """What becomes of what an administrator wants."""


class Json(Response):
    """A body of JSON, encoded once and by msgspec."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else msgspec.json.encode(content)


class Pages:
    """The handlers. They answer whole responses, so that FastAPI has nothing to serialise."""

    def __init__(self, service: Service, document: Document) -> None:
        self._service = service
        self._document = document

    async def health(self) -> Response:
        return Json(health.health(self._service.models, timestamp()))

    async def ready(self) -> Response:
        service = self._service
        ready = health.is_ready(service.models, started=service.started, draining=service.draining)
        return Json(health.readiness(service.models, timestamp(), ready=ready), 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        figures = await self._service.figures()
        body, media_type = exposition.negotiate(figures, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": media_type})

    async def all_models(self) -> Response:
        return Json(models.overview(self._service.models, draining=self._service.draining))

    async def model(self, request: Request) -> Response:
        service = self._service
        model = self._named(request)
        capacities = {state.version: service.capacity(model.name, state.version) for state in model.versions}
        return Json(models.description(model, service.settings, capacities, draining=service.draining))

    async def comparison(self, request: Request) -> Response:
        model = self._named(request)
        return Json(comparison.comparison(model, await self._service.figures()))

    async def model_ready(self, request: Request) -> Response:
        model = self._named(request)
        draining = self._service.draining
        ready = models.is_ready(model, draining=draining)
        return Json(models.readiness(model, timestamp(), draining=draining), 200 if ready else 503)

    async def openapi(self) -> Response:
        return Json(self._document.json(self._service.models), headers={"Cache-Control": "no-cache"})

    async def docs(self) -> Response:
        return docs.page()

    async def docs_file(self, request: Request) -> Response:
        return docs.file(request.path_params["version"], request.path_params["file"])

    async def root(self) -> Response:
        return RedirectResponse("docs")

    def _named(self, request: Request) -> ModelState:
        known = {model.name: model for model in self._service.models}
        return choose_model(known, None, request.path_params["name"])


class Operations(FastAPI):
    """The application of these pages, whose OpenAPI document holds the predictions too."""

    def __init__(self, service: Service) -> None:
        super().__init__(
            title="Penstock",
            version=__version__,
            description="Predictions of the models that are loaded here, and what there is to know about them.",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            openapi_tags=[TAG],
        )
        self._service = service
        self._document = Document(super().openapi, service.settings)
        self._route(Pages(service, self._document))
        Admin(service).install(self)
        self.add_middleware(HeadAsGet)
        install(self)

    def openapi(self) -> dict[str, Any]:
        return self._document.of(self._service.models)

    def _route(self, pages: Pages) -> None:
        documented: dict[str, Handler] = {
            "/health": pages.health,
            "/ready": pages.ready,
            "/metrics": pages.metrics,
            "/models": pages.all_models,
            "/models/{name}": pages.model,
            "/models/{name}/comparison": pages.comparison,
            "/models/{name}/ready": pages.model_ready,
        }
        for path, page in documented.items():
            self.add_api_route(path, page, response_class=Response, openapi_extra=OPERATIONS[path])
        unlisted: dict[str, Handler] = {
            "/": pages.root,
            "/docs": pages.docs,
            "/docs/{version}/{file}": pages.docs_file,
            "/openapi.json": pages.openapi,
        }
        for path, page in unlisted.items():
            self.add_api_route(path, page, include_in_schema=False)


class HeadAsGet:
    """Answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def bodiless(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, bodiless)


def build_ops(service: Service) -> FastAPI:
    """The application of the pages about `service`; the lane stands before it and takes the predictions."""
    return Operations(service)
