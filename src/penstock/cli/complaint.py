"""What a person is told beside the output: one line on standard error, whatever is in it."""

import sys


def complain(what: object) -> None:
    """Prints `what`. File names and messages of others may hold line ends and escape sequences: they are shown."""
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(what))
    print(f"penstock: {line}", file=sys.stderr)
