"""/docs in a real browser: it shows what there is to call, and asks nobody but this server."""

import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import uvicorn

from penstock.interface.docs import VERSION
from penstock.interface.ops import build_ops
from tests.interface.gallery import SIGNATURES, StillService, model

CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-first-run",
    "--virtual-time-budget=20000",
    "--timeout=30000",
    "--window-size=1200,1600",
]


@contextmanager
def serving(*names: str) -> Iterator[str]:
    """The pages about these models of the gallery, on a thread; gives their origin."""
    service = StillService(*(model(name, SIGNATURES[name]) for name in names), default=names[0])
    server = uvicorn.Server(uvicorn.Config(build_ops(service), lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def browse(url: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [*CHROMIUM, profile, f"--log-net-log={folder / 'net.json'}", *options, url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=90)


def asked(folder: Path, origin: str) -> set[str]:
    """What the page of `origin` fetched, by Chromium's own record. The browser's own affairs have other initiators."""
    record = json.loads((folder / "net.json").read_text())
    parameters = [event.get("params", {}) for event in record["events"]]
    return {p["url"] for p in parameters if "url" in p and origin in (p.get("initiator") or p["url"])}


@pytest.mark.needs("chromium")
def test_the_page_shows_every_operation_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    with serving("iris", "people") as origin:
        shown = browse(f"{origin}/docs", tmp_path, "--dump-dom", "--enable-logging=stderr")
    for path in ("/predict", "/predict-batch", "/models/people/predict", "/health", "/metrics", "/models/{name}/ready"):
        assert f'data-path="{path}"' in shown.stdout
    assert "Refused to" not in shown.stderr
    assert "Content Security Policy" not in shown.stderr
    urls = asked(tmp_path, origin)
    assert {urlsplit(url).path for url in urls} >= {"/docs", "/openapi.json", f"/docs/{VERSION}/swagger-ui-bundle.js"}
    assert {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, urls)} <= {origin, "data://"}


@pytest.mark.needs("chromium")
def test_the_page_looks_like_something(tmp_path: Path) -> None:
    """An operation opened, with its parameters and an example."""
    picture = tmp_path / "docs.png"
    with serving("iris") as origin:
        browse(f"{origin}/docs#/iris/predict", tmp_path, f"--screenshot={picture}")
    raw = picture.read_bytes()
    assert struct.unpack(">II", raw[16:24]) == (1200, 1600)
    assert len(raw) > 40_000  # a blank page takes about 10 kB


def test_its_files_are_kept_and_its_page_is_strict() -> None:
    with serving("iris") as origin:
        page = httpx2.get(f"{origin}/docs")
        files = [httpx2.get(f"{origin}/{part}") for part in page.text.split('"') if part.startswith("docs/")]
    assert len(files) == 3
    assert all(file.status_code == 200 for file in files)
    assert {file.headers["cache-control"] for file in files} == {"public, max-age=31536000, immutable"}
    assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]


def test_a_page_with_a_very_large_model_is_small() -> None:
    began = time.perf_counter()
    with serving("image") as origin:
        assert len(httpx2.get(f"{origin}/openapi.json").content) < 100_000
    assert time.perf_counter() - began < 10
