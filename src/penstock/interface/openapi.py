"""The OpenAPI document: the operations pages' own, and in it the lane's paths as the loaded models make them."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from penstock.config import Settings
from penstock.inference.router import default_model, loaded_versions
from penstock.interface import examples, responses, schema
from penstock.interface.models import default_version, reason_of, warnings_of
from penstock.model.control import Loaded, ModelState
from penstock.model.signature import Signature

Json = dict[str, Any]

STATUSES = (400, 404, 405, 408, 413, 415, 422, 429, 431, 500, 503, 504)


class Document:
    """Makes the document from `base`, which gives that of the other paths, and keeps it until the models change."""

    def __init__(self, base: Callable[[], Json], settings: Settings) -> None:
        self._base = base
        self._settings = settings
        self._models: Sequence[ModelState] | None = None
        self._json = b""

    def json(self, models: Sequence[ModelState]) -> bytes:
        if models != self._models:
            self._json = msgspec.json.encode(self.of(models))
            self._models = models
        return self._json

    def of(self, models: Sequence[ModelState]) -> Json:
        """The whole document. It shares parts with others, so leave it as it is."""
        named = {model.name: model for model in models}
        default = named.get(default_model(named, self._settings.default_model) or "")
        paths: Json = _paths("", default, self._settings) if default else {}
        for model in models:
            paths |= _paths(f"/models/{model.name}", model, self._settings)
        components = responses.components()
        for model in models:
            components["schemas"] |= _schemas(model, self._settings)
        base = self._base()
        tags = [*({"name": model.name, "description": _about(model)} for model in models), *base["tags"]]
        return {**base, "tags": tags, "paths": paths | base["paths"], "components": components}


def _loaded(model: ModelState) -> Loaded | None:
    state = default_version(model)
    return state.loaded if state else None


def _about(model: ModelState) -> str:
    state = default_version(model)
    if state is None or state.loaded is None:
        return f"Not loaded: {(state and reason_of(state)) or 'it is being started'}."
    warnings = "".join(f" Warning: {warning}" for warning in warnings_of(state.loaded, state.path))
    return (
        f"Version {state.version}, {state.format}, served by {state.loaded.runtime} on {state.loaded.device}.{warnings}"
    )


# ------------------------------------------------------------------ operations
def _paths(prefix: str, model: ModelState, settings: Settings) -> Json:
    return {
        f"{prefix}/predict": {"post": _predict(prefix, model, settings)},
        f"{prefix}/predict-batch": {"post": _predict_batch(prefix, model, settings)},
        **_with_context(prefix, model),
    }


def _with_context(prefix: str, model: ModelState) -> Json:
    """The path for rows that stores complete, where the model takes anything from them."""
    loaded = _loaded(model)
    if loaded is None or not loaded.context:
        return {}
    operation = {
        "operationId": f"{model.name}.predict_with_context" if prefix else "predict_with_context",
        "summary": f"Predict one row with {model.name}, completed from stores",
        **_request(model, "ContextRequest", examples.context_examples(loaded.signature, loaded.context)),
        "responses": _answers(model, "Answer", examples.answer),
        **_common(model),
    }
    return {f"{prefix}/predict-with-context": {"post": operation}}


def _predict(prefix: str, model: ModelState, settings: Settings) -> Json:
    loaded = _loaded(model)
    return {
        "operationId": f"{model.name}.predict" if prefix else "predict",
        "summary": f"Predict one row with {model.name}",
        **_request(model, "Request", examples.single_examples(loaded.signature) if loaded else {}),
        "responses": _answers(model, "Answer", examples.answer),
        **_common(model),
    }


def _predict_batch(prefix: str, model: ModelState, settings: Settings) -> Json:
    loaded = _loaded(model)
    return {
        "operationId": f"{model.name}.predict_batch" if prefix else "predict_batch",
        "summary": f"Predict up to {settings.limits.rows} rows with {model.name}",
        **_request(model, "BatchRequest", examples.batch_examples(loaded.signature) if loaded else {}),
        "responses": _answers(model, "BatchAnswer", examples.batch_answer),
        **_common(model),
    }


def _common(model: ModelState) -> Json:
    loaded = _loaded(model)
    names = ["RequestId", "Timeout"]
    if loaded is None or loaded.signature.output.probabilities:
        names.insert(0, "Probabilities")
    if model.settings.queue.priority == "header":
        names.append("Priority")
    if model.settings.cache.mode != "off":
        names.append("Freshness")
    return {"tags": [model.name], "parameters": [_version_parameter(model), *map(responses.parameter, names)]}


def _version_parameter(model: ModelState) -> Json:
    """In the query alone: that a header says the same is nothing that a schema could tell."""
    labels = ["stable", "canary"] if model.canary.version else ["stable"]
    return {
        "name": "model_version",
        "in": "query",
        "description": f"The version to ask, or its label; without it {model.default}. "
        "The header X-Model-Version may say it instead.",
        "schema": {"type": "string", "enum": [*(loaded_versions(model) or [model.default]), *labels]},
    }


def _request(model: ModelState, kind: str, bodies: Json) -> Json:
    """The body, with examples; or a description that says how to make one, where a row is too large for that."""
    content: Json = {"schema": _ref(model, kind)}
    told: Json = {}
    if bodies:
        content["examples"] = {way.replace(" ", "_"): {"summary": way, "value": body} for way, body in bodies.items()}
    elif (loaded := _loaded(model)) is not None:
        told["description"] = f"A row is too large to be shown. In Python: `{examples.recipe(loaded.signature)}`"
    return {**told, "requestBody": {"required": True, "content": {"application/json": content}}}


def _answers(model: ModelState, kind: str, made: Callable[[str, str, Signature], Json | None]) -> Json:
    state = default_version(model)
    example = made(model.name, state.version, state.loaded.signature) if state and state.loaded else None
    cached: tuple[str, ...] = ()
    if model.settings.cache.mode != "off":
        cached = ("X-Cache", "X-Cache-Rows") if kind == "BatchAnswer" else ("X-Cache",)
    also = ("Server-Timing", *cached, *responses.QUOTA_HEADERS)
    answer = responses.success("The model's answer.", _ref(model, kind), also=also, example=example)
    return {"200": answer, **responses.errors(*STATUSES)}


def _ref(model: ModelState, kind: str) -> Json:
    return {"$ref": f"#/components/schemas/{model.name}.{kind}"}


# ------------------------------------------------------------------ schemas
def _schemas(model: ModelState, settings: Settings) -> Json:
    """The four bodies of a model; of one that is not loaded only their outline is known."""
    loaded = _loaded(model)
    bodies: Json
    if loaded is None:
        outline = {"type": "object", "description": _about(model)}
        bodies = dict.fromkeys(("Request", "BatchRequest", "Answer", "BatchAnswer"), outline)
    else:
        bodies = {
            "Request": schema.request(loaded.signature),
            "BatchRequest": schema.batch_request(loaded.signature, settings.limits.rows),
            "Answer": schema.answer(model.name, loaded.signature),
            "BatchAnswer": schema.batch_answer(model.name, loaded.signature),
        }
        if loaded.context:
            bodies["ContextRequest"] = schema.context_request(loaded.signature, loaded.context)
    return {f"{model.name}.{kind}": body for kind, body in bodies.items()}
