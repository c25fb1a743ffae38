"""What every test shares: what it needs to run at all, how long its long form is, and how examples are drawn.

@pytest.mark.needs("wrk")               programs
@pytest.mark.needs(module="torch")      a Python package
@pytest.mark.soak                       has a long form: scale(1_000, 1_000_000)
"""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import HealthCheck, settings

DEBIAN_PACKAGES = {  # of each program
    "chromium": "chromium",
    "curl": "curl",
    "faketime": "faketime",
    "jq": "jq",
    "nginx": "nginx-light",
    "redis-server": "redis-server",
    "openssl": "openssl",
    "systemd-analyze": "systemd",
    "tini": "tini",
    "wrk": "wrk",
}
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # tests import it too; hosts are given it by the supervisor
IN_CI = os.environ.get("CI") == "true"

settings.register_profile("here", deadline=None, max_examples=50)
settings.register_profile(
    "ci", deadline=None, max_examples=50, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if IN_CI else "here")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the tests marked `soak` in their long form")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test whose program or package is missing, naming it; where CI=true promises them, it fails."""
    missing = [word for mark in item.iter_markers("needs") for word in missing_of(mark.args)]
    if missing and IN_CI:
        pytest.fail("; ".join(missing), pytrace=False)
    if missing:
        pytest.skip("; ".join(missing))


def missing_of(names: Iterable[str]) -> list[str]:
    """Those programs and packages that are not here, each with the way to get it."""
    programs = [name for name in names if name in DEBIAN_PACKAGES and shutil.which(name) is None]
    packages = [name for name in names if name not in DEBIAN_PACKAGES and importlib.util.find_spec(name) is None]
    return [f"needs {name}: apt-get install {DEBIAN_PACKAGES[name]}" for name in programs] + [
        f"needs the Python package {name}: pip install {name}" for name in packages
    ]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled models are kept for this run, and apart from those of whoever runs it."""
    os.environ["PENSTOCK_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """`scale(short, long)`: how much a soak test does, in `make test` and in `make soak`."""
    return lambda short, long: long if request.config.getoption("--soak") else short


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Estimators of this process compute with one thread, as the hosts do that they are compared with to the bit.

    Among several threads a matrix is split, at places that depend on how many there are, and the last bits of a
    product depend on the places.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Asynchronous tests run on the event loop that the front runs on."""
    return "asyncio", {"use_uvloop": True}
