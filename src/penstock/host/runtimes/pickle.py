"""Pickles and joblib files. Loading one runs its code, so somebody must have vouched for it."""

import io
from typing import Any

import joblib

from penstock.host.refusals import unreadable
from penstock.host.runtimes.estimator import Estimator
from penstock.host.runtimes.transforms import with_transforms
from penstock.host.source import Source
from penstock.model.control import Artifact


def load(source: Source, artifact: Artifact) -> Estimator:
    """The estimator in the bytes that were hashed, behind its transforms. Raises ArtifactError."""
    return with_transforms(read(source, artifact), artifact)


def read(source: Source, artifact: Artifact) -> Any:
    """The object in the bytes that were hashed. Raises ArtifactError."""
    try:
        return joblib.load(io.BytesIO(source.data))
    except Exception as error:
        raise unreadable(error, source.data, artifact) from error
