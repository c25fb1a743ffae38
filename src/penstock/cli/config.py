"""Shows the settings in force, and where each came from: a flag, the environment, penstock.yaml, or the default."""

import argparse
import sys
from collections.abc import Iterator

from penstock.cli.settings import add_settings, configuration
from penstock.configuration import Configuration
from penstock.option import EVERY_MODEL, paths
from penstock.values import to_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="FILE", help="penstock.yaml")
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    found, _ = configuration(arguments, arguments.paths)
    rows = list(_rows(found))
    width = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for path, value, origin in rows:
        print(f"{path:{width[0]}}  {value:{width[1]}}  {origin}".rstrip())
    for notice in found.notices:
        print(f"penstock: {notice}", file=sys.stderr)
    return 0


def _rows(found: Configuration) -> Iterator[tuple[str, str, str]]:
    """Path, value and origin of every setting, those of models by model."""
    kinds = paths()
    for path, origin in found.origins.items():
        declared = path if not path.startswith("models.") else EVERY_MODEL + path.split(".", 2)[2]
        yield path, to_text(kinds[declared], _value(found, path)), origin


def _value(found: Configuration, path: str) -> object:
    if path.startswith(EVERY_MODEL):
        name = path.removeprefix(EVERY_MODEL)
        return found.every_model[name].value if name in found.every_model else _of(found.model(""), name.split("."))
    if path.startswith("models."):
        _, model, rest = path.split(".", 2)
        return _of(found.settings.models[model], rest.split("."))
    return _of(found.settings, path.split("."))


def _of(settings: object, names: list[str]) -> object:
    for name in names:
        settings = getattr(settings, name)
    return settings
