"""How many files and sockets the processes of this service may have open.

The soft limit is 1024 on most systems, for the sake of programs older than this century; the hard one is what the
operator means. Every connection of a front takes one, and the supervisor four for each pair of a front and a host
until they are sent.
"""

import resource
import sys

from penstock.observability.logs import Log

ENOUGH = 65_536  # without a reason for more: some programs close every number that they might have open
BESIDES = 192  # what a front needs besides its connections


def raise_limit(connections: int, log: Log) -> None:
    """Raises the limit of this process, which its children inherit, as fronts of so many connections need it.

    Warns where the hard limit does not allow for them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(ENOUGH, connections + BESIDES)
    limit = max(_finite(soft), min(_finite(hard), wanted))
    if limit > _finite(soft):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit < connections + BESIDES:
        log.warning(
            "few_descriptors",
            limit=limit,
            connections=connections,
            detail="a front holds fewer connections than limits.connections: raise the hard limit on open files "
            f"(ulimit -Hn, or LimitNOFILE) to {connections + BESIDES}",
        )


def _finite(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit
