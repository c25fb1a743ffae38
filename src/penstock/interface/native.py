"""The native dialect: `/predict` and `/predict-batch`, for the default model and for each by name."""

import re
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from starlette.exceptions import HTTPException

from penstock.config import Limits
from penstock.inference.engine import Engine
from penstock.inference.rows import Rows
from penstock.inference.ticket import Result
from penstock.inference.versions import ServedVersion
from penstock.interface.answers import Labels, Prediction, Predictions, encode
from penstock.interface.call import Call, Query, Receive
from penstock.interface.decoder import RowDecoder
from penstock.interface.protocol import GONE, clock
from penstock.observability.timestamps import timestamp

JSON_TYPE = (b"content-type", b"application/json")
NAMED = re.compile(r"/models/([^/]+)/(predict|predict-batch)")
Headers = list[tuple[bytes, bytes]]


class Reply(NamedTuple):
    status: int
    headers: Headers
    body: bytes


class Codec:
    """What stands between JSON and one version: the decoder of its rows and the labels of its answers."""

    def __init__(self, served: ServedVersion, limits: Limits) -> None:
        decoder = RowDecoder(served.signature, limits)
        self.single = decoder.single
        self.batch = decoder.batch
        self.predictions = Labels(served.signature).of


class Endpoint:
    """Answers one path. `model` is None for the default model's; `route` is the path's template."""

    def __init__(self, native: "Native", route: str, model: str | None, *, batch: bool) -> None:
        self.route = route
        self._native = native
        self._model = model
        self._batch = batch

    async def __call__(self, call: Call, receive: Receive) -> Reply:
        """The answer; raises what stops it."""
        if call.scope["method"] != "POST":
            raise HTTPException(405, headers={"Allow": "POST"})
        native = self._native
        query = call.query()
        served = call.served = native.engine.find(self._model, query.version)
        codec = native.codec(served)
        call.require_json()
        deadline_s = call.deadline_s()
        body = await call.body(receive, native.limits)
        began = clock()
        rows = call.rows = codec.batch(body) if self._batch else codec.single(body)
        call.findings = served.check(rows)
        call.decode_s = clock() - began
        result = call.result = await self._result(call, served, rows, query, deadline_s)
        began = clock()
        reply = self._reply(call, served, result, codec.predictions(result))
        call.encode_s = clock() - began
        return reply

    async def _result(
        self, call: Call, served: ServedVersion, rows: Rows, query: Query, deadline_s: float | None
    ) -> Result:
        engine = self._native.engine
        ticket = engine.submit(served, rows, probabilities=query.probabilities, deadline_s=deadline_s)
        call.scope[GONE] = partial(engine.withdraw, served, ticket)
        return await ticket.future

    def _reply(self, call: Call, served: ServedVersion, result: Result, predictions: list[object]) -> Reply:
        ends = (round(call.elapsed() * 1000, 3), timestamp(), served.model, served.version)
        if self._batch:
            confidences = result.confidence or [None] * len(predictions)
            answer = Predictions(predictions, confidences, *ends)
            if result.probabilities is not None:
                answer.probabilities = result.probabilities
            body = encode(answer)
        else:
            call.prediction = predictions[0]
            single = Prediction(predictions[0], result.confidence[0] if result.confidence else None, *ends)
            if result.probabilities is not None:
                single.probabilities = result.probabilities[0]
            body = encode(single)
        timing = b"queue;dur=%.3f, inference;dur=%.3f" % (result.queue_s * 1000, result.inference_s * 1000)
        return Reply(200, [JSON_TYPE, (b"content-length", b"%d" % len(body)), (b"server-timing", timing)], body)


class Native:
    """The lane: one look-up from a path to its endpoint."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self.engine = engine
        self.limits = limits
        self._codecs: dict[ServedVersion, Codec] = {}
        self._default = self._endpoints("", None)
        self._endpoints_by_path = dict(self._default)

    def update(self, models: Iterable[str]) -> None:
        """Makes the paths of these models."""
        self._codecs.clear()
        named = {
            path: endpoint for model in models for path, endpoint in self._endpoints(f"/models/{model}", model).items()
        }
        self._endpoints_by_path = self._default | named

    def endpoint(self, path: str) -> Endpoint | None:
        """Who answers `path`; a model that is not there has an endpoint too, which says so."""
        found = self._endpoints_by_path.get(path)
        if found is None and path.startswith("/models/") and (match := NAMED.fullmatch(path)):
            return Endpoint(self, f"/models/{{name}}/{match[2]}", match[1], batch=match[2] == "predict-batch")
        return found

    def codec(self, served: ServedVersion) -> Codec:
        codec = self._codecs.get(served)
        if codec is None:
            codec = self._codecs[served] = Codec(served, self.limits)
        return codec

    def _endpoints(self, prefix: str, model: str | None) -> dict[str, Endpoint]:
        route = "/models/{name}" if prefix else ""
        return {
            f"{prefix}/predict": Endpoint(self, f"{route}/predict", model, batch=False),
            f"{prefix}/predict-batch": Endpoint(self, f"{route}/predict-batch", model, batch=True),
        }
