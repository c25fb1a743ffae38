"""Whose doing it is that rows were not computed."""

from penstock.errors import HostLost, ModelFailed, PredictTimeout
from penstock.inference.batcher import ENDED
from penstock.inference.computation import Links
from penstock.inference.ticket import Ticket

OWN = (ModelFailed, HostLost, PredictTimeout)
"""What is the doing of the model or of the rows: whoever wants the same rows would get it, too."""


def error_of(ticket: Ticket) -> Exception:
    """What its owner is told: a host that has answered something else than so many rows has failed."""
    return ticket.error if ticket.result is None and ticket.error is not None else ModelFailed()


def is_shared(error: Exception, by: Ticket, links: Links) -> bool:
    """Whether who wanted rows by these links would get the same error: where it is their own, and they are all."""
    return isinstance(error, OWN) and len({row for row, _ in links}) == len(by.keys)


def is_end(error: Exception) -> bool:
    """Whether it tells of the end of the model's process, which some of the rows may be the cause of."""
    return isinstance(error, HostLost | PredictTimeout) or (isinstance(error, ModelFailed) and str(error) == ENDED)
