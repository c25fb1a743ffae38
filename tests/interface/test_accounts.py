"""What is counted of the requests that are no predictions."""

import json
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from penstock.config import Limits, Logs
from penstock.inference.engine import Engine
from penstock.interface.access import Access
from penstock.interface.accounts import Accounts
from penstock.interface.app import App
from penstock.interface.client import Clients
from penstock.interface.lane import Lane
from penstock.interface.native import Native
from penstock.interface.ops import build_ops
from penstock.observability import catalog
from penstock.observability.logs import open_log
from penstock.observability.metrics import Figures, Metric
from tests.interface.gallery import StillService, broken

pytestmark = pytest.mark.anyio


async def counted(tmp_path: Path, method: str, path: str) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """The requests by route and status, and the errors by route and code, after one request."""
    figures = await figures_after(tmp_path, method, path)
    return series(figures, catalog.REQUESTS), series(figures, catalog.ERRORS)


async def figures_after(tmp_path: Path, method: str, path: str) -> Figures:
    """The figures after one request to a broken service; the log is at `log`."""
    figures = Figures()
    log = open_log(Logs(file=str(tmp_path / "log")), "front-0")
    accounts = Accounts(log, figures, "front-0", lambda seconds, callback: None, Clients())
    app = App(Lane(Native(cast(Engine, None), Limits(), Access()), accounts), build_ops(StillService(broken("b"))))
    transport = httpx2.ASGITransport(app=cast(Any, app))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.request(method, path)
    accounts.settle()
    log.close()
    return figures


def series(figures: Figures, metric: Metric) -> dict[Any, Any]:
    told = figures.snapshot()["counters"].get(metric.name, [])
    return {(labels[0], labels[-1]): numbers[0] for labels, numbers in told}


@pytest.mark.parametrize("path", ["/ready", "/models/b/ready"])
async def test_not_ready_is_an_answer_and_no_error(tmp_path: Path, path: str) -> None:
    route = path.replace("/b/", "/{name}/")
    assert await counted(tmp_path, "GET", path) == ({(route, "503"): 1}, {})


@pytest.mark.parametrize(
    ("method", "path", "route", "status", "code"),
    [
        ("GET", "/nothing", "unmatched", "404", "not_found"),
        ("HEAD", "/nothing", "unmatched", "404", "not_found"),
        ("POST", "/health", "/health", "405", "method_not_allowed"),
        ("GET", "/models/x", "/models/{name}", "404", "unknown_model"),
    ],
)
async def test_an_error_is_counted_by_its_code(
    tmp_path: Path, method: str, path: str, route: str, status: str, code: str
) -> None:
    assert await counted(tmp_path, method, path) == ({(route, status): 1}, {(route, code): 1})


async def logged(tmp_path: Path, method: str, path: str) -> list[dict[str, Any]]:
    await figures_after(tmp_path, method, path)
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", "/nothing", ("GET", "/nothing", 404, "not_found")),
        ("POST", "/health", ("POST", "/health", 405, "method_not_allowed")),
        ("GET", "/a%0A%1B[2J" + "b" * 999, ("GET", "/a??[2J" + "b" * 192 + "…", 404, "not_found")),
    ],
)
async def test_a_wrong_path_is_a_line_of_the_log(tmp_path: Path, method: str, path: str, told: tuple[Any, ...]) -> None:
    (line,) = await logged(tmp_path, method, path)
    assert (line["level"], line["event"]) == ("warning", "request_refused")
    assert (line["method"], line["path"], line["status"], line["code"]) == told
    assert line["request_id"]


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_an_answer_is_no_line_of_the_log(tmp_path: Path, path: str) -> None:
    assert await logged(tmp_path, "GET", path) == []


async def test_a_method_that_predictions_do_not_take_is_said_as_it_is_answered(tmp_path: Path) -> None:
    (line,) = await logged(tmp_path, "DELETE", "/predict")
    assert (line["event"], line["status"], line["code"]) == ("prediction", 405, "method_not_allowed")
    assert line["detail"].startswith("This path does not take that method. It takes ")
