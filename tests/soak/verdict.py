"""Which failures a client has to put up with while fronts and hosts are killed, and which nobody may have caused."""

from collections import Counter
from typing import NamedTuple

from tests.soak.timeline import LAG_S, Timeline, near

PREDICT_TIMEOUT_S = 2.0
SLOW_S = 2.0  # what a client has for its headers, and for its body
TICK_S = 0.05  # clocks that are compared


class Outcome(NamedTuple):
    """What came of one request: the status and code of its answer, or 0 where the connection was lost.

    `front` is what the ids of all requests have in common that one front gave them, "" where none is known; times are
    in seconds since the epoch.
    """

    client: str
    opened: float
    sent: float
    ended: float
    front: str
    status: int
    code: str = ""
    retry_after: bool = False
    deadline_s: float | None = None


class Record:
    """All that clients saw."""

    def __init__(self) -> None:
        self.right: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.failed: list[Outcome] = []
        self.last_answer: dict[str, float] = {}  # of each front


def unexplained(record: Record, timeline: Timeline, kills: list[float]) -> list[str]:
    """The failures that no rule allows, each with what the log says around it. `kills`: when fronts were killed from
    outside."""
    deaths = [*timeline.fronts, *kills]
    failed = [outcome for outcome in record.failed if not _explained(outcome, record, timeline, deaths)]
    return ["\n".join([str(outcome), *timeline.around(outcome.sent, outcome.ended)]) for outcome in failed]


def _explained(outcome: Outcome, record: Record, timeline: Timeline, deaths: list[float]) -> bool:
    match outcome.status, outcome.code:
        case 0, _:
            return _lost_with_its_front(outcome, record, deaths)
        case 503, "host_lost":  # a host died with it, or it waited in vain for another one
            died = near(timeline.hosts, outcome.sent, outcome.ended)
            return outcome.retry_after and (died or _without_hosts(outcome, timeline))
        case 503, "not_ready":
            return outcome.retry_after and _without_hosts(outcome, timeline)
        case 503, "wait_too_long":  # so much waited, for a host that was stopped say, that it would have been late
            return outcome.retry_after and outcome.deadline_s is not None
        case 500, "model_failed":  # it was alone in the batch that a host held when that was killed
            return near(timeline.hosts, outcome.sent, outcome.ended)
        case 504, "predict_timeout":  # a host was stopped; what it held is given up, and then the host
            waited = outcome.ended - outcome.sent >= PREDICT_TIMEOUT_S - TICK_S
            return waited and near(timeline.hung, outcome.sent, outcome.ended)
        case 504, "deadline_exceeded":
            return outcome.deadline_s is not None and outcome.ended - outcome.sent >= outcome.deadline_s - TICK_S
        case 408, "slow_request":
            return outcome.client == "slow" and outcome.ended - outcome.sent >= SLOW_S - TICK_S
    return False


def _lost_with_its_front(outcome: Outcome, record: Record, deaths: list[float]) -> bool:
    """A connection may be lost when a front dies: the one that it leads to, which answers nobody ever after."""
    ended, last = outcome.ended, record.last_answer.get(outcome.front, 0.0)
    return any(ended - LAG_S <= death <= ended + LAG_S and last <= death + LAG_S for death in deaths)


def _without_hosts(outcome: Outcome, timeline: Timeline) -> bool:
    return timeline.fewest_hosts(outcome.sent - LAG_S, outcome.ended + LAG_S) == 0
