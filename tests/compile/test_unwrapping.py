"""Estimators around others run compiled as what is inside them."""

from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.feature_selection import RFE
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC

from tests.compile.driver import certified, demand_double, same

IRIS = load_iris()


@pytest.mark.filterwarnings("ignore:y contains no unlabeled samples")
@pytest.mark.parametrize(
    "model",
    [
        GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.5, 1.0]}, cv=2
        ),
        RandomizedSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-6]}, n_iter=2, cv=2),
        RFE(LogisticRegression(max_iter=500), n_features_to_select=2),
        SelfTrainingClassifier(GaussianNB()),
        VotingClassifier([("line", LogisticRegression(max_iter=500)), ("bayes", GaussianNB())], voting="soft"),
        OneVsRestClassifier(LogisticRegression()),
        OneVsRestClassifier(LinearSVC()),
        make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())),
    ],
    ids=lambda model: type(model).__name__,
)
def test_an_estimator_around_another_is_compiled(model: Any, tmp_path: Path) -> None:
    model.fit(IRIS.data, IRIS.target_names[IRIS.target].astype(object))
    entry = certified(model, tmp_path)
    demand_double(entry)
    same(entry, model, IRIS.data)
