"""What is said of a store that fails: something, and not too often."""

from penstock.inference.stores.complaint import QUIET_S, Complaint
from penstock.observability.logs import Log
from penstock.testing import ManualTimer
from tests.inference.stores.conftest import Told


def test_a_reason_is_told_at_most_every_ten_seconds(log: Log, told: Told) -> None:
    timer = ManualTimer()
    complain = Complaint("users", log, timer.time)
    for reason in ("first", "at once"):
        complain(reason)
    timer.advance(QUIET_S)
    complain("later")
    assert [(line["event"], line["store"], line["reason"]) for line in told()] == [
        ("store_failed", "users", "first"),
        ("store_failed", "users", "later"),
    ]
