"""The command line: parse, and call one function."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from penstock import __version__
from penstock.errors import ConfigurationError, PenstockError

DESCRIPTION = "Penstock turns a trained model into a production service."
EPILOG = """examples:
  penstock serve model.pkl                   a service on http://127.0.0.1:8000, described at /docs
  penstock serve flowers=iris.onnx forest.pkl --port 9000 --log-file service.log
  penstock serve penstock.yaml               many models, with a configuration file
  penstock check model.pkl                   what is in the file, and how fast it is
  penstock lock models/                      vouch for the pickles in a repository

Every setting is a flag, a PENSTOCK_* variable and a line of penstock.yaml; `penstock config` shows those in force.
"""


class Command(NamedTuple):
    """A command: the module of this package that adds its arguments and runs it, and one line of help."""

    module: str
    help: str


COMMANDS = {
    "serve": Command("serve", "serve models over HTTP"),
    "check": Command("check", "load a model, and say what it takes, gives and costs"),
    "lock": Command("lock", "pin the files that may run code when they are loaded"),
    "config": Command("config", "show the settings in force and where each came from"),
    "demo": Command("demo", "train two models and serve them"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status: 0 done, 1 failed, 2 usage or configuration."""
    words = sys.argv[1:] if argv is None else list(argv)
    parser = _parser(words)
    arguments = parser.parse_args(words)
    if arguments.command is None:
        parser.print_help()
        return 2
    try:
        return int(import_module(f"penstock.cli.{COMMANDS[arguments.command].module}").run(arguments))
    except PenstockError as error:
        if arguments.debug:
            raise
        print(f"penstock: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; of the commands, only the one that is called has its arguments, as the others would cost time."""
    parser = argparse.ArgumentParser(
        "penstock", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"penstock {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    called = next((word for word in words if not word.startswith("-")), None)
    for name, command in COMMANDS.items():
        module = import_module(f"penstock.cli.{command.module}") if name == called else None
        own = commands.add_parser(
            name,
            help=command.help,
            description=(module.__doc__ or "") if module else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        own.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
        if module is not None:
            module.add_arguments(own)
    return parser
