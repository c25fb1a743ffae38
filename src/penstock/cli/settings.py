"""Settings as flags, shared by the commands that take them."""

import argparse
import os
from pathlib import Path

from penstock.configuration import CONFIG_VARIABLE, Configuration, load
from penstock.errors import ConfigurationError
from penstock.option import options

TITLES = {
    "server": "server",
    "limits": "limits of a request",
    "drain": "shutting down",
    "logs": "logs",
    "models": "every model",
    "": "service",
}
YAML = (".yaml", ".yml")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """A flag for each setting, grouped, with its help and default."""
    parser.add_argument("--config", metavar="FILE", help="penstock.yaml with the settings and the models")
    groups: dict[str, argparse._ArgumentGroup] = {}
    for option in options().values():
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(TITLES.get(option.group, option.group))
        default = "" if option.default in (None, ()) else f" ({option.default})"
        groups[option.group].add_argument(
            option.flag,
            dest=option.path,
            action="append",
            metavar=option.flag.rpartition("-")[2].upper(),
            help=f"{option.help}{default}".replace("%", "%%"),
        )


def configuration(arguments: argparse.Namespace, paths: list[str]) -> tuple[Configuration, list[str]]:
    """The settings in force, and `paths` without the configuration file that may be among them."""
    files = [path for path in paths if path.endswith(YAML)]
    named = [*filter(None, [arguments.config]), *files]
    if len(named) > 1:
        raise ConfigurationError(f"name one configuration file, not {len(named)}: {', '.join(named)}")
    file = named[0] if named else os.environ.get(CONFIG_VARIABLE)
    said = vars(arguments)
    flags = {path: said[path] for path in options() if said.get(path)}
    loaded = load(Path(file) if file else None, flags, os.environ)
    return loaded, [path for path in paths if path not in files]
