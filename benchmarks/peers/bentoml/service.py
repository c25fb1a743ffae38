"""BentoML, adaptive batching on. An answer is an array, whose rows hold the label and the confidence.

MODEL=iris.pkl bentoml serve service:Classifier --port 8000
"""

import os
import pickle
from pathlib import Path

import bentoml
import numpy as np
from numpy.typing import NDArray


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Classifier:
    def __init__(self) -> None:
        self.model = pickle.loads(Path(os.environ["MODEL"]).read_bytes())

    @bentoml.api(batchable=True, max_batch_size=1000)  # type: ignore[untyped-decorator] # it has no types here
    def predict(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        stated = self.model.predict_proba(inputs)
        return np.column_stack([self.model.classes_[stated.argmax(axis=1)], stated.max(axis=1)])
