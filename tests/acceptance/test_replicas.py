"""Two processes of one model: while one is dead, hung or on its way back, the other serves, and nobody waits."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.acceptance.behaving import DIE, HANG, HOLD
from tests.acceptance.driver import Load, Service, serving, wait_until
from tests.acceptance.test_hosts import Asking
from tests.acceptance.test_statuses import until_called

TWO = ("--replicas", "2", "--max-rows", "1")


def until_both(service: Service, before: Sequence[int] = ()) -> list[int]:
    """Waits until both replicas serve, and are not the two that they were `before`; their processes."""
    wait_until(lambda: len(now := pids(service)) == 2 and now != before, "two replicas", service.explain)
    return pids(service)


def pids(service: Service) -> list[int]:
    versions = service.get("/models/behaving").body["versions"]
    return sorted(versions[0]["pids"])


def test_while_one_replica_hangs_the_other_serves_at_once(behaving: Callable[[], Any], tmp_path: Path) -> None:
    _, arguments, record = behaving()
    with serving(*arguments, *TWO, "--predict-timeout-s", "5", cwd=tmp_path) as service:
        before = until_both(service)
        hung = Asking(service, HANG, 101)
        until_called(record, "101")
        answers = [service.predict(0, name) for name in range(1, 21)]
        assert hung.is_alive(), "twenty answers came before the hung one was given up"
        assert [answer.body["prediction"] for answer in answers] == list(range(1, 21))
        late = hung.wait()
        assert (late.status, late.body["code"]) == (504, "predict_timeout")
        after = until_both(service, before)  # its client hears of the end before the supervisor does
        assert len(set(before) & set(after)) == 1


def test_what_kills_one_replica_is_500_and_meanwhile_the_other_serves(
    behaving: Callable[[], Any], tmp_path: Path
) -> None:
    _, arguments, _ = behaving()
    with serving(*arguments, *TWO, cwd=tmp_path) as service:
        before = until_both(service)
        assert service.predict(DIE, 101).status == 500
        assert [service.predict(0, name).status for name in range(20)] == [200] * 20
        after = until_both(service, before)
        assert len(set(before) & set(after)) == 1


def test_a_replica_killed_from_outside_costs_only_its_own_batch(behaving: Callable[[], Any], tmp_path: Path) -> None:
    """Each of the two holds a request; one of them is killed."""
    _, arguments, record = behaving()
    with serving(*arguments, *TWO, cwd=tmp_path) as service:
        killed, spared = until_both(service)
        holding = [Asking(service, HOLD, 101), Asking(service, HOLD, 102)]
        until_called(record, "101")
        until_called(record, "102")
        waiting = Asking(service, 0, 103)
        os.kill(killed, signal.SIGKILL)
        assert waiting.wait().status == 200
        assert spared in until_both(service, [killed, spared])
        record.with_name("release").touch()
        assert sorted(each.wait().status for each in holding) == [200, 500]


def test_replicas_killed_in_turn_under_load_never_leave_it_without_an_answer(
    behaving: Callable[[], Any], tmp_path: Path
) -> None:
    _, arguments, _ = behaving()
    with serving(*arguments, *TWO, cwd=tmp_path) as service, Load(service, features=[0, 1]) as load:
        until_both(service)
        for _ in range(4):
            load.wait_for(len(load.answers) + 200)
            before = pids(service)
            os.kill(before[0], signal.SIGKILL)
            load.wait_for(len(load.answers) + 200)
            until_both(service, before)
        load.stop()
        assert load.failures == []
        others = [status for status in load.answers if status != 200]
        assert set(others) <= {500, 503}
        assert len(others) <= 4  # the one request that was with each
