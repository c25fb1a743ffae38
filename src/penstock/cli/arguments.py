"""Arguments: how every command reads its words, and how the settings become flags."""

import os
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NoReturn

from msgspec import inspect

from penstock.configuration import CONFIG_VARIABLE, Configuration, load
from penstock.errors import ConfigurationError
from penstock.option import Option, options
from penstock.values import did_you_mean, to_text

GROUPS = {
    "server": "server",
    "limits": "limits of a request",
    "drain": "shutdown",
    "logs": "logs",
    "quota": "quotas",
    "redis": "Redis",
    "": "service",
    "models": "every model",
}
YAML = (".yaml", ".yml")


class Formatter(RawDescriptionHelpFormatter):
    """Room for the longest flag, and the examples as they were written."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=110)


class Parser(ArgumentParser):
    """An argparse parser whose complaints are errors of ours: one line, exit code 2."""

    def __init__(self, command: str, usage: str, description: str, examples: str = "") -> None:
        super().__init__(
            prog=f"penstock {command}",
            usage=f"penstock {command} {usage}",
            description=description,
            epilog=examples,
            formatter_class=Formatter,
            allow_abbrev=False,
        )

    def read(self, words: Sequence[str]) -> Namespace:
        """The words as a namespace. Raises ConfigurationError for one that is not understood."""
        namespace, strange = self.parse_known_intermixed_args(words)
        for word in strange:
            flag = word.partition("=")[0]
            known = [name for action in self._actions for name in action.option_strings]
            self.error(f"unknown argument {flag}{did_you_mean(flag, known)}")
        return namespace

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message} ({self.prog} --help)")


def add_settings(parser: Parser, only: Collection[str] | None = None) -> None:
    """Adds --config and a flag for each setting, or for those in `only`, in groups."""
    parser.add_argument("--config", metavar="FILE", help=f"penstock.yaml to read ({CONFIG_VARIABLE})")
    for group, title in GROUPS.items():
        section = parser.add_argument_group(title)
        for option in options().values():
            if option.group == group and (only is None or option.path in only):
                section.add_argument(
                    option.flag,
                    dest=option.path,
                    action="append",
                    default=SUPPRESS,
                    metavar=_metavar(option),
                    help=_help(option),
                )


def configuration_of(namespace: Namespace, file: str | None = None) -> Configuration:
    """The configuration in force. `file` was named among the arguments. Raises ConfigurationError."""
    given = {path: texts for path, texts in vars(namespace).items() if path in options()}
    named = [name for name in (file, namespace.config) if name] or [os.environ.get(CONFIG_VARIABLE)]
    if len(named) > 1:
        raise ConfigurationError(f"one configuration at a time: {named[0]} or {named[1]}")
    return load(Path(named[0]) if named[0] else None, given, os.environ)


def split_paths(paths: Sequence[str]) -> tuple[list[str], str | None]:
    """What is to be served, and the penstock.yaml that is named among it. Raises ConfigurationError."""
    files = [path for path in paths if path.endswith(YAML)]
    if len(files) > 1:
        raise ConfigurationError(f"one configuration at a time: {files[0]} or {files[1]}")
    if files and Path(files[0]).name == "model.yaml":
        raise ConfigurationError(f"{files[0]} belongs to a model: name its directory, {Path(files[0]).parent}")
    return [path for path in paths if path not in files], files[0] if files else None


def _metavar(option: Option) -> str:
    kind = inspect.type_info(option.annotation)
    bare = kind.type if isinstance(kind, inspect.Metadata) else kind
    if isinstance(bare, inspect.LiteralType):
        return "|".join(map(str, bare.values))
    if to_text(option.annotation, option.default).endswith("iB"):
        return "SIZE"
    if isinstance(bare, inspect.IntType | inspect.FloatType):
        return "N"
    return option.flag.rpartition("-")[2].upper()


def _help(option: Option) -> str:
    default = to_text(option.annotation, option.default)
    again = "; may be given again" if option.many else ""
    return f"{option.help}{again}{f' [{default}]' if default else ''}".replace("%", "%%")
