"""`penstock promote`: one version gets all the traffic."""

from collections.abc import Sequence

from penstock.cli.arguments import Parser
from penstock.cli.remote import HELP, Remote, add_order, changed

EXAMPLES = f"""\
examples:
  penstock promote iris 2           version 2 answers, and there is no canary and no shadow any more
  penstock promote iris latest      the newest, also of those to come

It is answered when it is so on every front; what is needed is loaded first.
{HELP}"""


def run(words: Sequence[str]) -> int:
    """Promotes, and prints what has changed; returns the exit code. Raises PenstockError."""
    parser = Parser("promote", "MODEL VERSION [options]", "Give one version all the traffic.", EXAMPLES)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("version", metavar="VERSION")
    add_order(parser)
    namespace = parser.read(words)
    print(changed(Remote(namespace).order(namespace.model, "promote", version=namespace.version, why=namespace.why)))
    return 0
