"""Every estimator of scikit-learn that predicts, as it would be trained by somebody who leaves the settings alone.

Where something has to be said, an estimator has a line here: what it wraps, what it takes, or how to stay small.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import all_estimators

from tests.zoo import feed
from tests.zoo.feed import Feed


class Animal(NamedTuple):
    """A model of the zoo: its name, its data, and the estimator, which is not fitted yet."""

    name: str
    feed: Callable[[], Feed]
    estimator: Any

    def trained(self) -> Any:
        rows, target = self.feed().training()
        return clone(self.estimator).fit(rows, target)


def logistic() -> Any:
    return LogisticRegression(max_iter=1000)


ARGUMENTS: dict[str, dict[str, Any]] = {
    "CategoricalNB": {"min_categories": 8},
    "ClassifierChain": {"estimator": logistic()},
    "FixedThresholdClassifier": {"estimator": logistic(), "threshold": 0.3, "pos_label": "malignant"},
    "GridSearchCV": {"estimator": logistic(), "param_grid": {"C": [0.1, 1.0]}, "cv": 2},
    "IsolationForest": {"n_estimators": 20},
    "LocalOutlierFactor": {"novelty": True},
    "LogisticRegression": {"max_iter": 1000},
    "LogisticRegressionCV": {"max_iter": 1000, "Cs": 3, "cv": 2},
    "MLPClassifier": {"hidden_layer_sizes": (20,)},
    "MLPRegressor": {"hidden_layer_sizes": (20,)},
    "MultiOutputClassifier": {"estimator": logistic()},
    "MultiOutputRegressor": {"estimator": Ridge()},
    "OneVsOneClassifier": {"estimator": logistic()},
    "OneVsRestClassifier": {"estimator": logistic()},
    "OutputCodeClassifier": {"estimator": logistic()},
    "Pipeline": {"steps": [("scale", StandardScaler()), ("model", logistic())]},
    "RFE": {"estimator": logistic(), "n_features_to_select": 2},
    "RFECV": {"estimator": DecisionTreeClassifier(random_state=0), "cv": 2},
    "RadiusNeighborsClassifier": {"radius": 2.0},
    "RadiusNeighborsRegressor": {"radius": 1.0},
    "RandomizedSearchCV": {
        "estimator": GaussianNB(),
        "param_distributions": {"var_smoothing": [1e-9, 1e-6]},
        "n_iter": 2,
        "cv": 2,
    },
    "RegressorChain": {"estimator": Ridge()},
    "SelfTrainingClassifier": {"estimator": GaussianNB()},
    "StackingClassifier": {
        "estimators": [("tree", DecisionTreeClassifier(random_state=0)), ("bayes", GaussianNB())],
        "final_estimator": logistic(),
        "cv": 2,
    },
    "StackingRegressor": {
        "estimators": [("tree", DecisionTreeRegressor(random_state=0)), ("line", LinearRegression())],
        "cv": 2,
    },
    "TunedThresholdClassifierCV": {"estimator": logistic(), "cv": 2},
    "VotingClassifier": {"estimators": [("bayes", GaussianNB()), ("line", logistic())], "voting": "soft"},
    "VotingRegressor": {"estimators": [("tree", DecisionTreeRegressor(random_state=0)), ("line", LinearRegression())]},
}
"""What estimators have to be told."""

SMALLER = {"n_estimators": 20, "random_state": 0}
"""What is set of these wherever an estimator knows them."""


def several(kind: Callable[[], Feed], change: Callable[[Any], Any], name: str) -> Callable[[], Feed]:
    return lambda: kind().labelled(change, name)


two_answers = several(feed.wine, lambda target: np.column_stack([target > 0, target > 1]).astype(int), "two labels")

FEEDS: dict[str, Callable[[], Feed]] = {
    "CCA": feed.exercise,
    "ClassifierChain": two_answers,
    "ComplementNB": feed.wine,
    "FixedThresholdClassifier": feed.cancer,
    "GammaRegressor": feed.diabetes,
    "IsotonicRegression": lambda: feed.diabetes()._replace(rows=feed.diabetes().rows[:, 2:3]),
    "MultiOutputClassifier": two_answers,
    "MultiOutputRegressor": feed.exercise,
    "MultiTaskElasticNet": feed.exercise,
    "MultiTaskElasticNetCV": feed.exercise,
    "MultiTaskLasso": feed.exercise,
    "MultiTaskLassoCV": feed.exercise,
    "MultinomialNB": feed.wine,
    "PLSCanonical": feed.exercise,
    "PLSRegression": feed.exercise,
    "RegressorChain": feed.exercise,
    "TunedThresholdClassifierCV": feed.cancer,
}
"""Where the usual data do not suit: iris for classifiers and those who find groups, diabetes for regressors."""


def animals() -> Iterator[Animal]:
    """An entry for each estimator that `all_estimators` lists and that predicts."""
    regressors = {name for name, _ in all_estimators(type_filter="regressor")}
    for name, kind in all_estimators():
        if hasattr(kind, "predict"):
            usual = feed.diabetes if name in regressors else feed.iris
            yield Animal(name, FEEDS.get(name, usual), _young(name, kind))


def _young(name: str, kind: Any) -> Any:
    arguments = ARGUMENTS.get(name, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are on their way out
        model = kind(**arguments)
    known = model.get_params(deep=False)
    return model.set_params(**{key: value for key, value in SMALLER.items() if key in known and key not in arguments})
