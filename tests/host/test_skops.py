"""skops files hold types that are known, or are refused."""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier
from skops import io

from tests.host.driver import artifact, ask, loaded, refusal

X, Y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2


def test_an_estimator_of_known_types_is_served_without_anybodys_word(tmp_path: Path) -> None:
    model = LogisticRegression().fit(X, Y)
    io.dump(model, tmp_path / "model.skops")
    columns = ask(artifact(tmp_path / "model.skops", trusted=False), X)
    assert np.array_equal(columns[0], model.predict(X))


def test_types_that_are_not_trusted_are_shown_and_the_listed_ones_are_loaded(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(np.log1p), DecisionTreeClassifier()).fit(X, Y)
    io.dump(model, tmp_path / "model.skops")
    refused = refusal(artifact(tmp_path / "model.skops"))
    assert refused.code == "untrusted_artifact"
    assert "trusted_types" in refused.message
    unknown = tuple(io.get_untrusted_types(file=tmp_path / "model.skops"))
    assert all(name in refused.message for name in unknown)
    assert loaded(artifact(tmp_path / "model.skops", trusted_types=unknown)).runtime == "sklearn"
