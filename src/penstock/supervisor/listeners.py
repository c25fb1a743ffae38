"""The listening sockets: one for each front slot, on one port, held here so that they outlive the fronts."""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Sequence

from penstock.config import Server
from penstock.errors import ConfigurationError

SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it
# Classic BPF over a TCP header (linux/filter.h: code, jump if true, jump if false, operand)
NO_NEWCOMERS = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x54, 0, 0, 0x12),  # of these SYN and ACK
    (0x15, 0, 1, 0x02),  # is it SYN alone, which begins a connection?
    (0x06, 0, 0, 0),  # then drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # else take all of it
)
UNSENT = 2**17  # bytes of answers that the kernel takes for a client that reads none, instead of megabytes
BACKLOG = 2048  # uvicorn's; the kernel lowers it to net.core.somaxconn


def open_listeners(server: Server) -> list[socket.socket]:
    """Listeners for `server.workers` slots; the kernel spreads connections over them.

    Raises ConfigurationError, with what to do, where the address cannot be had.
    """
    family, address = _resolve(server)
    listeners: list[socket.socket] = []
    try:
        listeners.append(_claim(family, address))
        while len(listeners) < server.workers:
            listeners.append(_join(family, listeners[0].getsockname()))
    except OSError as problem:
        _close(listeners)
        raise ConfigurationError(_remedy(problem, server)) from problem
    return listeners


def shut_out_newcomers(listener: socket.socket) -> None:
    """Has the kernel begin no more connections with `listener`, for whichever process holds it.

    Closing a listener resets the connections in its queue, and between a last look there and the closing one more may
    come. So the packet that would begin one is dropped: those begun before are taken in, then it is closed with its
    queue empty, and who was not heard tries again a second later and is refused.
    """
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in NO_NEWCOMERS)
    held = ctypes.create_string_buffer(program)
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(NO_NEWCOMERS), ctypes.addressof(held))
        )
    except OSError:  # a kernel without socket filters: what is left is the short moment before the closing
        return


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Where it listens, as a person would type it."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _resolve(server: Server) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as problem:
        raise ConfigurationError(f"--host {server.host} is not an address of this machine") from problem
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, (str(address[0]), server.port)


def _claim(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    """The first listener.

    It shares its port only once it has it: SO_REUSEPORT from the start would also share it with another Penstock of
    the same user, and each would get half of the other's requests.
    """
    listener = _bound(family, address)
    _share(listener)
    return listener


def _join(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    """A further listener on the port of the first."""
    return _bound(family, address, shared=True)


def _bound(family: socket.AddressFamily, address: tuple[str, int], shared: bool = False) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it, and the next
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        if shared:
            _share(listener)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _share(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _close(listeners: Sequence[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


def _remedy(problem: OSError, server: Server) -> str:
    if problem.errno == errno.EADDRINUSE:
        return f"port {server.port} is taken by another program; choose another with --port"
    if problem.errno == errno.EACCES:
        return f"port {server.port} needs more rights than this user has; choose one above 1023 with --port"
    if problem.errno == errno.EADDRNOTAVAIL:
        return f"--host {server.host} is not an address of this machine; 0.0.0.0 stands for all of them"
    return f"cannot listen on {server.host} port {server.port}: {os.strerror(problem.errno or 0)}"
