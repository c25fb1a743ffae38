"""Registers graphs that decide and add exactly as trees do, in place of skl2onnx's single precision."""

import sys
from typing import Any

import numpy as np
from skl2onnx.common._registration import get_converter, get_shape_calculator

from penstock.compile import averaging, boosting, isolation, leafwise, xgboosted
from penstock.compile.announcement import announce_classes, announce_outliers, announce_values
from penstock.compile.graph import Graph
from penstock.compile.registration import LABELLED, SCORED, introduce, replace

AVERAGED = ("DecisionTree", "ExtraTree", "RandomForest", "ExtraTrees")
VOTING = "SklearnAdaBoostClassifier"


def register() -> None:
    """Trees and their ensembles, which answer with doubles whatever their inputs are; only XGBoost has singles."""
    classifiers = dict.fromkeys(AVERAGED, averaging.write_classes) | {
        "GradientBoosting": boosting.write_gradient_classes,
        "HistGradientBoosting": boosting.write_histogram_classes,
    }
    regressors = dict.fromkeys(AVERAGED, averaging.write_values) | {
        "GradientBoosting": boosting.write_gradient_values,
        "HistGradientBoosting": boosting.write_histogram_values,
    }
    for name, write in classifiers.items():
        replace(f"Sklearn{name}Classifier", announce_classes, write, np.float64)
    for name, write in regressors.items():
        replace(f"Sklearn{name}Regressor", announce_values, write, np.float64)
    replace("SklearnIsolationForest", announce_outliers, isolation.write_outliers, np.float64)
    _register_votes()
    _register_libraries()


def _register_votes() -> None:
    """AdaBoost over trees; over other estimators it stays as it is."""
    announce_usual, convert_usual = get_shape_calculator(VOTING), get_converter(VOTING)

    def announce(operator: Any) -> None:
        (announce_classes if boosting.trees_vote(operator.raw_operator) else announce_usual)(operator)

    def write(graph: Graph) -> None:
        if boosting.trees_vote(graph.model):
            boosting.write_vote(graph)
        else:
            convert_usual(graph.scope, graph.operator, graph.container)

    replace(VOTING, announce, write, np.float64)


def _register_libraries() -> None:
    """Boosters of libraries that are optional: one that is not imported has made no model."""
    if library := sys.modules.get("xgboost"):
        introduce(library.XGBClassifier, announce_classes, xgboosted.write_classes, np.float32, options=LABELLED)
        introduce(library.XGBRegressor, announce_values, xgboosted.write_values, np.float32)
    if library := sys.modules.get("lightgbm"):
        introduce(library.LGBMClassifier, announce_classes, leafwise.write_classes, np.float64, options=SCORED)
        introduce(library.LGBMRegressor, announce_values, leafwise.write_values, np.float64)
