"""Keep-alive connections to a server on loopback, as bare descriptors: nothing between the load and the kernel."""

import select
import socket
import struct
from types import TracebackType
from typing import Self

RESET = struct.pack("ii", 1, 0)  # closed without a TIME_WAIT: thousands of those would use up the ports
PATIENCE_S = 5
CHUNK = 4096
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "
GREETING = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
BURST = 64  # answers that are taken before it is looked again what is due


class Connections:
    """So many, opened beforehand; `free` are the descriptors on which nothing is awaited. Use as a context manager."""

    def __init__(self, port: int, count: int) -> None:
        self.free: list[int] = []
        self._sockets: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        for _ in range(count):
            self._open(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for sock in self._sockets.values():
            sock.close()
        self._epoll.close()

    def take(self) -> int | None:
        """The one that was used last, of those on which nothing is awaited; None where there is none."""
        return self.free.pop() if self.free else None

    def readable(self, timeout_s: float) -> list[tuple[int, int]]:
        """Those with something to read, and what epoll says of them."""
        return self._epoll.poll(timeout_s, BURST)

    def wait(self, timeout_s: float) -> bool:
        """Until there is something to read, or so long, to the microsecond: epoll itself counts in milliseconds."""
        return bool(select.select([self._epoll], [], [], timeout_s)[0])

    def lose(self, descriptor: int) -> None:
        """The server has closed it."""
        if descriptor in self.free:
            self.free.remove(descriptor)
        self._sockets.pop(descriptor).close()

    def _open(self, port: int) -> None:
        """Asks once: a server may close what has never said anything, and it need not accept more than it can."""
        sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.sendall(GREETING)
        answer = b""
        while not is_whole(answer):
            answer += sock.recv(CHUNK)
        sock.setblocking(False)
        self._sockets[sock.fileno()] = sock
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self.free.append(sock.fileno())


def is_whole(answer: bytes) -> bool:
    """Whether head and body are all there. Servers that are measured say how long their answers are."""
    end = answer.find(HEAD_END)
    at = answer.find(LENGTH, 0, end)
    return end >= 0 and len(answer) >= end + len(HEAD_END) + int(answer[at + len(LENGTH) : answer.find(b"\r", at)])
