"""Estimators that another one answers for: what was found in a search, what is left when features were eliminated.

What is told here is proven afterwards like any conversion, on probe rows.
"""

import copy
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from penstock.host.estimators import decides_otherwise

EACH_BY_ITSELF = "one against the rest"


def unwrapped(model: Any) -> Any:
    """An estimator that answers as the model does, and that has a converter; often the model itself.

    Raises NotImplementedError for one that decides at a threshold of its own: its converter forgets that.
    """
    if decides_otherwise(model):
        raise NotImplementedError("a threshold of its own")
    if hasattr(model, "best_estimator_"):  # of a search
        return unwrapped(model.best_estimator_)
    if hasattr(model, "labeled_iter_"):  # of who trained itself
        return unwrapped(model.estimator_)
    if hasattr(model, "ranking_") and hasattr(model, "estimator_"):  # of who eliminated features
        return Pipeline([("columns", model), ("model", unwrapped(model.estimator_))])
    if hasattr(model, "steps"):
        name, last = model.steps[-1]
        return Pipeline([*model.steps[:-1], (name, unwrapped(last))])
    if hasattr(model, "flatten_transform"):  # a vote: only its `transform` is another
        vote = copy.copy(model)
        vote.flatten_transform = False
        return vote
    return _one_against_the_rest(model) if isinstance(model, OneVsRestClassifier) else model


def _one_against_the_rest(model: OneVsRestClassifier) -> Any:
    """Linear classifiers, each of one class against the rest, are one linear classifier."""
    linear = all(isinstance(each, LogisticRegression | LinearSVC | RidgeClassifier) for each in model.estimators_)
    if model.multilabel_ or not linear:
        return model
    whole = SGDClassifier(loss=EACH_BY_ITSELF if hasattr(model, "predict_proba") else "hinge")
    whole.coef_ = np.vstack([np.atleast_2d(each.coef_) for each in model.estimators_])
    whole.intercept_ = np.concatenate([np.ravel(each.intercept_) for each in model.estimators_])
    whole.classes_ = model.classes_
    whole.n_features_in_ = whole.coef_.shape[1]
    return whole
