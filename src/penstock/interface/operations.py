"""What the OpenAPI document says about the paths that are not predictions."""

from typing import Any

from penstock.interface.responses import ALWAYS, errors, headers, success

Json = dict[str, Any]

TAG = {"name": "operations", "description": "Whether the service lives and is ready, what it serves, and its figures."}

NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "A model's name, as /models lists it.",
    "schema": {"type": "string"},
}


def _object(properties: Json, optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _either(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _map(values: Json) -> Json:
    return {"type": "object", "additionalProperties": values}


TEXT = {"type": "string"}
MAYBE = {"type": ["string", "null"]}
FLAG = {"type": "boolean"}
NUMBER = {"type": "number"}
INTEGER = {"type": "integer"}
MOMENT = {"type": "string", "format": "date-time"}
STATE = _either("available", "loading", "ready", "restarting", "refused", "unloading")

HEALTH = _object({"status": _either("healthy", "unhealthy"), "model_loaded": FLAG, "timestamp": MOMENT})
READY = _object({"status": _either("ready", "not_ready"), "model_loaded": FLAG, "timestamp": MOMENT})
MODEL_READY = _object({
    "status": _either("ready", "not_ready"), "model": TEXT, "model_version": TEXT, "reason": MAYBE, "timestamp": MOMENT,
})  # fmt: skip
MODELS = _object({
    "models": _list(_object({
        "name": TEXT, "ready": FLAG, "default": TEXT,
        "versions": _list(_object({"version": TEXT, "state": STATE, "reason": MAYBE})),
    })),
})  # fmt: skip
FIELD = _object({
    "name": TEXT, "dtype": TEXT, "shape": _list({"type": ["integer", "null"]}), "nullable": FLAG,
    "range": _list({"type": ["number", "null"]}), "categories": {"type": "array"}, "unknown": _either("warn", "refuse"),
    "unit": TEXT, "origin": _either("declared", "inferred"), "classes": {"type": "array"},
    "round": INTEGER, "clip": _list({"type": ["number", "null"]}),
}, ("nullable", "range", "categories", "unknown", "unit", "origin", "classes", "round", "clip"))  # fmt: skip
CONTEXT = _object(
    {
        "key": TEXT,
        "store": TEXT,
        "features": _map(_object({"field": TEXT, "default": {}}, ("default",))),
        "max_age_s": NUMBER,
    },
    ("max_age_s",),
)
_OF_LOADED = {
    "inputs": _list(FIELD), "named": FLAG, "context": _list(CONTEXT),
    "outputs": _list(FIELD), "classes": {"type": ["array", "null"]},
    "probabilities": FLAG, "threshold": {"type": ["number", "null"]}, "top_k": {"type": ["integer", "null"]},
    "all_zero": _either("serve", "refuse"), "transforms": _list(TEXT), "sha256": TEXT, "bytes": INTEGER,
    "runtime": TEXT, "device": TEXT, "libraries": _map(TEXT), "trained_with": _map(TEXT), "warnings": _list(TEXT),
    "examples": INTEGER, "load_s": NUMBER, "warmup_s": NUMBER,
}  # fmt: skip
_LIMITS = ("error_percent", "latency_ratio", "disagreement_percent")
GUARD = _object({"min_requests": INTEGER} | dict.fromkeys(_LIMITS, NUMBER), _LIMITS)
ROUTE = _object(
    {
        "default": TEXT,
        "wanted": TEXT,
        "tolerance": NUMBER,
        "canary": _object(
            {"version": TEXT, "percent": NUMBER, "sticky": TEXT, "guard": GUARD, "unfit": TEXT},
            ("sticky", "guard", "unfit"),
        ),
        "shadow": _object({"version": TEXT, "percent": NUMBER, "unfit": TEXT}, ("unfit",)),
    },
    ("canary", "shadow"),
)
BREACH = {
    "description": "Why there is no canary any more.",
    "oneOf": [_object({"version": TEXT, "limit": TEXT, "reason": TEXT, "at": TEXT}), {"type": "null"}],
}
CAPACITY = {
    "description": "Null until a batch was answered.",
    "oneOf": [_object({"rows_per_second": NUMBER, "batch_rows": NUMBER, "batch_ms": NUMBER}), {"type": "null"}],
}
MODEL = _object({
    "name": TEXT, "ready": FLAG, "route": ROUTE, "breach": BREACH, "limits": _map(NUMBER),
    "versions": _list(_object({
        "version": TEXT, "state": STATE, "reason": MAYBE, "held": MAYBE, "code": MAYBE, "format": TEXT,
        "replicas": INTEGER, "live": INTEGER, "pids": _list(INTEGER), "restarts": INTEGER, "capacity": CAPACITY,
        **_OF_LOADED,
    }, tuple(_OF_LOADED))),
})  # fmt: skip
MAYBE_NUMBER = {"type": ["number", "null"]}
_COUNTS = ("requests", "failed", "refused", "gone")
_ARM = _object(dict.fromkeys(_COUNTS, INTEGER) | dict.fromkeys(("p50_ms", "p90_ms", "p99_ms"), MAYBE_NUMBER))
COMPARISON = _object({
    "name": TEXT,
    "compared": _list(_object({
        "version": TEXT, "against": TEXT, "rows": _map(INTEGER), "agreement": MAYBE_NUMBER,
        "flips": _list(_object({"from": TEXT, "to": TEXT, "rows": INTEGER})), "mean_difference": MAYBE_NUMBER,
        "largest_difference": MAYBE_NUMBER, "times_as_long": MAYBE_NUMBER, "running": FLAG,
    })),
    "canaries": _list(_object({"version": TEXT, "canary": _ARM, "default": _ARM, "running": FLAG})),
})  # fmt: skip
METRICS = {
    "description": "Prometheus text, or OpenMetrics where Accept asks for it.",
    "headers": headers(),
    "content": {"text/plain": {"schema": TEXT}, "application/openmetrics-text": {"schema": TEXT}},
}


def operation(name: str, summary: str, answers: Json, *, of_model: bool = False) -> Json:
    """One GET. `of_model`: its path names a model, which may be unknown."""
    statuses = (*ALWAYS, 404) if of_model else ALWAYS
    described = {
        "operationId": name,
        "summary": summary,
        "tags": [TAG["name"]],
        "responses": answers | errors(*statuses),
    }
    return described | ({"parameters": [NAME]} if of_model else {})


OPERATIONS: dict[str, Json] = {
    "/health": operation("health", "Whether the service lives", {"200": success("It does.", HEALTH)}),
    "/ready": operation(
        "ready",
        "Whether to send requests here",
        {"200": success("Do.", READY), "503": success("Do not: starting, draining, or no model lives.", READY)},
    ),
    "/metrics": operation("metrics", "Figures for Prometheus", {"200": METRICS} | errors(503)),
    "/models": operation("models", "The models and where they stand", {"200": success("All of them.", MODELS)}),
    "/models/{name}": operation(
        "model",
        "What a model takes, gives and runs on",
        {"200": success("Everything known about it.", MODEL)},
        of_model=True,
    ),
    "/models/{name}/comparison": operation(
        "model_comparison",
        "How versions that are tried compare with the one that has the traffic",
        {"200": success("As far as it was seen, by all processes together.", COMPARISON)} | errors(503),
        of_model=True,
    ),
    "/models/{name}/ready": operation(
        "model_ready",
        "Whether a model's default version would answer",
        {"200": success("It would.", MODEL_READY), "503": success("It would not; `reason` says why.", MODEL_READY)},
        of_model=True,
    ),
}
