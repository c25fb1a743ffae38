"""The files of the certificate are taken when they are a pair, and what is none is told of once."""

from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from penstock.config import Server
from penstock.model.tls import Pair, read_pair
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.renewal import LOOK_S, Renewal
from penstock.testing import ManualTimer
from tests.certificates import Files, certificate

pytestmark = pytest.mark.needs("openssl")


class Loop(NamedTuple):
    """The supervisor's, as far as it is needed."""

    timer: ManualTimer

    def later(self, delay: float, callback: Any) -> Any:
        return self.timer.call_later(delay, callback)


class Renewing:
    """A service that has read `files`, and looks after them in a time of its own; it is its own log."""

    def __init__(self, files: Files) -> None:
        self.taken: list[Pair] = []
        self.timer = ManualTimer()
        self.events: list[str] = []
        equipment = Equipment(cast(Any, Loop(self.timer)), cast(Any, self), cast(Any, None))
        server = Server(tls_cert=str(files.certificate), tls_key=str(files.key))
        pair = read_pair(server.tls_cert, server.tls_key)
        assert pair is not None
        Renewal(equipment, server, pair, self.taken.append).start()

    def look(self, times: int = 1) -> list[str]:
        """Lets it look so often; returns the events of the log until then."""
        self.timer.advance(times * LOOK_S)
        return list(self.events)

    def info(self, event: str, **_: object) -> None:
        self.events.append(event)

    error = info


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return certificate(tmp_path)


def test_a_new_pair_is_taken_once(files: Files, tmp_path: Path) -> None:
    renewing = Renewing(files)
    assert renewing.look(3) == []
    files.take(certificate(tmp_path, "next", kind="rsa"))
    assert renewing.look(5) == ["certificate_taken"]
    assert renewing.taken == [read_pair(str(files.certificate), str(files.key))]
    files.take(files)
    assert renewing.look(5) == ["certificate_taken"], "the same one anew is nothing new"


def test_half_a_pair_is_waited_for_and_told_of_once_when_nobody_writes_on(files: Files, tmp_path: Path) -> None:
    renewing, new = Renewing(files), certificate(tmp_path, "next")
    files.key.write_bytes(new.key.read_bytes())
    assert renewing.look() == [], "whoever renews it may be about to write the other one"
    files.certificate.write_bytes(new.certificate.read_bytes())
    assert renewing.look(5) == ["certificate_taken"]
    files.key.write_text("-----BEGIN PRIVATE KEY-----\nnonsense")
    assert renewing.look(9) == ["certificate_taken", "certificate_refused"]
    files.key.unlink()
    assert renewing.look(9) == ["certificate_taken", "certificate_refused", "certificate_refused"]
    assert len(renewing.taken) == 1
    files.key.write_bytes(new.key.read_bytes())
    assert renewing.look(9)[-1] == "certificate_refused", "the one in force is back, and no other"
    assert len(renewing.taken) == 1


def test_what_was_exchanged_between_the_start_and_the_first_look_is_seen(files: Files, tmp_path: Path) -> None:
    renewing = Renewing(files)
    files.take(certificate(tmp_path, "next"))
    assert renewing.look() == ["certificate_taken"]
