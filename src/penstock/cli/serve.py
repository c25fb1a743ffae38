"""Serves models over HTTP until Ctrl-C or SIGTERM.

PATH is an artifact (.pkl .pickle .joblib .skops .onnx .pt), a model directory, a repository of models, or a
penstock.yaml. The page /docs describes what is served, with requests to try.

  penstock serve model.pkl
  penstock serve iris=models/iris.onnx --port 9000
"""

import argparse
import sys

from penstock.cli.settings import add_settings, configuration
from penstock.errors import ConfigurationError
from penstock.model.repository import resolve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="[NAME=]PATH", help="what to serve")
    parser.add_argument("--name", help="the model's name, where PATH is one artifact; else the file's stem")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    from penstock.supervisor.service import serve

    settings, paths = configuration(arguments, arguments.paths)
    if arguments.name:
        if len(paths) != 1 or "=" in paths[0]:
            raise ConfigurationError("--name is for one artifact; write NAME=PATH for each of several")
        paths = [f"{arguments.name}={paths[0]}"]
    if not paths and not settings.settings.models:
        raise ConfigurationError("name a model: penstock serve model.pkl")
    resolved = resolve(paths, settings)
    for notice in (*settings.notices, *resolved.notices):
        print(f"penstock: {notice}", file=sys.stderr)
    return serve(resolved.settings, resolved.sources, strict=len(resolved.sources) == 1)
