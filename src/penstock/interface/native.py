"""The native dialect: `/predict` and `/predict-batch`, for the default model and for each by name."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from starlette.exceptions import HTTPException

from penstock.config import Limits
from penstock.errors import NoContext, NotReady
from penstock.inference.engine import Engine, Place
from penstock.inference.served import ServedVersion
from penstock.inference.ticket import NOT_YET, Freshness, Result, Ticket
from penstock.interface.access import Access
from penstock.interface.answers import Labels, Prediction, Predictions, encode
from penstock.interface.call import Call
from penstock.interface.context import ContextReader
from penstock.interface.decoder import RowDecoder
from penstock.interface.incomplete import IncompleteRow
from penstock.interface.query import misfit
from penstock.interface.quotas import Quotas
from penstock.interface.scope import clock
from penstock.interface.zeros import refusing_zeros
from penstock.observability.timestamps import timestamp

JSON_TYPE = (b"content-type", b"application/json")
NAMED = re.compile(r"/models/([^/]+)/(predict|predict-batch|predict-with-context)")
Headers = list[tuple[bytes, bytes]]
HIT: Headers = [(b"x-cache", b"hit")]
MISS: Headers = [(b"x-cache", b"miss")]
BYPASS: Headers = [(b"x-cache", b"bypass")]


class Reply(NamedTuple):
    status: int
    headers: Headers
    body: bytes


class Codec:
    """What stands between JSON and one version: the decoder of its rows and the labels of its answers."""

    def __init__(self, served: ServedVersion, limits: Limits) -> None:
        decoder = RowDecoder(served.signature, limits)
        self.single = refusing_zeros(decoder.single, served.signature, "features")
        self.batch = refusing_zeros(decoder.batch, served.signature, "batch")
        labels = Labels(served.signature)
        self.context = ContextReader(served.context, served.signature, limits) if served.context else None
        self.predictions = labels.of
        self.chances = labels.chances


class Endpoint:
    """Answers one path, in three steps: `admit` the head of a request, `submit` its body, `reply` with the result.

    `model` is None for the default model's; `route` is the path's template.
    """

    def __init__(self, native: "Native", route: str, model: str | None, *, batch: bool) -> None:
        self.route = route
        self._native = native
        self._model = model
        self._batch = batch

    def admit(self, call: Call) -> None:
        """Looks at all but the body. Raises what can be refused already."""
        native = self._native
        call.key = native.access.demand(call.headers, "predict", call.shown)
        if call.scope["method"] != "POST":
            raise HTTPException(405, headers={"Allow": "POST"})
        if native.quotas is not None:
            native.quotas.enter(call)
        call.query = call.read_query()
        call.model = native.known(self._model)
        call.served = native.engine.enter(self._model, call.query.version, call.headers, call.request_id)
        if call.query.probabilities and not call.served.signature.output.probabilities:
            raise misfit("This model states no probabilities; leave the parameter out.", "probabilities")
        call.require_json()
        call.require_length(native.limits)

    def submit(self, call: Call, body: bytes, settled: Callable[[Ticket], object]) -> Ticket:
        """Queues the rows of the body. Raises what is wrong with them, or that there is no time or room for them."""
        native = self._native
        served, place = self._place(call)
        began = clock()
        codec = native.codec(served)
        rows = call.rows = codec.batch(body) if self._batch else codec.single(body)
        call.findings = served.check(rows)
        call.decode_s = clock() - began
        ticket = native.engine.ticket(rows, settled, place, probabilities=call.query.probabilities)
        self._queue(call, served, ticket, waited=False)
        return ticket

    def _place(self, call: Call) -> tuple[ServedVersion, Place]:
        """Where the request goes, and its place there. Raises that there is none, or that its client may not."""
        served = call.served
        if served is None:
            raise NotReady
        if call.claim is not None and call.claim.refusal is not None:
            raise call.claim.refusal
        high = served.heeds_priority and call.is_high(by_key=served.keys_have_priority)
        return served, self._native.engine.admit(served, call.deadline_s(), high=high)

    def _queue(self, call: Call, served: ServedVersion, ticket: Ticket, *, waited: bool) -> None:
        """Queues a ticket whose rows are whole, as soon as its client's quota allows it; that may settle it at once.
        `waited` says whether the rows had to be waited for."""
        call.nbytes = ticket.nbytes
        if served.cache is not None and b"cache-control" in call.headers:
            ticket.freshness = call.freshness()
        quotas, submit = self._native.quotas, self._native.engine.submit
        if call.quota is not None and quotas is not None:
            quotas.spend_rows(call, call.quota, ticket.rows.count)
        if call.claim is None or quotas is None:
            submit(served, ticket, waited=waited)
            return
        if waited:
            ticket.queued_at = ticket.sent_at = time.monotonic()
        quotas.queue(call.claim, ticket, partial(submit, served, waited=True))

    def withdraw(self, call: Call, ticket: Ticket) -> None:
        """The client went away."""
        if call.served is not None:
            self._native.engine.withdraw(call.served, ticket)

    def reply(self, call: Call, ticket: Ticket) -> Reply:
        """The answer for a settled ticket. Raises the error that it was settled with."""
        served, result = call.served, ticket.result
        if served is None or result is None:
            call.queue_s = ticket.sent_at - ticket.queued_at or call.elapsed()  # it was sent then, or never
            raise ticket.error or NotReady()
        began = clock()
        call.result = result
        reply = self._reply(call, served, ticket, result, self._native.codec(served))
        call.encode_s = clock() - began
        return reply

    def _reply(self, call: Call, served: ServedVersion, ticket: Ticket, result: Result, codec: Codec) -> Reply:
        predictions, chances = codec.predictions(result), codec.chances(result)
        ends = (round(call.elapsed() * 1000, 3), timestamp(), served.model, served.version)
        if self._batch:
            confidences: Sequence[float | None] = result.confidence or [None] * len(predictions)
            answer = Predictions(predictions, confidences, *ends)
            if chances is not None:
                answer.probabilities = chances
            body = encode(answer)
        else:
            call.prediction = predictions[0]
            single = Prediction(predictions[0], result.confidence[0] if result.confidence else None, *ends)
            if chances is not None:
                single.probabilities = chances[0]
            body = encode(single)
        timing = b"queue;dur=%.3f, inference;dur=%.3f" % (result.queue_s * 1000, result.inference_s * 1000)
        headers = [JSON_TYPE, (b"content-length", b"%d" % len(body)), (b"server-timing", timing)]
        if served.cache is not None and served.cache.is_on:
            headers += self._of_cache(ticket, result)
        if call.quota is not None:
            headers += call.quota.headers()
        return Reply(200, headers, body)

    def _of_cache(self, ticket: Ticket, result: Result) -> Headers:
        """How much of an answer was kept from before."""
        if ticket.freshness is not Freshness.ANY:
            return BYPASS
        cached, rows = result.cached_rows, ticket.rows.count
        said = HIT if cached == rows else MISS
        return [*said, (b"x-cache-rows", b"%d/%d" % (cached, rows))] if self._batch else said


class ContextEndpoint(Endpoint):
    """Completes the one row from stores. What has to be waited for comes between the ticket and the queue."""

    def admit(self, call: Call) -> None:
        super().admit(call)
        if call.served is not None and call.served.context is None:
            raise NoContext

    def submit(self, call: Call, body: bytes, settled: Callable[[Ticket], object]) -> Ticket:
        """As of others; but what stores do not hold may be told by the ticket."""
        native = self._native
        served, place = self._place(call)
        if served.context is None or (reader := native.codec(served).context) is None:
            raise NotReady
        began = clock()
        asked = reader.read(body)
        call.decode_s = clock() - began
        ticket = native.engine.ticket(NOT_YET, settled, place, probabilities=call.query.probabilities)
        row = IncompleteRow(call, asked, ticket, reader, self._queue)
        left_s = ticket.deadline - time.monotonic()
        found = served.context.look(asked.entities, left_s, partial(row.completed_later, served))
        if found is not None:
            row.complete(served, found, waited=False)
        return ticket


class Native:
    """From a path to its endpoint, for the default model and for every one by name."""

    def __init__(self, engine: Engine, limits: Limits, access: Access) -> None:
        self.access = access
        self.engine = engine
        self.limits = limits
        self.quotas: Quotas | None = None
        """None while no client has any."""
        self._codecs: dict[ServedVersion, Codec] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self.update(())

    def update(self, models: Iterable[str]) -> None:
        """Makes the paths of these models."""
        self._codecs.clear()
        self._endpoints = self._make("", "", None)
        for model in models:
            self._endpoints |= self._make(f"/models/{model}", "/models/{name}", model)

    def endpoint(self, path: str) -> Endpoint | None:
        """Who answers `path`; a model that is not there has an endpoint too, which says so."""
        found = self._endpoints.get(path)
        if found is None and path.startswith("/models/") and (match := NAMED.fullmatch(path)):
            return self._make("", "/models/{name}", match[1])[f"/{match[2]}"]
        return found

    def known(self, model: str | None) -> str:
        """The name, for the log, of a model that is configured, ready or not; "" for what a client made up."""
        return model if model is not None and f"/models/{model}/predict" in self._endpoints else ""

    def forget(self, served: ServedVersion) -> None:
        """A version is served no more."""
        self._codecs.pop(served, None)

    def codec(self, served: ServedVersion) -> Codec:
        codec = self._codecs.get(served)
        if codec is None:
            codec = self._codecs[served] = Codec(served, self.limits)
        return codec

    def _make(self, prefix: str, template: str, model: str | None) -> dict[str, Endpoint]:
        single = Endpoint(self, f"{template}/predict", model, batch=False)
        batch = Endpoint(self, f"{template}/predict-batch", model, batch=True)
        context = ContextEndpoint(self, f"{template}/predict-with-context", model, batch=False)
        return {
            f"{prefix}/predict": single,
            f"{prefix}/predict-batch": batch,
            f"{prefix}/predict-with-context": context,
        }
