"""Trains two scikit-learn models on bundled data, writes them as .pkl files, and serves both.

One is a pipeline on the iris flowers (four numbers in, one of three species out), the other a forest of 100 trees on
the breast cancer data (30 numbers). Three curl lines to try are printed once the service is ready.
"""

import argparse
import json
import pickle
import sys
from pathlib import Path
from typing import Any

from penstock.errors import MissingDependency

FOLDER = "penstock-demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=FOLDER, help=f"where the models are written (./{FOLDER})")
    parser.add_argument("--port", default="8000", help="port to listen on (8000)")


def run(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    print("training two models …", flush=True)
    iris, forest = train(folder)
    print(f"  {iris}\n  {forest}\n")
    print(*curls(folder, arguments.port), sep="\n", end="\n\n", flush=True)
    return _serve([str(iris), str(forest)], arguments.port)


def _serve(paths: list[str], port: str) -> int:
    """Serves in this process, which forgets scikit-learn first: it starts anew as `penstock serve`."""
    import os

    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "penstock", "serve", *paths, "--port", port]
    os.execv(sys.executable, command)


def train(folder: Path) -> tuple[Path, Path]:
    """Writes iris.pkl, cancer.pkl and a batch of requests into `folder`. Raises MissingDependency."""
    try:
        from sklearn.datasets import load_breast_cancer, load_iris
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingDependency('the demo needs scikit-learn: pip install "penstock[sklearn]"') from error
    folder.mkdir(parents=True, exist_ok=True)
    flowers, cells = load_iris(), load_breast_cancer()
    iris = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    iris.fit(flowers.data, flowers.target_names[flowers.target])
    forest = RandomForestClassifier(100, random_state=0).fit(cells.data, cells.target_names[cells.target])
    _write_rows(folder / "cells.json", cells.data[:5].tolist())
    return _write(folder / "iris.pkl", iris), _write(folder / "cancer.pkl", forest)


def _write(path: Path, model: Any) -> Path:
    path.write_bytes(pickle.dumps(model))
    return path


def _write_rows(path: Path, rows: list[list[float]]) -> None:
    path.write_text(json.dumps({"batch": rows}) + "\n")


def curls(folder: Path, port: str) -> list[str]:
    """Three requests that work."""
    base, typed = f"http://127.0.0.1:{port}/models", "-H 'content-type: application/json'"
    one = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]})
    two = json.dumps({"batch": [[6.7, 3.0, 5.2, 2.3], [5.9, 3.0, 4.2, 1.5]]})
    return [
        f"curl -s {base}/iris/predict {typed} -d '{one}'",
        f"curl -s {base}/iris/predict-batch {typed} -d '{two}'",
        f"curl -s {base}/cancer/predict-batch {typed} -d @{folder / 'cells.json'}",
    ]
