"""The reference of a model: its rows are taken as the model's inputs, pinned, and have a say in the compiled form."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from penstock.errors import ArtifactError, ChangedArtifact, UnreadableArtifact, UnsupportedArtifact
from penstock.host.cache import key_of
from penstock.host.reference import sample_of
from penstock.model.control import Artifact
from penstock.model.signature import Field
from tests.host.driver import HostProcess, artifact, loaded, pickled, refusal

X, Y = load_iris(return_X_y=True)
INPUTS = (Field(name="age"), Field(name="city", dtype="string"))


def written(folder: Path, names: Sequence[str], *sample: Sequence[Any]) -> str:
    fields = [{"name": name, "count": len(sample), "missing": 0} for name in names]
    file = folder / "reference.json"
    file.write_text(json.dumps({"rows": len(sample), "fields": fields, "sample": sample}))
    return str(file)


def with_reference(path: str, **said: Any) -> Artifact:
    return artifact(Path("model.pkl"), reference=path, **said)


def test_rows_are_given_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    path = written(tmp_path, ["city", "age"], ["Bern", 41.5], ["Ulm", None])
    assert sample_of(with_reference(path), INPUTS).rows == [[41.5, "Bern"], [None, "Ulm"]]
    assert sample_of(artifact(Path("model.pkl")), INPUTS) == ([], {})


@pytest.mark.parametrize(
    ("names", "row", "kind", "said"),
    [
        (["age"], [1], UnsupportedArtifact, "by the fields city: pack the model again"),
        (["age", "city", "shoe"], [1, "Bern", 2], UnsupportedArtifact, "by the fields shoe: "),
        (["age", "city"], [1], UnreadableArtifact, "rows of other lengths"),
    ],
)
def test_a_reference_of_other_data_is_refused(
    names: list[str], row: list[Any], kind: type[ArtifactError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=said):
        sample_of(with_reference(written(tmp_path, names, row)), INPUTS)


def test_what_is_no_reference_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = written(tmp_path, [])
    Path(path).write_text("[]")
    with pytest.raises(UnreadableArtifact, match="let `penstock pack` write it, or remove it"):
        sample_of(with_reference(path), INPUTS)


def test_a_reference_that_changed_since_the_first_load_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ["age", "city"])
    digest = sample_of(with_reference(path), INPUTS).beside[path]
    assert sample_of(with_reference(path, beside={path: digest}), INPUTS).rows == []
    written(tmp_path, ["age", "city"], [1, "Bern"])
    with pytest.raises(ChangedArtifact):
        sample_of(with_reference(path, beside={path: digest}), INPUTS)


def test_a_host_tells_the_digest_of_the_reference_and_refuses_one_of_other_data(tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(X, Y)
    path = written(tmp_path, ["f0", "f1", "f2", "f3"], *X[:3].tolist())
    assert list(loaded(pickled(model, tmp_path, reference=path)).beside) == [path]
    written(tmp_path, ["length", "width"])
    refused = refusal(pickled(model, tmp_path, reference=path))
    assert (refused.code, "of other data" in refused.message) == ("unsupported_artifact", True)


def test_another_reference_is_another_entry_of_the_cache() -> None:
    of = artifact(Path("model.pkl"))
    assert len({key_of(of, "m", beside) for beside in ([], ["examples"], ["examples", "reference"])}) == 3


def test_a_model_is_compiled_again_when_its_reference_changes(tmp_path: Path) -> None:
    names = ["f0", "f1", "f2", "f3"]
    path = written(tmp_path, names, *X[:1].tolist())
    of = pickled(LogisticRegression(max_iter=500).fit(X, Y), tmp_path, reference=path, compile="auto")
    cache = {"PENSTOCK_CACHE": str(tmp_path / "cache")}
    stages = []
    for sample in (X[:1], X[:1], X):
        written(tmp_path, names, *sample.tolist())
        with HostProcess(of, environment=cache) as host:
            certificate = host.loaded().certificate
            stages.append([stage for stage, _ in host.stages])
        assert certificate is not None
        assert certificate.verdict == "compiled"
    assert ["compiling" in each for each in stages] == [True, False, True]
