"""`python -P -m penstock.compile FD`, started by a host: the artifact on standard input, what was found to FD.

Where the artifact cannot be loaded, that is an answer too: why, in words. Its host loads it next, and complains of it.
"""

import os
import sys

import msgspec

from penstock.errors import PenstockError
from penstock.host.cache import Entry
from penstock.host.refusals import detail
from penstock.model.control import Artifact
from penstock.model.leash import be_a_child


def main() -> None:
    be_a_child()
    artifact = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Artifact)
    found = outcome(artifact)
    with open(int(sys.argv[1]), "wb") as file:
        file.write(msgspec.msgpack.encode(found))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads and exit hooks of a model must not keep its process alive


def outcome(artifact: Artifact) -> Entry | str:
    """What the compiler finds, or why it could not load the artifact."""
    try:
        from penstock.compile.certify import certify

        return certify(artifact)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # an artifact's code may raise anything
        why = str(error) if isinstance(error, PenstockError) else detail(error)
        return f"the compiler could not load it: {why}"


if __name__ == "__main__":
    main()
