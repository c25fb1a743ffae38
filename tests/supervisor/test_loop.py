"""The loop calls back when something happens, in order, and never for what has been forgotten."""

import os
import signal
import socket

from penstock.supervisor.loop import Loop


def test_timers_fire_in_the_order_of_their_times_unless_they_are_cancelled() -> None:
    now = 0.0
    fired: list[str] = []
    with Loop(lambda: now) as loop:
        loop.later(2, lambda: fired.append("second"))
        loop.later(1, lambda: fired.append("first"))
        loop.later(1.5, lambda: fired.append("never")).cancel()
        loop.turn(0)
        assert fired == []
        now = 2.0
        loop.turn(0)
    assert fired == ["first", "second"]


def test_a_descriptor_forgotten_by_one_callback_is_not_called_back_in_the_same_turn() -> None:
    first, second = socket.socketpair()
    called: list[int] = []
    with Loop() as loop, first, second:

        def forget(own: socket.socket, other: socket.socket) -> None:
            called.append(own.fileno())
            loop.unwatch(other.fileno())

        loop.watch(first.fileno(), lambda: forget(first, second))
        loop.watch(second.fileno(), lambda: forget(second, first))
        first.send(b"x")
        second.send(b"x")
        loop.turn(1)
        assert len(called) == 1


def test_writable_is_called_only_while_it_is_asked_for() -> None:
    here, there = socket.socketpair()
    room: list[str] = []
    with Loop() as loop, here, there:
        loop.watch(here.fileno(), lambda: None, lambda: room.append("room"))
        loop.turn(1)
        loop.watch(here.fileno(), lambda: None)
        loop.turn(0)
    assert room == ["room"]


def test_watching_again_with_the_same_callbacks_changes_nothing() -> None:
    here, there = socket.socketpair()
    called: list[str] = []

    class Reader:
        def read(self) -> None:
            called.append("read")

    reader = Reader()
    with Loop() as loop, here, there:
        loop.watch(here.fileno(), reader.read)
        loop.watch(here.fileno(), reader.read)
        there.send(b"x")
        loop.turn(1)
    assert called == ["read"]


def test_a_signal_is_answered_from_the_loop_and_given_back_with_it() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    heard: list[str] = []
    with Loop() as loop:
        loop.on_signal(signal.SIGUSR1, lambda: heard.append("usr1"))
        os.kill(os.getpid(), signal.SIGUSR1)
        assert heard == []
        loop.turn(1)
    assert heard == ["usr1"]
    assert signal.getsignal(signal.SIGUSR1) is before


def test_stop_ends_run() -> None:
    with Loop() as loop:
        loop.later(0, loop.stop)
        loop.run()
