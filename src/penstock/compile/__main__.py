"""`python -P -m penstock.compile FD`, started by a host: the artifact on standard input, what was found to FD."""

import os
import sys

import msgspec

from penstock.model.control import Artifact
from penstock.model.leash import be_a_child

NOT_LOADED = 1


def main() -> None:
    be_a_child()
    artifact = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Artifact)
    try:
        from penstock.compile.certify import certify

        entry = certify(artifact)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # an artifact's code may raise anything
        print(f"the compiler could not load the model: {type(error).__name__}", file=sys.stderr)
        os._exit(NOT_LOADED)  # its host loads the model next, and says what is wrong with it
    with open(int(sys.argv[1]), "wb") as file:
        file.write(msgspec.msgpack.encode(entry))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads and exit hooks of a model must not keep its process alive


if __name__ == "__main__":
    main()
