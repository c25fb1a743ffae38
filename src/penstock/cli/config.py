"""`penstock config`: every setting in force, and where its value came from."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from penstock.cli.arguments import YAML, Parser, add_settings, configuration_of
from penstock.cli.complaint import complain
from penstock.cli.stores import demand_modules
from penstock.cli.table import table
from penstock.config import Settings
from penstock.configuration import Configuration, Effective
from penstock.model.keyring import read_keys
from penstock.model.quota import demand_rates
from penstock.model.repository import lock_path
from penstock.model.tls import read_pair
from penstock.model.trust import LOCK_NAME

EXAMPLES = """\
examples:
  penstock config                              the defaults, and what the environment says
  penstock config penstock.yaml --port 9000    what `penstock serve` would make of the same words
  penstock config --keys new.keys              whether a file of keys is right, before it is used
  penstock config --json | jq .                for programs
"""


def run(words: Sequence[str]) -> int:
    """Prints the settings; returns the exit code."""
    parser = Parser("config", "[penstock.yaml] [options]", "Show every setting in force.", EXAMPLES)
    parser.add_argument("file", metavar="penstock.yaml", nargs="?", help="the file to read")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--reference", action="store_true", help="print the reference of all settings, in Markdown")
    add_settings(parser)
    namespace = parser.read(words)
    if namespace.reference:
        from penstock.cli.reference import reference

        print(reference(), end="")
        return 0
    if namespace.file and not namespace.file.endswith(YAML):
        parser.error(f"{namespace.file} is no penstock.yaml")
    configuration = configuration_of(namespace, namespace.file)
    for notice in configuration.notices:
        complain(notice)
    _demand_use(configuration.settings)
    print(_json(configuration) if namespace.json else _text(configuration))
    return 0


def _demand_use(settings: Settings) -> None:
    """Raises, as the service would, where settings do not go together, or files that they name are no use."""
    demand_rates(settings.quota, "quota")
    demand_modules(settings.stores)
    read_pair(settings.server.tls_cert, settings.server.tls_key)
    if settings.keys is not None:
        read_keys(Path(settings.keys))


def _text(configuration: Configuration) -> str:
    return table([(each.path, each.text or "–", each.origin) for each in _effective(configuration)])


def _json(configuration: Configuration) -> str:
    import json

    settings = {each.path: {"value": each.value, "from": each.origin} for each in _effective(configuration)}
    return json.dumps(settings, indent=2)


def _effective(configuration: Configuration) -> Iterator[Effective]:
    """Every setting in force, and the lock that is read where none is named."""
    for each in configuration.effective():
        yield _usual_lock(configuration, each) if each.path == "lock" and each.value is None else each


def _usual_lock(configuration: Configuration, setting: Effective) -> Effective:
    if configuration.file is None:
        return setting._replace(text=f"{LOCK_NAME} beside the directory that is named")
    path = str(lock_path(configuration, configuration.file.absolute().parent))
    return setting._replace(value=path, text=path)
