"""Listeners share one port among themselves, and with nobody else."""

import errno
import fcntl
import select
import socket
import sys
from collections import Counter
from contextlib import suppress

import pytest

from penstock.config import Server
from penstock.errors import ConfigurationError
from penstock.supervisor.listeners import UNSENT, open_listeners, shut_out_newcomers, url_of

SIOCOUTQNSD = 0x894B  # of linux/sockios.h: bytes that are written and not sent


def test_connections_are_spread_over_the_listeners_of_all_slots() -> None:
    first, second = listeners = open_listeners(Server(port=0, workers=2))
    clients = [socket.create_connection(first.getsockname()) for _ in range(64)]
    taken = Counter[int]()
    for listener in listeners:
        try:
            while True:
                listener.accept()[0].close()
                taken[listener.fileno()] += 1
        except BlockingIOError:
            pass
    for sock in (*clients, first, second):
        sock.close()
    assert taken.total() == 64
    assert min(taken.values()) >= 10


def test_a_port_of_another_penstock_is_refused_although_the_kernel_would_share_it() -> None:
    (held,) = open_listeners(Server(port=0))
    port = held.getsockname()[1]
    with held, pytest.raises(ConfigurationError, match=f"port {port} is taken by another program; .*--port"):
        open_listeners(Server(port=port))


def test_a_listener_can_be_closed_without_a_connection_in_its_queue_being_reset() -> None:
    """A copy of it stands for the front's: the kernel's rule holds for all processes that have the listener."""
    (listener,) = open_listeners(Server(port=0))
    copy = listener.dup()
    earlier = socket.create_connection(copy.getsockname())
    shut_out_newcomers(listener)
    listener.close()
    later = socket.socket()
    later.setblocking(False)
    assert later.connect_ex(copy.getsockname()) == errno.EINPROGRESS
    copy.accept()[0].close()
    with pytest.raises(BlockingIOError):
        copy.accept()
    copy.close()
    assert earlier.recv(1) == b"", "it was taken in and ended in order"
    assert select.select([], [later], [], 10)[1] == [later], "who was not heard tries again and learns of it"
    assert later.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    earlier.close()
    later.close()


def test_a_port_can_be_taken_again_at_once_after_connections_on_it() -> None:
    (listener,) = open_listeners(Server(port=0))
    address = listener.getsockname()
    with socket.create_connection(address) as client:
        accepted, _ = listener.accept()
        accepted.close()  # this side closes first, and its end lingers in TIME_WAIT
        client.recv(1)
    listener.close()
    (again,) = open_listeners(Server(port=address[1]))
    again.close()


@pytest.mark.parametrize(
    ("server", "remedy"),
    [
        (Server(host="192.0.2.1"), "--host 192.0.2.1 is not an address of this machine; 0.0.0.0"),
        (Server(host="no.such.host.invalid"), "--host no.such.host.invalid is not an address"),
    ],
)
def test_an_address_that_cannot_be_had_is_named_with_what_to_do(server: Server, remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=remedy):
        open_listeners(server)


def test_connections_send_without_delay_and_the_url_is_one_to_type() -> None:
    (listener,) = open_listeners(Server(port=0))
    with listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_address_of_ip_version_6_is_taken_too() -> None:
    (listener,) = open_listeners(Server(host="::1", port=0))
    with listener:
        assert url_of(listener).startswith("http://[::1]:")


def test_the_kernel_holds_little_for_a_client_that_does_not_read() -> None:
    (listener,) = open_listeners(Server(port=0))
    with listener, socket.create_connection(listener.getsockname()) as client:
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            accepted.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    accepted.send(bytes(2**14))
            unsent = int.from_bytes(fcntl.ioctl(accepted, SIOCOUTQNSD, bytes(4)), sys.byteorder)
            assert 0 < unsent < 2 * UNSENT
            assert client.recv(1)
