"""The zoo over HTTP: several models in one service, as `penstock serve` runs them when nothing is configured."""

import warnings
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.acceptance.driver import Service, serving
from tests.zoo.feed import ASKED
from tests.zoo.keeper import trained
from tests.zoo.menagerie import Animal, animals
from tests.zoo.pipelines import PIPELINES
from tests.zoo.wire import features

TOGETHER = 8  # models in one service
NEAR = 1e-5
"""How far off a number may be. Here no verdict is known: it depends on which form is faster on this machine."""


@pytest.mark.soak
@pytest.mark.usefixtures("one_thread")
def test_models_of_one_service_answer_as_their_estimators_do(tmp_path: Path, scale: Callable[[int, int], int]) -> None:
    everyone = [*chain.from_iterable(group() for group in PIPELINES.values()), *animals()]
    everyone = everyone[: scale(2, len(everyone))]
    for start in range(0, len(everyone), TOGETHER):
        some = everyone[start : start + TOGETHER]
        folder = tmp_path / str(start)
        folder.mkdir()
        models = [trained(animal, folder / f"m{i}.pkl") for i, animal in enumerate(some)]
        paths = [f"m{i}.pkl" for i in range(len(some))]
        with serving(*paths, cwd=folder) as service:
            for i, (animal, model) in enumerate(zip(some, models, strict=True)):
                compare(service, f"m{i}", animal, model)


def compare(service: Service, name: str, animal: Animal, model: Any) -> None:
    rows = animal.feed().asked()
    names = [field["name"] for field in service.get(f"/models/{name}").body["versions"][0]["inputs"]]
    reply = service.request("POST", f"/models/{name}/predict-batch", {"batch": features(rows, names)})
    assert reply.status == 200, (animal.name, reply.body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = np.asarray(model.predict(rows))
    got = np.asarray(reply.body["predictions"], dtype=said.dtype).reshape(said.shape)
    assert len(got) == ASKED
    if said.dtype.kind == "f":
        assert np.allclose(got, said, rtol=NEAR, atol=NEAR), animal.name
    else:
        assert got.tolist() == said.tolist(), animal.name
