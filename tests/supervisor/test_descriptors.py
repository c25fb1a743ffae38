"""The limit on open files is raised where the processes of the service begin, and all of them have it."""

import subprocess
import sys

import pytest

TELLS = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)"
RAISES = f"""
import resource, sys
from penstock.config import Logs
from penstock.observability.logs import open_log
from penstock.supervisor.descriptors import raise_limit
from penstock.supervisor.processes import start_front

soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
log = open_log(Logs(file="/dev/stderr"), "supervisor")
raise_limit(connections, log)
log.close()
child = start_front(("-c", {TELLS!r}))
child.reap()
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "raised", "warned"),
    [
        (64, 4096, 3000, 4096, False),  # as far as it may be
        (64, 4096, 3905, 4096, True),  # 3905 connections and 192 besides are one too many
        (2048, 2048, 10_000, 2048, True),
        (4096, 4096, 10, 4096, False),
    ],
)
def test_children_inherit_the_limit_that_was_raised(
    soft: int, hard: int, connections: int, raised: int, warned: bool
) -> None:
    command = [sys.executable, "-c", RAISES, str(soft), str(hard), str(connections)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [str(raised), str(hard)]
    assert ("few_descriptors" in done.stderr) == warned
