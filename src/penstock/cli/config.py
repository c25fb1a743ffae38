"""`penstock config`: every setting in force, and where its value came from."""

from collections.abc import Sequence

from penstock.cli.arguments import Parser, add_settings, configuration_of
from penstock.cli.complaint import complain
from penstock.cli.table import table
from penstock.configuration import Configuration

EXAMPLES = """\
examples:
  penstock config                              the defaults, and what the environment says
  penstock config penstock.yaml --port 9000    what `penstock serve` would make of the same words
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
    configuration = configuration_of(namespace, namespace.file)
    for notice in configuration.notices:
        complain(notice)
    print(_json(configuration) if namespace.json else _text(configuration))
    return 0


def _text(configuration: Configuration) -> str:
    return table([(each.path, each.text or "–", each.origin) for each in configuration.effective()])


def _json(configuration: Configuration) -> str:
    import json

    settings = {each.path: {"value": each.value, "from": each.origin} for each in configuration.effective()}
    return json.dumps(settings, indent=2)
