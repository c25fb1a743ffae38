"""LitServe, batching on. A request may hold many rows, so that its batches are joined and cut by their lengths.

MODEL=iris.pkl python service.py 8000
"""

import os
import pickle
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import litserve
import numpy as np

Array = np.ndarray[Any, Any]


class Classifier(litserve.LitAPI):  # type: ignore[misc] # it has no types here
    def setup(self, device: str) -> None:
        self.model = pickle.loads(Path(os.environ["MODEL"]).read_bytes())

    def decode_request(self, request: dict[str, Any]) -> Array:
        return np.array(request["batch"] if "batch" in request else [request["features"]])

    def batch(self, inputs: list[Array]) -> tuple[list[int], Array]:
        """Where each request ends, and the rows of all."""
        return np.cumsum([0, *map(len, inputs)]).tolist(), np.concatenate(inputs)

    def predict(self, x: tuple[list[int], Array]) -> list[tuple[Array, Array]]:
        ends, rows = x
        stated = self.model.predict_proba(rows)
        labels, confidences = self.model.classes_[stated.argmax(axis=1)], stated.max(axis=1)
        return [(labels[start:end], confidences[start:end]) for start, end in pairwise(ends)]

    def unbatch(self, output: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
        return output

    def encode_response(self, output: tuple[Array, Array]) -> dict[str, Any]:
        labels, confidences = output
        return {"predictions": labels.tolist(), "confidences": confidences.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(max_batch_size=64, batch_timeout=0.005), accelerator="cpu")
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False, generate_client_file=False
    )
