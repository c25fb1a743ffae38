"""The pages of operations, asked over HTTP: each answers as /openapi.json says it does."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from msgspec import structs
from openapi_schema_validator import OAS31Validator

from penstock.interface.ops import build_ops
from penstock.model.certificate import Certificate
from penstock.model.control import ModelState
from tests.interface.gallery import GALLERY, SIGNATURES, StillService, broken, model

pytestmark = pytest.mark.anyio
IRIS = model("iris", SIGNATURES["iris"])


@asynccontextmanager
async def serving(service: StillService) -> AsyncIterator[httpx2.AsyncClient]:
    """The pages behind a real socket."""
    config = uvicorn.Config(build_ops(service), lifespan="off", log_config=None, loop="none")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await server.startup([listener])
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            async with httpx2.AsyncClient(base_url=url, timeout=10) as client:
                yield client
        finally:
            await server.shutdown([listener])


async def get(path: str, *models: ModelState, **headers: str) -> httpx2.Response:
    async with serving(StillService(*models)) as client:
        return await client.get(path, headers=headers)


PAGES = ["/health", "/ready", "/metrics", "/models", "/models/iris", "/models/iris/ready"]


@pytest.mark.parametrize("models", [(IRIS,), GALLERY, (IRIS, broken("b"))], ids=["one", "all", "broken"])
async def test_answers_are_as_documented(models: tuple[ModelState, ...]) -> None:
    async with serving(StillService(*models)) as client:
        made = (await client.get("/openapi.json")).json()
        for page in PAGES:
            answer = await client.get(page)
            operation = made["paths"][page.replace("iris", "{name}")]["get"]
            content = operation["responses"][str(answer.status_code)]["content"]
            schema = content[answer.headers["content-type"].split(";")[0]]["schema"]
            OAS31Validator(schema).validate(answer.text if page == "/metrics" else answer.json())


async def test_health_is_200_whatever_is_loaded() -> None:
    assert (await get("/health", IRIS)).json()["status"] == "healthy"
    unhealthy = await get("/health", broken("b"))
    assert (unhealthy.status_code, unhealthy.json()["status"]) == (200, "unhealthy")


async def test_readiness_is_503_until_the_service_has_started_and_while_draining() -> None:
    service = StillService(IRIS, broken("b"))
    async with serving(service) as client:
        assert (await client.get("/ready")).status_code == 503
        service.started = True  # what breaks later leaves the others alone
        assert (await client.get("/ready")).json()["status"] == "ready"
        service.draining = True
        assert (await client.get("/ready")).json()["status"] == "not_ready"
        assert (await client.get("/models/iris/ready")).json()["reason"] == "the service is shutting down"
        assert (await client.get("/models/iris")).json()["ready"] is False


async def test_a_model_tells_all_about_itself() -> None:
    told = (await get("/models/iris", IRIS)).json()
    version = told["versions"][0]
    assert (told["ready"], told["limits"]["rows"]) == (True, 50)
    assert told["route"] == {"default": "1", "wanted": "latest", "tolerance": 0.01}
    assert version["inputs"][0]["name"] == "sepal length (cm)"
    assert version["inputs"][0]["range"] == [4.3, 7.9]
    assert [field["origin"] for field in version["inputs"]] == ["declared", "inferred", "inferred", "inferred"]
    assert version["classes"] == ["setosa", "versicolor", "virginica"]
    assert (version["sha256"], version["runtime"]) == ("ab" * 32, "scikit-learn")
    assert version["libraries"] == {"scikit-learn": "1.9.0"}
    assert "trained with" in version["warnings"][0]


async def test_a_broken_model_tells_why() -> None:
    version = (await get("/models/b", IRIS, broken("b"))).json()["versions"][0]
    assert (version["state"], version["code"]) == ("refused", "unreadable_artifact")
    ready = await get("/models/b/ready", IRIS, broken("b"))
    assert (ready.status_code, ready.json()["reason"]) == (503, "the file is cut short")


async def test_metrics_speak_both_dialects_of_prometheus() -> None:
    assert (await get("/metrics", IRIS)).headers["content-type"].startswith("text/plain")
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    assert (await get("/metrics", IRIS, **accept)).text.endswith("# EOF\n")


REFUSED = [
    ("GET", "/nothing", 404, "not_found"),
    ("GET", "/health/", 404, "not_found"),
    ("GET", "/models/none", 404, "unknown_model"),
    ("GET", "/models/none/ready", 404, "unknown_model"),
    ("GET", "/docs/5/swagger-ui.css", 404, "not_found"),
    ("GET", "/docs/5.35.0/..%2f..%2f__init__.py", 404, "not_found"),
    ("POST", "/health", 405, "method_not_allowed"),
    ("DELETE", "/models/iris", 405, "method_not_allowed"),
    ("OPTIONS", "/models", 405, "method_not_allowed"),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), REFUSED)
async def test_what_is_not_there_is_refused_in_the_usual_body(method: str, path: str, status: int, code: str) -> None:
    async with serving(StillService(IRIS)) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json().keys() == {"detail", "code", "request_id"}
    assert answer.headers.get("allow") == ("GET, HEAD" if status == 405 else None)


@pytest.mark.parametrize("path", [*PAGES, "/docs", "/openapi.json"])
async def test_head_answers_as_get_without_the_body(path: str) -> None:
    async with serving(StillService(IRIS)) as client:
        head, whole = await client.head(path), await client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]


async def test_an_unexpected_exception_is_a_500_that_tells_nothing() -> None:
    class Failing(StillService):
        async def figures(self) -> Any:
            raise RuntimeError("secret")

    transport = httpx2.ASGITransport(build_ops(Failing(IRIS)), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://penstock") as client:
        answer = await client.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_server_error")
    assert "secret" not in answer.text


async def test_the_root_leads_to_the_documentation() -> None:
    answer = await get("/", IRIS)
    assert (answer.status_code, answer.headers["location"]) == (307, "docs")


async def test_a_row_that_compiling_differed_on_is_not_told() -> None:
    """It may be one of the training data, and whoever asks here need not have seen these."""
    found = Certificate(verdict="original", reason="it differs", differing_row="[None, 10.8281, 'female']")
    (ready,) = IRIS.versions
    assert ready.loaded is not None
    ready = structs.replace(ready, loaded=structs.replace(ready.loaded, certificate=found))
    told = await get("/models/iris", structs.replace(IRIS, versions=(ready,)))
    assert told.json()["versions"][0]["certificate"]["reason"] == "it differs"
    assert "10.8281" not in told.text


SECRET = "/srv/team b/models/iris"


def at_secret(**said: Any) -> ModelState:
    """The model in a directory that is nobody's business, with this to say."""
    (ready,) = IRIS.versions
    assert ready.loaded is not None
    loaded = structs.replace(
        ready.loaded,
        warnings=(f"{SECRET}/m.pkl was trained elsewhere", "/var/cache/penstock cannot keep it"),
        beside={f"{SECRET}/scaler.pkl": "ab", "/opt/shared/codes.json": "cd"},
        certificate=Certificate(verdict="original", reason=f"no: {SECRET}/m.pkl"),
    )
    return structs.replace(
        IRIS, versions=(structs.replace(ready, path=f"{SECRET}/m.pkl", **{"loaded": loaded, **said}),)
    )


@pytest.mark.parametrize("page", ["/models", "/models/iris", "/models/iris/ready", "/openapi.json"])
async def test_files_are_named_without_their_directories(page: str) -> None:
    reason = f"{SECRET}/m.pkl is cut short: see https://example.org/a/b, and run: penstock lock '/srv/x/y'"
    lost = at_secret(state="refused", reason=reason, loaded=None, live=0)
    ready, told = [(await get(page, each)).text for each in (at_secret(reason=reason), lost)]
    assert not [word for word in ("/srv", "team b", "/var", "/opt") if word in ready + told]
    assert "m.pkl is cut short: see https://example.org/a/b, and run: penstock lock 'y'" in told


async def test_files_beside_the_model_keep_their_names() -> None:
    (version,) = (await get("/models/iris", at_secret())).json()["versions"]
    assert version["beside"] == {"scaler.pkl": "ab", "codes.json": "cd"}
    assert version["warnings"] == ["m.pkl was trained elsewhere", "penstock cannot keep it"]
