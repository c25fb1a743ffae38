"""Whether the service lives and whether it is ready: pure functions of what the supervisor says about the models."""

from collections.abc import Sequence

from penstock.model.control import ModelState


def has_started(models: Sequence[ModelState]) -> bool:
    """Whether every configured model's default version has passed its start-up. Once true it is to be remembered."""
    return bool(models) and all(
        any(version.version == model.default and version.loaded is not None for version in model.versions)
        for model in models
    )


def has_live_host(models: Sequence[ModelState]) -> bool:
    """Whether any version of any model can answer now."""
    return any(version.live > 0 for model in models for version in model.versions)


def is_ready(models: Sequence[ModelState], *, started: bool, draining: bool) -> bool:
    """Whether requests should be sent here: the service has `started`, is not `draining`, and some model has a host.

    A model that broke after the start answers 503 itself and leaves the others alone.
    """
    return started and not draining and has_live_host(models)


def health(models: Sequence[ModelState], timestamp: str) -> dict[str, str | bool]:
    """The body of /health, whose status is always 200: who can answer, lives."""
    loaded = has_live_host(models)
    return {"status": "healthy" if loaded else "unhealthy", "model_loaded": loaded, "timestamp": timestamp}


def readiness(models: Sequence[ModelState], timestamp: str, *, ready: bool) -> dict[str, str | bool]:
    """The body of /ready, whose status is 200 if `ready`, else 503."""
    status = "ready" if ready else "not_ready"
    return {"status": status, "model_loaded": has_live_host(models), "timestamp": timestamp}
