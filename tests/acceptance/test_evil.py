"""Evil artifacts in a repository that nobody vouched for: each is refused with what to do, and none of them runs.

Nothing is asked over the network or of the disk outside, and the good model beside them serves on.
"""

import json
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from penstock.errors import ChangedArtifact, UnreadableArtifact
from penstock.host import source
from penstock.host.runtimes.pickle import read
from penstock.host.runtimes.transforms import read_transforms
from penstock.model.control import Artifact, Transform
from penstock.model.trust import digest_of
from tests.acceptance.driver import PATIENCE_S, Service, penstock, serving, wait_until
from tests.acceptance.evils import EVILS, Trap
from tests.acceptance.numbered import publish


class World(NamedTuple):
    service: Service
    trap: Trap
    states: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trap]:
    root = tmp_path_factory.mktemp("trap")
    (root / "marks").mkdir()
    elsewhere = root / "elsewhere"
    publish(elsewhere, "good", 1.0)
    (elsewhere / "secret.bin").write_bytes(np.float32(42.0).tobytes())
    (elsewhere / "secret.yaml").write_text("[]")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Trap(root / "marks", listener, elsewhere)


@pytest.fixture(scope="module")
def world(trap: Trap, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One service on a repository of nothing but evil, but for one model."""
    root = tmp_path_factory.mktemp("world")
    publish(root / "models" / "good", "1", 7.0)
    for name, evil in EVILS.items():
        folder = root / "models" / name / "1"
        folder.mkdir(parents=True)
        evil.build(folder, trap)
    with serving(root / "models", "--compile", "off", cwd=root, ready=False) as service:

        def verdicts() -> Iterator[tuple[str, dict[str, Any]]]:
            """From the last to be loaded to the first, each asked when it is looked at."""
            for model in reversed(service.get("/models").body["models"]):
                yield model["name"], service.get(f"/models/{model['name']}").body["versions"][-1]

        settled = ("ready", "refused")
        wait_until(lambda: all(each["state"] in settled for _, each in verdicts()), "verdicts", service.explain)
        yield World(service, trap, dict(verdicts()))


@pytest.mark.parametrize("name", EVILS)
def test_what_is_evil_is_refused_and_its_remedy_told(name: str, world: World) -> None:
    evil, state = EVILS[name], world.states[name]
    assert (state["state"], state["code"], evil.words in state["reason"]) == ("refused", evil.code, True), state[
        "reason"
    ]
    assert len(state["reason"]) < 700
    answer = world.service.predict(0.0, path=f"/models/{name}/predict")
    assert (answer.status, answer.body["code"]) == (503, "not_ready")
    assert str(world.trap.elsewhere) not in json.dumps(answer.body)


def test_none_of_it_ran_and_the_good_model_serves_on(world: World) -> None:
    assert world.states["good"]["state"] == "ready"
    assert world.service.predict(0.0, path="/models/good/predict").body["prediction"] == 7.0
    assert world.trap.is_untouched(), list(world.trap.marks.iterdir())


SWAP = """
import os, sys
path, good, evil = sys.argv[1:]
print(flush=True)
for n in range(sys.maxsize):
    content = open((good, evil)[n % 2], "rb").read()
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.replace(path + ".new", path)
    if n % 3 == 0:
        with open(path, "r+b") as file:  # also in the same file, while somebody may be reading it
            file.write(open((evil, good)[n % 2], "rb").read())
            file.truncate()
"""


@pytest.mark.parametrize("part", ["artifact", "transform"])
def test_what_is_hashed_is_what_is_loaded_however_the_file_is_swapped(part: str, trap: Trap, tmp_path: Path) -> None:
    """A hundred attempts while another process puts good and evil there in turn, thousands of times a second."""
    good, evil = tmp_path / "good", tmp_path / "evil"
    fitted = StandardScaler().fit([[0.0], [2.0]])
    good.write_bytes(pickle.dumps(fitted))
    evil.write_bytes(trap.pickle("swapped"))
    path = tmp_path / "swapped.pkl"
    path.write_bytes(good.read_bytes())
    seen: set[str] = set()
    with subprocess.Popen([sys.executable, "-c", SWAP, path, good, evil], stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout is not None
            swapper.stdout.readline()
            until = time.monotonic() + PATIENCE_S
            for attempt in count():
                if attempt >= 100 and (len(seen) == 2 or time.monotonic() > until):
                    break
                seen.add(loaded(part, path, digest_of(good)))
        finally:
            swapper.kill()
    assert seen == {"loaded", "refused"}
    assert trap.is_untouched()


def loaded(part: str, path: Path, pinned: str) -> str:
    """What becomes of the pinned pickle there, as a host would load it."""
    beside = {str(path): pinned} if part == "transform" else {}
    transforms = (Transform(str(path), "pickle"),) if part == "transform" else ()
    artifact = Artifact(
        path=str(path), format="pickle", root=str(path.parent), pinned=pinned, trusted=True, transforms=transforms,
        beside=beside,
    )  # fmt: skip
    try:
        if part == "transform":
            read_transforms(artifact)
        else:
            read(source.read(path, pinned), artifact)
    except (ChangedArtifact, UnreadableArtifact):
        return "refused"
    return "loaded"


def test_the_trap_works(trap: Trap, tmp_path: Path) -> None:
    """Or else the others would prove nothing: who is named on the command line may run."""
    marks = tmp_path / "marks"
    marks.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sprung = Trap(marks, listener, trap.elsewhere)
        (tmp_path / "model.pkl").write_bytes(sprung.pickle("sprung"))
        penstock("check", tmp_path / "model.pkl", cwd=tmp_path)
        assert (marks / "sprung").exists()
        assert not sprung.is_untouched()
