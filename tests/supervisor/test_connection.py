"""A front and a host get a socket and a stamp that they share, or neither of them anything."""

import os
import subprocess
import sys

from penstock.model.stamp import Stamp
from penstock.supervisor.connection import connection

SHORT = """
import os, resource
from penstock.supervisor.connection import connection

def held():
    return os.listdir("/proc/self/fd")

before, hard = held(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
lowest = len(before) - 1  # but for the one that looked
for left in range(5):
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + left, hard))
    try:
        connection()
    except OSError as problem:
        came = problem.strerror
    else:
        came = "connected"
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 9, hard))
    print(came, held() == before)
"""


def test_both_ends_are_of_one_socket_and_of_one_stamp() -> None:
    mine, its = connection()
    stamps = [Stamp(os.dup(end.stamp.fileno())) for end in (mine, its)]
    stamps[0].write(1.5)
    mine.socket.send(b"?")
    assert (stamps[1].read(), its.socket.recv(1)) == (1.5, b"?")
    for end in (mine, its):
        end.socket.close()
        end.stamp.close()
    for stamp in stamps:
        stamp.close()


def test_where_descriptors_are_few_it_is_refused_and_holds_none() -> None:
    """It takes four; what it opened of them before it failed is closed again."""
    done = subprocess.run([sys.executable, "-c", SHORT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*["Too many open files True"] * 4, "connected True"]
