"""`penstock demo`: two models trained on real data, served, and three requests to try."""

import importlib.util
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from penstock.cli import serve
from penstock.cli.arguments import Parser
from penstock.cli.training import IRIS, ROWS_FILE
from penstock.configuration import load
from penstock.errors import FailedStart, MissingDependency
from penstock.supervisor.listeners import open_listeners

EXAMPLES = """\
examples:
  penstock demo                      trains into ./penstock-demo, serves on http://127.0.0.1:8000
  penstock demo /tmp/try --port 0    elsewhere, and on a port that is free
"""
NEEDED = {"sklearn": "scikit-learn", "pandas": "pandas"}
FLOWERS = ((5.1, 3.5, 1.4, 0.2), (6.7, 3.0, 5.2, 2.3))


def run(words: Sequence[str]) -> int:
    """Trains, tells how to ask, and serves until a signal; returns the exit code."""
    parser = Parser("demo", "[DIRECTORY] [--port N]", "Train two models on real data and serve them.", EXAMPLES)
    parser.add_argument("directory", metavar="DIRECTORY", nargs="?", default="penstock-demo", help="where to put them")
    parser.add_argument("--port", default="8000", metavar="N", help="port to listen on; 0 takes a free one [8000]")
    namespace = parser.read(words)
    directory, port = Path(namespace.directory), port_of(namespace.port)
    train(directory)
    print(f"Wrote iris.pkl, cancer.pkl and {ROWS_FILE} to {directory}. Three requests to try:\n")
    print("\n\n".join(requests(directory, port)), end="\n\n", flush=True)
    models = [str(directory / "iris.pkl"), str(directory / "cancer.pkl")]
    return serve.run([*models, "--port", str(port), "--default-model", "iris"])


def port_of(said: str) -> int:
    """The port that the requests are to name: 0 stands for one that is free now.

    Raises ConfigurationError where it cannot be had: before anything is trained, and requests go to another program.
    """
    (listener,) = open_listeners(load(flags={"server.port": [said]}).settings.server)
    with listener:
        return int(listener.getsockname()[1])


def train(directory: Path) -> None:
    """Writes the models. Raises MissingDependency, with the remedy, where there is nothing to train them with."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingDependency(f"the demo needs {' and '.join(missing)}: pip install scikit-learn joblib pandas")
    directory.mkdir(parents=True, exist_ok=True)
    print("Training a pipeline on the iris data and a forest of 100 trees on the breast cancer data …", flush=True)
    done = subprocess.run([sys.executable, "-P", "-m", "penstock.cli.training", str(directory)], check=False)
    if done.returncode:
        raise FailedStart("the demo's models could not be trained")


def requests(directory: Path, port: int) -> list[str]:
    """Three commands that ask the service: a list of numbers, numbers by name, and a file with rows of the forest's."""
    base = f"http://127.0.0.1:{port}"
    one = {"features": FLOWERS[0]}
    named = {"batch": [dict(zip(IRIS, flower, strict=True)) for flower in FLOWERS]}
    return [
        _curl(f"{base}/predict", json.dumps(one)),
        _curl(f"{base}/models/iris/predict-batch", json.dumps(named)),
        _curl(f"{base}/models/cancer/predict-batch", f"@{directory / ROWS_FILE}"),
    ]


def _curl(url: str, data: str) -> str:
    return f"curl -s {url} -H 'content-type: application/json' -d {shlex.quote(data)}"
