"""What is logged and counted of every request, when its answer is out."""

import traceback
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from msgspec import UNSET

from penstock.errors import RequestError
from penstock.inference.served import ServedVersion
from penstock.interface.call import Call, Scope, request_id
from penstock.interface.client import Clients
from penstock.interface.completed import count, told
from penstock.interface.errors import ErrorResponse, clip, code_of, error_response, is_foreseen, sentence_of
from penstock.observability import catalog
from penstock.observability.logs import Log, PredictionLine
from penstock.observability.metrics import Figures
from penstock.observability.requests import PredictionMeter, RequestMeter
from penstock.observability.timestamps import timestamp

UNMATCHED = "unmatched"
"""The route of requests that no route matched: their paths are the client's own words and must not become labels."""


GATHER_S = 0.02  # how long the accounts of predictions wait for one another
MOST_GATHERED = 64
MOST_GATHERED_BYTES = 256 * 2**10
LONGEST_PATH = 200  # characters: it is the client's own word
MOST_FEATURES = 20  # that a warning names

Later = Callable[[float, Callable[[], object]], object]
"""Calls something back after so many seconds."""


class Account(NamedTuple):
    """A prediction that was answered: all there is to say of it once somebody has the time."""

    route: str
    call: Call
    status: int
    latency_s: float
    timestamp: str


class Accounts:
    """Writes the log line of a prediction and keeps the figures of all requests.

    Predictions are settled some at a time, which costs each of them a fraction of what it would cost alone, and never
    between one answer and the next: `settle` makes log and figures complete.
    """

    def __init__(self, log: Log, figures: Figures, process: str, later: Later, clients: Clients) -> None:
        self._later = later
        self._gathered: list[Account] = []
        self._bytes = 0
        self._log = log
        self._clients = clients
        self._figures = figures
        self._in_flight = figures.gauge(catalog.IN_FLIGHT).child()
        self._predictions: dict[tuple[str, ServedVersion], PredictionMeter] = {}
        self._requests: dict[str, RequestMeter] = {}
        figures.counter(catalog.LINES_DROPPED).child(process).watch(lambda: log.dropped)

    def begun(self) -> None:
        """A request has arrived; one of `prediction` and `operation` will follow."""
        self._in_flight.value += 1

    def prediction(self, route: str, call: Call, status: int) -> None:
        """A prediction was answered with `status`."""
        self._in_flight.value -= 1
        gathered = self._gathered
        gathered.append(Account(route, call, status, call.elapsed(), timestamp()))
        self._bytes += call.nbytes
        if len(gathered) >= MOST_GATHERED or self._bytes >= MOST_GATHERED_BYTES:
            self.settle()
        elif len(gathered) == 1:
            self._later(GATHER_S, self.settle)

    def settle(self) -> None:
        """Logs and counts the predictions that were answered."""
        gathered, self._gathered, self._bytes = self._gathered, [], 0
        for account in gathered:
            try:
                self._settle(account)
            except Exception:  # noqa: BLE001 # one odd request must not cost the others their accounts
                self.bug(account.call, traceback.format_exc())

    def _settle(self, account: Account) -> None:
        route, call, status, latency_s, _ = account
        served = call.served
        meter = self._request_meter(route) if served is None else self._prediction_meter(route, served)
        if call.error is not None:
            meter.failed(status, latency_s, code_of(call.error))
        elif isinstance(meter, PredictionMeter) and (result := call.result) is not None:
            meter.predicted(latency_s, result.queue_s, result.inference_s, call.decode_s, call.encode_s)
        if served is not None and served.trial is not None and call.query.version is None:
            served.trial.answered(status, latency_s, in_batch=call.result is None or call.result.batch_rows > 0)
        if call.findings is not None and served is not None:
            self._found(self._prediction_meter(route, served), call, served)
        if call.completed is not None and served is not None and served.context is not None:
            count(self._prediction_meter(route, served), served.context, call.completed, answered=status == 200)
        self._log.write(_line(account, self._clients.of(call.scope)))

    def forget(self, served: ServedVersion) -> None:
        """A version is served no more: its last predictions are accounted for."""
        self.settle()
        for key in [key for key in self._predictions if key[1] is served]:
            del self._predictions[key]

    def operation(self, call: Call, status: int, code: str | None) -> None:
        """A request to anything but a prediction was answered; `code` is that of the error, if it ended in one.

        Not ready is no error of the question whether to send requests: that is 503 and has no code.
        """
        self._in_flight.value -= 1
        meter = self._request_meter(getattr(call.scope.get("route"), "path", UNMATCHED))
        if code is None:
            meter.answered(status, call.elapsed())
        else:
            meter.failed(status, call.elapsed(), code)
            self._log.warning(
                "request_refused",
                request_id=call.request_id,
                client=self._clients.of(call.scope),
                **({"key": call.key.name} if call.key is not None else {}),
                method=call.scope["method"],
                path=clip(call.scope["path"], LONGEST_PATH),
                status=status,
                code=code,
            )

    def refused(self, error: RequestError, scope: Scope) -> ErrorResponse:
        """The answer to a request that never reached the application; `scope` is what is known of it."""
        number = request_id(None)
        response = error_response(error, number)
        self._request_meter(UNMATCHED).failed(response.status, 0.0, error.code)
        self._log.warning(
            "request_refused",
            request_id=number,
            client=self._clients.of(scope),
            status=response.status,
            code=error.code,
            detail=str(error),
        )
        return response

    def bug(self, call: Call, trace: str) -> None:
        """Something was raised that nobody foresaw."""
        self._log.error("internal_error", request_id=call.request_id, traceback=trace)

    def _found(self, meter: RequestMeter, call: Call, served: ServedVersion) -> None:
        """Counts what is odd about the rows, and warns of it: they are served as they are."""
        findings = call.findings
        if findings is None or not isinstance(meter, PredictionMeter):
            return
        for feature, n in findings.missing.items():
            meter.missing(feature, n)
        for feature, n in findings.out_of_range.items():
            meter.out_of_range(feature, n)
        for feature, n in findings.unknown.items():
            meter.unknown(feature, n)
        if findings.out_of_range or findings.unknown:
            self._log.warning(
                "unusual_input",
                request_id=call.request_id,
                model=served.model,
                model_version=served.version,
                out_of_range=_some(findings.out_of_range),
                unknown_category=_some(findings.unknown),
            )

    def _request_meter(self, route: str) -> RequestMeter:
        meter = self._requests.get(route)
        if meter is None:
            meter = self._requests[route] = RequestMeter(self._figures, route)
        return meter

    def _prediction_meter(self, route: str, served: ServedVersion) -> PredictionMeter:
        meter = self._predictions.get((route, served))
        if meter is None:
            meter = PredictionMeter(self._figures, route, served.model, served.version)
            self._predictions[route, served] = meter
        return meter


def _some(counts: dict[str, int]) -> dict[str, int]:
    """As much of it as a line of the log bears; the figures have it all."""
    return dict(islice(counts.items(), MOST_FEATURES))


def _line(account: Account, client: str | None) -> PredictionLine:
    _, call, status, latency_s, stamp = account
    served, rows, result, error = call.served, call.rows, call.result, call.error
    line = PredictionLine(
        timestamp=stamp,
        request_id=call.request_id,
        client=client,
        key=call.key.name if call.key is not None else UNSET,
        model=served.model if served else call.model,
        model_version=served.version if served else "",
        status=status,
        rows=rows.count if rows else None,
        latency_ms=latency_s * 1000,
        queue_ms=(result or call).queue_s * 1000,
    )
    if result is not None and served is not None and served.cache is not None:
        line.cached_rows = result.cached_rows
    if rows is not None and served is not None:
        line.input_shape = (rows.count, *served.row_shape(rows))
        if result is not None and rows.count == 1:
            line.prediction = call.prediction
            line.confidence = result.confidence[0] if result.confidence else None
    if call.completed is not None and served is not None and served.context is not None:
        line.context = told(served.context, call.completed)
    if error is not None:
        line.code = code_of(error)
        said = sentence_of(error) if is_foreseen(error) else "unexpected; see the internal_error line"
        words = [said, *getattr(error, "__notes__", ())]
        line.detail = " ".join(words)
    return line
