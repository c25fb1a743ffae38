"""Registers graphs that decide and add exactly as scikit-learn's trees do, in place of skl2onnx's single precision."""

import sys
from collections.abc import Callable
from typing import Any

import skl2onnx
from skl2onnx.common._registration import get_converter, get_shape_calculator
from sklearn import ensemble, tree

from penstock.compile import averaging, boosting, isolation, leafwise, xgboosted
from penstock.compile.announcement import announce_classes, announce_outliers, announce_values
from penstock.compile.graph import Graph

Options = dict[str, list[Any]]

LABELLED: Options = {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]}
SCORED = LABELLED | {"raw_scores": [True, False]}


def register() -> None:
    """Makes skl2onnx convert trees and their ensembles so, also where they are parts of pipelines and other ensembles.

    What cannot be represented exactly raises NotImplementedError when it is converted.
    """
    for estimator in (
        tree.DecisionTreeClassifier,
        tree.ExtraTreeClassifier,
        ensemble.RandomForestClassifier,
        ensemble.ExtraTreesClassifier,
    ):
        _register(estimator, announce_classes, averaging.write_classes, LABELLED)
    for estimator in (
        tree.DecisionTreeRegressor,
        tree.ExtraTreeRegressor,
        ensemble.RandomForestRegressor,
        ensemble.ExtraTreesRegressor,
    ):
        _register(estimator, announce_values, averaging.write_values)
    _register(ensemble.GradientBoostingClassifier, announce_classes, boosting.write_gradient_classes, SCORED)
    _register(ensemble.GradientBoostingRegressor, announce_values, boosting.write_gradient_values)
    _register(ensemble.HistGradientBoostingClassifier, announce_classes, boosting.write_histogram_classes, SCORED)
    _register(ensemble.HistGradientBoostingRegressor, announce_values, boosting.write_histogram_values)
    _register(ensemble.IsolationForest, announce_outliers, isolation.write_outliers, {"score_samples": [True, False]})
    _register_votes()
    _register_libraries()


def _register_libraries() -> None:
    """Boosters of libraries that are optional: one that is not imported has made no model."""
    if library := sys.modules.get("xgboost"):
        _register(library.XGBClassifier, announce_classes, xgboosted.write_classes, LABELLED)
        _register(library.XGBRegressor, announce_values, xgboosted.write_values)
    if library := sys.modules.get("lightgbm"):
        _register(library.LGBMClassifier, announce_classes, leafwise.write_classes, SCORED)
        _register(library.LGBMRegressor, announce_values, leafwise.write_values)


def _register(
    estimator: type,
    announce: Callable[[Any], None],
    write: Callable[[Graph], None],
    options: Options | None = None,
) -> None:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        write(Graph(scope, operator, container))

    skl2onnx.update_registered_converter(estimator, f"Sklearn{estimator.__name__}", announce, convert, options=options)


def _register_votes() -> None:
    """AdaBoost over trees; over other estimators it stays as it is."""
    alias = "SklearnAdaBoostClassifier"
    announce_usual, convert_usual = get_shape_calculator(alias), get_converter(alias)

    def announce(operator: Any) -> None:
        (announce_classes if boosting.trees_vote(operator.raw_operator) else announce_usual)(operator)

    def convert(scope: Any, operator: Any, container: Any) -> None:
        if boosting.trees_vote(operator.raw_operator):
            boosting.write_vote(Graph(scope, operator, container))
        else:
            convert_usual(scope, operator, container)

    skl2onnx.update_registered_converter(ensemble.AdaBoostClassifier, alias, announce, convert, options=SCORED)
