"""What /models tells about the models: what is loaded, what it takes and gives, and why something is not ready."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict

from penstock.config import Guard, Settings, Slice
from penstock.inference.forecast import Capacity
from penstock.interface.paths import without_directories
from penstock.model.certificate import Certificate
from penstock.model.context import Context, Feature
from penstock.model.control import Loaded, ModelState, VersionState
from penstock.model.signature import Field, OutputField, Signature

Json = dict[str, Any]


def default_version(model: ModelState) -> VersionState | None:
    """The version that the model's route names, as far as it is known."""
    return next((state for state in model.versions if state.version == model.default), None)


def is_ready(model: ModelState, *, draining: bool) -> bool:
    """Whether a request to this model's default version would be served."""
    state = default_version(model)
    return state is not None and state.live > 0 and not draining


def reason_of(state: VersionState) -> str | None:
    """Why it is not ready, as whoever may ask is told."""
    return state.reason and without_directories(state.reason, state.path)


def warnings_of(loaded: Loaded, path: str) -> list[str]:
    """The warnings of the model at `path`, likewise."""
    return [without_directories(warning, path) for warning in loaded.warnings]


def overview(models: Sequence[ModelState], *, draining: bool) -> Json:
    """The body of /models."""
    return {"models": [{"name": model.name, **_standing(model, draining)} for model in models]}


def readiness(model: ModelState, timestamp: str, *, draining: bool) -> Json:
    """The body of /models/{name}/ready, whose status is 200 if `is_ready`, else 503."""
    state = default_version(model)
    return {
        "status": "ready" if is_ready(model, draining=draining) else "not_ready",
        "model": model.name,
        "model_version": model.default,
        "reason": "the service is shutting down" if draining else reason_of(state) if state else None,
        "timestamp": timestamp,
    }


def description(
    model: ModelState, settings: Settings, capacities: Mapping[str, Capacity | None], *, draining: bool
) -> Json:
    """The body of /models/{name}. `capacities` are those of its versions."""
    own = model.settings
    return {
        "name": model.name,
        "ready": is_ready(model, draining=draining),
        "route": _route(model),
        "breach": asdict(model.breach) if model.breach else None,
        "limits": {
            "rows": settings.limits.rows,
            "body_bytes": settings.limits.body,
            "batch_rows": own.batching.max_rows,
            "queue_rows": own.queue.rows,
            "deadline_ms": own.deadline_ms,
            "predict_timeout_s": own.predict_timeout_s,
        }
        | ({} if own.queue.wait_ms is None else {"queue_wait_ms": own.queue.wait_ms}),
        "versions": [_version(state, capacities[state.version]) for state in model.versions],
    }


def _route(model: ModelState) -> Json:
    """Where requests go that name no version."""
    told: Json = {"default": model.default, "wanted": model.route.default, "tolerance": model.route.tolerance}
    if model.canary.version is not None:
        guard = model.canary.guard
        told["canary"] = _said(model.canary) | ({"guard": _said(guard)} if guard != Guard() else {})
        told["canary"] |= {"unfit": model.canary_unfit} if model.canary_unfit is not None else {}
    if model.shadow.version is not None:
        told["shadow"] = _said(model.shadow)
    elif model.unfit is not None:
        told["shadow"] = _said(model.route.shadow) | {"unfit": model.unfit}
    return told


def _said(slice_: Slice) -> Json:
    return {name: value for name, value in asdict(slice_).items() if value is not None and name != "guard"}


def _standing(model: ModelState, draining: bool) -> Json:
    versions = [{"version": s.version, "state": s.state, "reason": reason_of(s)} for s in model.versions]
    return {"ready": is_ready(model, draining=draining), "default": model.default, "versions": versions}


def _version(state: VersionState, capacity: Capacity | None) -> Json:
    loaded = _loaded(state.loaded, state.path) if state.loaded else {}
    told = ("version", "state", "held", "code", "format", "replicas", "live", "pids", "restarts")
    measured = {"capacity": capacity._asdict() if capacity else None}
    return {name: getattr(state, name) for name in told} | {"reason": reason_of(state)} | measured | loaded


def _loaded(loaded: Loaded, path: str) -> Json:
    told = asdict(loaded)
    told["beside"] = {without_directories(file, path): sha256 for file, sha256 in loaded.beside.items()}
    del told["chain"]  # which `beside` tells with the names
    told["context"] = [_context(context) for context in loaded.context]
    told["warnings"] = warnings_of(loaded, path)
    if loaded.certificate is not None:
        told["certificate"] = _certificate(loaded.certificate, path)
    return _schema(told.pop("signature")) | told


def _context(context: Context) -> Json:
    """What is looked up where, by what clients send. Paths are nobody's business."""
    features = {feature.name: _feature(feature) for feature in context.features}
    told = {"key": context.key, "store": context.source, "features": features}
    return told | ({} if context.max_age_s is None else {"max_age_s": context.max_age_s})


def _feature(feature: Feature) -> Json:
    return {"field": feature.field} | ({} if feature.default is UNSET else {"default": feature.default})


def _certificate(certificate: Certificate, path: str) -> Json:
    """All of it but the row: that may be one of the training data, and whoever asks here is not known."""
    told = {name: value for name, value in asdict(certificate).items() if name != "differing_row"}
    return told | {"reason": certificate.reason and without_directories(certificate.reason, path)}


def _schema(signature: Signature) -> Json:
    """The schema in words of its own; `classes` is the order of `probabilities`."""
    output = signature.output
    return {
        "inputs": [_field(field) for field in signature.inputs],
        "named": signature.named,
        "outputs": [_field(field) for field in output.fields],
        "classes": output.fields[0].classes if len(output.fields) == 1 else None,
        "probabilities": output.probabilities,
        "threshold": output.threshold,
        "top_k": output.top_k,
        "all_zero": signature.all_zero,
    }


def _field(field: Field | OutputField) -> Json:
    return {name: value for name, value in asdict(field).items() if value is not None}
