"""Registers graphs that decide and add exactly as scikit-learn's trees do, in place of skl2onnx's single precision."""

from collections.abc import Callable
from typing import Any

import skl2onnx
from skl2onnx.common._registration import get_converter, get_shape_calculator
from sklearn import ensemble, tree

from penstock.compile import averaging, boosting, isolation
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
    _register(ensemble.AdaBoostClassifier, announce_classes, boosting.write_vote, SCORED, boosting.trees_vote)
    _register(ensemble.IsolationForest, announce_outliers, isolation.write_outliers, {"score_samples": [True, False]})


def _register(
    estimator: type,
    announce: Callable[[Any], None],
    write: Callable[[Graph], None],
    options: Options | None = None,
    can_write: Callable[[Any], bool] = lambda model: True,
) -> None:
    alias = f"Sklearn{estimator.__name__}"
    usual, usually_announced = get_converter(alias), get_shape_calculator(alias)

    def announced(operator: Any) -> None:
        (announce if can_write(operator.raw_operator) else usually_announced)(operator)

    def convert(scope: Any, operator: Any, container: Any) -> None:
        if can_write(operator.raw_operator):
            write(Graph(scope, operator, container))
        else:
            usual(scope, operator, container)

    skl2onnx.update_registered_converter(estimator, alias, announced, convert, options=options)
