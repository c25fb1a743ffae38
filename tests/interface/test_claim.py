"""What becomes of a request that waited for leave, once that is given."""

from typing import Any

import pytest

from penstock.errors import QuotaUnknown
from penstock.inference.rows import Rows
from penstock.inference.ticket import Ticket
from penstock.interface.claim import Claim
from penstock.testing import ManualTimer


@pytest.mark.parametrize("kind", [QuotaUnknown, ValueError], ids=["refused", "a bug"])
def test_a_request_that_cannot_be_queued_fails_and_is_not_lost(kind: type[Exception]) -> None:
    error = kind()

    def queue(_: Ticket) -> Any:
        raise error

    settled: list[Ticket] = []
    ticket = Ticket(Rows(1, [b""]), settled.append, deadline=60.0, queued_at=0.0)
    claim = Claim()
    claim.pending += 1
    claim.then(ticket, queue, ManualTimer().call_later)
    claim.passed()
    assert settled == [ticket]
    assert ticket.error is error
