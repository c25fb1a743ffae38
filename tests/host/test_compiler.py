"""A host and the compiler it starts: what it serves, what it keeps, and what it does when there is no compiled form."""

import hashlib
import json
import os
import shutil
import stat
import textwrap
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penstock.model.certificate import Certificate
from penstock.model.control import Artifact, Loaded, Transform
from tests.acceptance.driver import wait_until
from tests.host.driver import HostProcess, artifact, pickled

IRIS = load_iris()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(IRIS.data, IRIS.target)
    return pickled(model, tmp_path_factory.mktemp("iris"), compile="auto")


@pytest.fixture(scope="module")
def kept(iris: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that has the compiled form of it, to be copied."""
    place = tmp_path_factory.mktemp("kept") / "cache"
    with host(iris, place) as process:
        assert certificate(process.loaded()).verdict == "compiled"
    return place


def host(wanted: Artifact, cache: Path, *, forked: bool = True) -> HostProcess:
    return HostProcess(wanted, forked=forked, environment={"PENSTOCK_CACHE": str(cache)})


def certificate(loaded: Loaded) -> Certificate:
    assert loaded.certificate is not None
    return loaded.certificate


def changed(wanted: Artifact, **said: Any) -> Artifact:
    return artifact(Path(wanted.path), compile="auto", **said)


def test_the_first_start_compiles_and_the_next_never_unpickles(iris: Artifact, cache: Path) -> None:
    with host(iris, cache, forked=False) as first:
        found = first.loaded()
        assert [stage for stage, _ in first.stages] == ["reading", "loading", "compiling", "warming"]
        answers = first.front().ask(IRIS.data, probabilities=True)
    assert certificate(found).verdict == "compiled"
    assert (found.runtime, found.warnings) == ("onnxruntime", ())
    assert "scikit-learn" in found.trained_with

    with host(iris, cache, forked=False) as second:
        again = second.loaded()
        assert [stage for stage, _ in second.stages] == ["reading", "warming"]
        assert "sklearn" not in Path(f"/proc/{second.pid}/maps").read_text()
        same = second.front().ask(IRIS.data, probabilities=True)
    assert certificate(again) == certificate(found)
    assert again.signature == found.signature
    for one, other in zip(answers, same, strict=True):
        assert np.array_equal(one, other)
    assert answers[0].tolist() == joblib.load(iris.path).predict(IRIS.data).tolist()


def test_a_damaged_entry_is_made_again(iris: Artifact, kept: Path, cache: Path) -> None:
    shutil.copytree(kept, cache)
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-1] + b"?")
    with host(iris, cache) as second:
        assert certificate(second.loaded()).verdict == "compiled"
        assert ("compiling", None) in second.stages
    with host(iris, cache) as third:
        third.loaded()
        assert ("compiling", None) not in third.stages


def test_what_is_not_equal_is_served_as_it_was_trained(tmp_path: Path, cache: Path) -> None:
    model = KNeighborsClassifier().fit(IRIS.data, IRIS.target)
    wanted = pickled(model, tmp_path, compile="auto")
    with host(wanted, cache) as first:
        found = first.loaded()
        assert first.front().ask(IRIS.data)[0].tolist() == model.predict(IRIS.data).tolist()
    assert found.runtime == "sklearn"
    assert certificate(found).verdict == "original"
    assert " differs on a" in (certificate(found).reason or "")
    with host(wanted, cache) as second:  # and that is known the next time
        assert certificate(second.loaded()) == certificate(found)
        assert ("compiling", None) not in second.stages


def test_required_and_not_there_is_refused(tmp_path: Path, cache: Path) -> None:
    model = KNeighborsClassifier().fit(IRIS.data, IRIS.target)
    with host(pickled(model, tmp_path, compile="require"), cache) as process:
        refused = process.refused()
    assert refused.code == "not_compiled"
    assert "has no compiled form that is shown to be equal (" in refused.message
    assert refused.message.endswith("say `compile: auto` to serve the original")


def test_compiling_that_takes_too_long_leaves_the_original(iris: Artifact, cache: Path) -> None:
    with host(changed(iris, compile_timeout_s=0.01), cache) as process:
        found = process.loaded()
    assert found.runtime == "sklearn"
    assert certificate(found).reason == "compiling it took longer than 0.01 s; compile_timeout_s allows it more"
    assert not cache.exists()  # another time there may be enough


def test_a_cache_that_cannot_be_written_is_a_warning(iris: Artifact, tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    with host(iris, place) as process:
        found = process.loaded()
    assert certificate(found).verdict == "compiled"
    (warning,) = found.warnings
    assert warning == (
        f"compiled anew at each start: {place} cannot keep it (it belongs to others, or they may write to it); "
        "set PENSTOCK_CACHE to a directory of your own"
    )
    assert list(place.iterdir()) == []


def test_what_cannot_be_loaded_is_said_by_the_host(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"no pickle")
    with host(artifact(tmp_path / "model.pkl", compile="auto"), cache) as process:
        refused = process.refused()
        assert "compiler" not in process.words()  # it says nothing of its own before the host's good reason
    assert refused.code == "unreadable_artifact"


def test_the_compiler_reads_what_the_host_has_read(iris: Artifact, cache: Path, tmp_path: Path) -> None:
    """A file that is exchanged between the two is neither compiled nor kept as what the host was to serve."""
    path = tmp_path / "model.pkl"
    other = KNeighborsClassifier().fit(IRIS.data, IRIS.target)
    whole = Path(iris.path).read_bytes()
    path.write_bytes(whole)
    with host(artifact(path, compile="auto"), cache) as process:
        wait_until(lambda: _compiler_of(process.pid) is not None, "compiling", str)
        joblib.dump(other, tmp_path / "other")
        os.replace(tmp_path / "other", path)
        found = process.loaded()
    assert found.sha256 == hashlib.sha256(whole).hexdigest()
    if certificate(found).verdict == "original":  # it came too late, and the host serves what it has read
        assert not cache.exists()


def _compiler_of(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def test_what_nobody_vouched_for_is_not_even_looked_up(iris: Artifact, kept: Path) -> None:
    """A compiled form in the cache does not replace the operator's word."""
    with host(changed(iris, trusted=False), kept) as process:
        assert process.refused().code == "untrusted_artifact"


def test_a_transform_that_nobody_vouched_for_never_reaches_the_compiler(
    iris: Artifact, cache: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "scaler.pkl").write_bytes(f"cos\nsystem\n(Vtouch {mark}\ntR.".encode())
    transforms = (Transform(str(tmp_path / "scaler.pkl"), "pickle"),)
    with host(changed(iris, transforms=transforms), cache) as process:
        assert process.refused().code == "untrusted_artifact"
    assert not mark.exists()


def test_own_code_that_has_changed_is_refused_also_where_all_is_in_the_cache(
    iris: Artifact, cache: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text("HALF = 0.5")
    pins = {str(own): hashlib.sha256(own.read_bytes()).hexdigest()}
    with host(changed(iris, code=(str(own),), code_pins=pins), cache) as first:
        first.loaded()
    own.write_text("HALF = 0.6")
    with host(changed(iris, code=(str(own),), code_pins=pins), cache) as second:
        assert second.refused().code == "changed_artifact"


def test_the_compiler_ends_with_its_host(tmp_path: Path, cache: Path) -> None:
    """A model that takes for ever to load: the compiler dies with the host that waits for it."""
    (tmp_path / "slow.py").write_text(
        textwrap.dedent(
            """
            import os, pathlib, time
            def wait(mark):
                pathlib.Path(mark).write_text(str(os.getpid()))
                time.sleep(600)
            """
        )
    )
    mark = tmp_path / "mark"
    (tmp_path / "model.pkl").write_bytes(f"cslow\nwait\n(V{mark}\ntR.".encode())
    wanted = artifact(tmp_path / "model.pkl", compile="auto", code=(str(tmp_path / "slow.py"),))
    with host(wanted, cache):
        wait_until(lambda: mark.exists() and mark.read_text() != "", "loading", lambda: "")
        compiler = int(mark.read_text())
        assert b"penstock.compile" in Path(f"/proc/{compiler}/cmdline").read_bytes()
    wait_until(lambda: _gone(compiler), "gone", lambda: "")


def _gone(pid: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True


def test_examples_have_a_say(iris: Artifact, cache: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "examples.json"
    wrong.write_text(json.dumps([{"features": IRIS.data[0].tolist(), "prediction": 2}]))
    with host(changed(iris, examples=str(wrong)), cache) as process:
        assert process.refused().code == "failed_example"
    wrong.write_text(json.dumps([{"features": IRIS.data[0].tolist(), "prediction": 0}]))
    with host(changed(iris, examples=str(wrong)), cache) as process:
        found = process.loaded()
    assert (certificate(found).verdict, found.examples) == ("compiled", 1)
    assert stat.S_IMODE(os.stat(cache).st_mode) == 0o700


def test_the_compiler_loads_no_transform_that_nobody_vouched_for(iris: Artifact, cache: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "scaler.pkl").write_bytes(f"cos\nsystem\n(S'touch {ran}'\ntR.".encode())
    unvouched = changed(iris, transforms=(Transform(str(tmp_path / "scaler.pkl"), "pickle"),))
    with host(unvouched, cache) as refusing:
        assert refusing.refused().code == "untrusted_artifact"
    assert not ran.exists()
