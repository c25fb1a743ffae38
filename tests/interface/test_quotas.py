"""Quotas in a front: what is asked for, who waits for it, and what the answers tell."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config import Allowance, Logs
from penstock.errors import QuotaExceeded, QuotaUnknown
from penstock.interface import claim
from penstock.interface.call import Call
from penstock.interface.client import Clients
from penstock.interface.client_quota import ClientQuota
from penstock.interface.quotas import STUCK_S, Quotas
from penstock.model import quota as model
from penstock.model.bucket import Grant
from penstock.model.control import Demand, Demands
from penstock.model.key import Key
from penstock.observability.logs import open_log
from penstock.observability.metrics import Figures
from penstock.supervisor import quotas as supervisor
from penstock.supervisor.ledger import Ledger
from penstock.testing import ManualTimer
from tests.interface.test_lane import ROW, World, in_flight, lines, post, until, world

Granted = Callable[[Sequence[Grant]], object]
LATE_S = 0.001  # for a question to arrive, and as much for its answer


def lender_of(said: Allowance, clock: Callable[[], float], *keys: Key, fronts: int = 1) -> supervisor.Lender:
    ledger = Ledger(open_log(Logs(file="/dev/null"), "supervisor"))
    return supervisor.Lender(said, keys, fronts, ledger, clock)


# ------------------------------------------------------------------ over HTTP
class Desk:
    """Lends in the supervisor's stead: at once, or when told to. Time stands still."""

    def __init__(self, said: Allowance) -> None:
        self.said = said
        self.timer = ManualTimer()
        self.lender = lender_of(said, self.timer.time)
        self.held: list[tuple[Sequence[Demand], Granted]] = []
        self.holds = False
        self.asked = 0

    def ask(self, demands: Sequence[Demand], granted: Granted) -> None:
        self.asked += 1
        self.held.append((demands, granted))
        if not self.holds:
            self.answer()

    def answer(self) -> None:
        held, self.held = self.held, []
        for demands, granted in held:
            granted(self.lender.grant(1, Demands(tuple(demands))).grants)


@asynccontextmanager
async def limited(tmp_path: Path, **said: Any) -> AsyncIterator[tuple[World, Desk]]:
    """A front whose clients have quotas."""
    async with world(tmp_path) as front:
        desk = Desk(Allowance(**said))
        loop, clients = asyncio.get_running_loop(), Clients(("127.0.0.1",))
        front.native.quotas = Quotas(
            model.Quotas(Allowance(**said)), clients, desk, loop, front.figures, clock=desk.timer.time
        )
        yield front, desk


def told(answer: bytes) -> tuple[int, dict[str, str], Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *rest = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in rest), json.loads(body)


def by(address: str, request: bytes) -> bytes:
    return request.replace(b"host: x", b"host: x\r\nx-forwarded-for: " + address.encode())


pytestmark = pytest.mark.anyio


async def test_an_answer_tells_of_the_quota_and_a_refusal_when_to_come_again(tmp_path: Path) -> None:
    async with limited(tmp_path, requests="3/min", requests_burst=2, rows="100/s") as (front, _):
        answers = [told(await front.send(post("/predict", ROW))) for _ in range(3)]
        assert [status for status, *_ in answers] == [200, 200, 429]
        policy = '"requests";q=3;w=60;penstock-burst=2, "rows";q=100;w=1;penstock-unit="rows"'
        assert {headers["ratelimit-policy"] for _, headers, _ in answers} == {policy}
        assert [headers["ratelimit"] for _, headers, _ in answers] == [
            '"requests";r=1;t=20, "rows";r=99;t=1',
            '"requests";r=0;t=20, "rows";r=98;t=1',
            '"requests";r=0;t=20, "rows";r=97;t=1',
        ]
        _, headers, body = answers[2]
        assert (headers["retry-after"], body["code"]) == ("20", "quota_exceeded")
        said = "This client's quota of 3 requests a minute is used up; try again in 20 seconds."
        assert body["detail"] == said
        counted = front.figures.snapshot()["counters"]
        assert [["requests"], [1]] in [list(pair) for pair in counted["penstock_quota_refusals_total"]]


async def test_through_asgi_it_is_the_same(tmp_path: Path) -> None:
    async with limited(tmp_path, requests="2/s") as (front, _):
        statuses = [(await front.through_asgi(post("/predict", ROW)))[0] for _ in range(3)]
        assert statuses == [200, 200, 429]


async def test_rows_count_one_by_one_and_a_batch_that_never_fits_is_told_so(tmp_path: Path) -> None:
    async with limited(tmp_path, rows="4/s") as (front, desk):
        three = post("/predict-batch", b'{"batch":[[1,2],[2,2],[3,1]]}')
        five = post("/predict-batch", b'{"batch":[[1,2],[2,2],[3,1],[1,1],[1,1]]}')
        assert told(await front.send(three))[0] == 200
        status, headers, body = told(await front.send(three))
        assert (status, headers["retry-after"], headers["ratelimit"]) == (429, "1", '"rows";r=1;t=1')
        assert "4 rows a second does not have 3 left now; try again in 0.5 seconds" in body["detail"]
        assert told(await front.send(post("/predict", ROW)))[0] == 200, "for one there is enough"
        status, headers, body = told(await front.send(five))
        assert (status, "retry-after" in headers) == (422, False)
        assert "Send at most 4 rows at once" in body["errors"][0]["msg"]
        desk.timer.advance(0.75)
        assert told(await front.send(three))[0] == 200


async def test_a_batch_that_is_too_large_now_keeps_nobody_out(tmp_path: Path) -> None:
    """Of 4 rows 3 are there, and all ask in the same moment: 4 are too many, and so are 3 once there are 2."""
    async with limited(tmp_path, rows="4/s") as (front, desk):
        three, four = (post("/predict-batch", json.dumps({"batch": [[1, 2]] * rows}).encode()) for rows in (3, 4))
        assert (await front.through_asgi(post("/predict", ROW)))[0] == 200
        desk.holds = True
        asked = [
            asyncio.create_task(front.through_asgi(request))
            for request in (four, post("/predict", ROW), three, post("/predict", ROW))
        ]
        await until(lambda: desk.held)
        desk.holds = False
        desk.answer()
        answers = await asyncio.gather(*asked)
        assert [status for status, _ in answers] == [429, 200, 429, 200]
        waits = [answers[place][1]["detail"].rpartition("try again in ")[2] for place in (0, 2)]
        assert waits == ["0.8 seconds.", "0.5 seconds."], "for 4 and 3 where 1 is left"
        asked_before = desk.asked
        _, body = await front.through_asgi(four)
        assert ("in 0.8 seconds" in body["detail"], desk.asked) == (True, asked_before), "as is known by now"


async def test_each_address_has_its_own_quota_and_all_of_a_64_the_same(tmp_path: Path) -> None:
    async with limited(tmp_path, requests="1/min") as (front, _):
        asked = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2:0:0:1", "2001:db8:0:1::1", "::ffff:192.0.2.1")
        statuses = [told(await front.send(by(address, post("/predict", ROW))))[0] for address in asked]
        assert statuses == [200, 200, 200, 429, 200, 429]


async def test_who_is_known_to_be_refused_need_not_send_the_body(tmp_path: Path) -> None:
    async with limited(tmp_path, requests="1/min") as (front, desk):
        statuses = [told(await front.send(post("/predict", ROW)))[0] for _ in range(2)]
        asked = desk.asked
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(post("/predict", ROW).partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        assert b" 429 " in await asyncio.wait_for(reader.readuntil(b"}"), 5)
        writer.close()
        assert (statuses, desk.asked) == ([200, 429], asked)


async def test_who_is_refused_while_it_still_sends_is_told_when_the_body_is_there_and_nothing_is_decoded(
    tmp_path: Path,
) -> None:
    async with limited(tmp_path, requests="1/min", rows="9/s") as (front, desk):
        assert told(await front.send(post("/predict", ROW)))[0] == 200
        head, _, body = post("/predict", ROW).partition(b"\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(head + b"\r\n\r\n")
        await until(lambda: desk.asked == 2)  # for one request and its row, and now for one more request
        writer.write(body)
        status, headers, _ = told(await asyncio.wait_for(reader.readuntil(b"}"), 5))
        writer.close()
        assert (status, headers["ratelimit"]) == (429, '"requests";r=0;t=60, "rows";r=8;t=1')


async def test_those_who_come_in_one_turn_are_asked_for_together(tmp_path: Path) -> None:
    async with limited(tmp_path, requests="10/s", rows="9/s") as (front, desk):
        desk.holds = True
        asked = [asyncio.create_task(front.through_asgi(post("/predict", ROW))) for _ in range(12)]
        await until(lambda: desk.held)
        ((demands, _),) = desk.held
        assert sorted((demand.unit, len(demand.sizes)) for demand in demands) == [("requests", 12), ("rows", 12)]
        desk.holds = False
        desk.answer()
        statuses = [status for status, _ in await asyncio.gather(*asked)]
        assert sorted(statuses) == [200] * 9 + [429] * 3


async def test_who_goes_away_while_the_quota_is_asked_for_is_never_computed(tmp_path: Path) -> None:
    async with limited(tmp_path, requests="10/s") as (front, desk):
        desk.holds = True
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(post("/predict", ROW))
        await until(lambda: desk.held)
        writer.close()
        await until(lambda: [line["status"] for line in lines(front.log)] == [499])
        desk.answer()
        await asyncio.sleep(0)
        assert (front.host.sent, front.batcher.queued_rows, in_flight(front)) == ([], 0, 0)


async def test_who_lends_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "WAIT_S", 0.05)
    async with limited(tmp_path, requests="10/s") as (front, desk):
        desk.holds = True
        status, headers, body = told(await front.send(post("/predict", ROW)))
        assert (status, headers["retry-after"], body["code"]) == (503, "1", "quota_unknown")
        status, _, body = told(await front.send(post("/predict", ROW, b"x-request-timeout-ms: 30")))
        assert (status, body["code"]) == (504, "deadline_exceeded")
        desk.timer.advance(STUCK_S + 0.1)  # it has not answered for so long: nobody waits now
        waited = len(desk.held)
        assert told(await front.send(post("/predict", ROW)))[2]["code"] == "quota_unknown"
        assert len(desk.held) == waited
        desk.holds = False
        desk.answer()
        assert told(await front.send(post("/predict", ROW)))[0] == 200


async def test_only_predictions_count(tmp_path: Path) -> None:
    async with limited(tmp_path, requests="1/min") as (front, _):
        got = post("/health", b"").replace(b"POST", b"GET", 1)
        assert {(await front.through_asgi(got))[0] for _ in range(3)} == {404}
        assert told(await front.send(post("/models/m/predict", ROW)))[0] == 200
        assert told(await front.send(post("/predict-batch", b'{"batch":[[1,2]]}')))[0] == 429


async def test_a_front_remembers_so_many_addresses_and_no_more() -> None:
    desk = Desk(Allowance(requests="10/min"))
    loop: Any = asyncio.get_running_loop()
    front = Quotas(model.Quotas(desk.said), Clients(()), desk, loop, Figures(), clock=desk.timer.time, most=4)
    refused = 0
    desk.holds = True
    for n in range(30):
        call = Call({"headers": [], "client": (f"192.0.2.{n}", 1), "query_string": b""})
        try:
            front.enter(call)
        except QuotaUnknown:
            refused += 1
        assert front.addresses <= 4
        await asyncio.sleep(0)
        if n == 9:  # until then four wait for an answer, and who waits is not forgotten
            desk.holds = False
            desk.answer()
    assert refused == 6


async def test_quotas_of_keys_that_change_hold_for_who_is_known_already() -> None:
    def key(requests: str | None) -> list[Key]:
        quota = None if requests is None else Allowance(requests=requests)
        return [Key(name="a", sha256="0" * 64, rights=("predict",), quota=quota)]

    desk = Desk(Allowance())
    loop: Any = asyncio.get_running_loop()
    front = Quotas(model.Quotas(Allowance()), Clients(()), desk, loop, Figures(), clock=desk.timer.time)
    told = []
    for requests in ("10/min", "20/s", None, "30/min"):
        front.update(key(requests))
        call = Call({"headers": [], "client": ("192.0.2.1", 1), "query_string": b""})
        call.key = key(requests)[0]
        front.enter(call)
        await asyncio.sleep(0)
        told.append(front.any and call.quota is not None and call.quota.headers()[0][1])
    assert told == [b'"requests";q=10;w=60', b'"requests";q=20;w=1', False, b'"requests";q=30;w=60']


async def test_who_is_refused_what_has_no_quota_any_more_is_told_nothing_of_it() -> None:
    known = ClientQuota("key:a", model.limits_of(Allowance(requests="1/min")))
    refusal = QuotaExceeded("used up", unit="requests", retry_after=60)
    assert dict(known.refused(refusal)) == {
        b"ratelimit-policy": b'"requests";q=1;w=60',
        b"ratelimit": b'"requests";r=1;t=60',
    }
    known.change(model.NO_LIMITS)
    assert known.refused(refusal) == ()


# ------------------------------------------------------------------ several fronts
class Channel:
    """Between a front and the supervisor: what is said arrives later, in order, or never if the front has died."""

    def __init__(self, timer: ManualTimer, lender: supervisor.Lender, number: int) -> None:
        self.timer = timer
        self.lender = lender
        self.number = number
        self.dead = False
        self.busy_s = 0.0

    def ask(self, demands: Sequence[Demand], granted: Granted) -> None:
        def arrived() -> None:
            grants = self.lender.grant(self.number, Demands(tuple(demands))).grants
            self.timer.call_later(LATE_S, lambda: None if self.dead else granted(grants))

        self.timer.call_later(LATE_S + self.busy_s, arrived)


class Loop:
    def __init__(self, timer: ManualTimer) -> None:
        self.call_later = timer.call_later

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.call_later(0.0, callback)


class Fronts:
    """Some fronts of one supervisor, and what they have let pass of two clients, and when."""

    def __init__(self, said: Allowance, count: int) -> None:
        self.said = said
        self.timer = ManualTimer()
        self.lender = lender_of(said, self.timer.time, fronts=count)
        self.numbers = count
        self.fronts = [self.start(number) for number in range(count)]
        self.passed: dict[str, list[float]] = {"192.0.2.1": [], "192.0.2.2": []}
        self.refused = 0

    def start(self, number: int) -> Quotas:
        self.channel = Channel(self.timer, self.lender, number)
        loop = Loop(self.timer)
        return Quotas(
            model.Quotas(self.said),
            Clients(()),
            self.channel,
            loop,
            Figures(),
            clock=self.timer.time,
            most=1 + number % 2,
        )

    def restart(self, place: int) -> None:
        """The front dies and another begins, which knows nothing."""
        self.numbers += 1
        self.fronts[place] = self.start(self.numbers)

    def ask(self, place: int, address: str) -> None:
        call = Call({"headers": [], "client": (address, 1), "query_string": b""})
        quotas = self.fronts[place]
        waiting: Any = Waiting(self, address)
        try:
            quotas.enter(call)
            if call.claim is None:
                waiting.queue(waiting)
            else:
                quotas.queue(call.claim, waiting, waiting.queue)
        except (QuotaExceeded, QuotaUnknown):
            self.refused += 1


class Waiting:
    """Stands for a ticket that waits for its client's quota."""

    done = False

    def __init__(self, fronts: Fronts, address: str) -> None:
        self.queued_at = fronts.timer.now
        self.deadline = self.queued_at + 9
        self._fronts = fronts
        self._address = address

    def queue(self, ticket: object) -> None:
        self._fronts.passed[self._address].append(self._fronts.timer.now)

    def fail(self, error: Exception) -> None:
        self._fronts.refused += 1


async def test_a_supervisor_that_is_busy_for_a_while_has_requests_wait_and_none_refused() -> None:
    fronts = Fronts(Allowance(requests="10/s"), 1)
    fronts.channel.busy_s = 1.8  # as long as many models take to be read anew
    for _ in range(3):
        fronts.ask(0, "192.0.2.1")
        fronts.timer.advance(0.5)
    assert (fronts.passed["192.0.2.1"], fronts.refused) == ([], 0)
    fronts.channel.busy_s = 0.0
    fronts.timer.advance(0.5)
    assert (len(fronts.passed["192.0.2.1"]), fronts.refused) == (3, 0)


ASK = st.tuples(st.integers(0, 2), st.sampled_from([*["192.0.2.1"] * 4, "192.0.2.2"]), st.sampled_from([1, 3, 70]))
PASS = st.sampled_from([3 * LATE_S, 3 * LATE_S, 0.2, 0.95, 1.5])


@settings(max_examples=150)
@given(
    st.sampled_from(["2/s", "300/min", "300/s"]),
    st.sampled_from([1, 4, 60]),
    st.lists(st.one_of(ASK, ASK, ASK, PASS, PASS, st.integers(0, 2)), min_size=20, max_size=60),
)
def test_all_fronts_together_never_let_more_pass_and_answer_everybody(rate: str, burst: int, steps: list[Any]) -> None:
    """What passes here was granted LATE_S before, so a stretch of time may be longer by that. Fronts die, and forget
    clients, since there is room for one of them or two."""
    fronts = Fronts(Allowance(requests=rate, requests_burst=burst), 3)
    asked = 0
    for step in steps:
        if isinstance(step, float):
            fronts.timer.advance(step)
        elif isinstance(step, int):
            fronts.restart(step)
        else:
            place, address, times = step
            asked += times
            for _ in range(times):
                fronts.ask(place, address)
    fronts.timer.advance(STUCK_S + 0.1)
    assert fronts.refused + sum(map(len, fronts.passed.values())) == asked
    most, _, window = rate.partition("/")
    a_second = int(most) / {"s": 1, "min": 60}[window]
    for times in fronts.passed.values():
        for first, began in enumerate(times):
            for place, at in enumerate(times[first:], 1):
                assert place <= burst + a_second * (at - began + LATE_S) + 1e-6
