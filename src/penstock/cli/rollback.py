"""`penstock rollback`: back to the version that had the traffic before."""

from collections.abc import Sequence

from penstock.cli.arguments import Parser
from penstock.cli.remote import HELP, Remote, add_order, changed

EXAMPLES = f"""\
examples:
  penstock rollback iris            the version before answers again, and no newer one takes its place by itself
  penstock rollback iris --why "reads zeros as missing"

It is answered when it is so on every front; what is needed is loaded first.
{HELP}"""


def run(words: Sequence[str]) -> int:
    """Rolls back, and prints what has changed; returns the exit code. Raises PenstockError."""
    parser = Parser("rollback", "MODEL [options]", "Go back to the version before.", EXAMPLES)
    parser.add_argument("model", metavar="MODEL")
    add_order(parser)
    namespace = parser.read(words)
    print(changed(Remote(namespace).order(namespace.model, "rollback", why=namespace.why)))
    return 0
