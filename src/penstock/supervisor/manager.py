"""The service manager: what systemd, or whoever started us and speaks its protocol, is told of our state.

sd_notify(3): lines of NAME=value in one datagram to the socket that NOTIFY_SOCKET names. Where that is not set
nobody asked, and nothing is sent.
"""

import socket
from collections.abc import MutableMapping

from penstock.observability.logs import Log

VARIABLE = "NOTIFY_SOCKET"
PATIENCE_S = 1.0  # for a manager that does not read: it is told twice in the life of a service


class Manager:
    """Takes the variable out of `environ`: no child speaks for us, and no model hears of it."""

    def __init__(self, environ: MutableMapping[str, str], log: Log) -> None:
        name = environ.pop(VARIABLE, "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name  # the abstract namespace, unix(7)
        self._log = log
        self._started = False

    def ready(self, status: str) -> None:
        """The start is over, once and for all; `status` is a line for people."""
        if not self._started:
            self._started = True
            self._tell(f"READY=1\nSTATUS={status}")

    def stopping(self, status: str) -> None:
        """The service is about to end."""
        self._tell(f"STOPPING=1\nSTATUS={status}")

    def _tell(self, words: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(PATIENCE_S)
                sender.sendto(words.encode(), self._address)
        except OSError as problem:
            self._log.warning("manager_not_told", state=words.partition("\n")[0], reason=str(problem))
