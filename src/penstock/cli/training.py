"""`python -m penstock.cli.training DIRECTORY`: the models of the demonstration, trained on the data that scikit-learn
brings along.

A program of its own, so that the service that starts afterwards does not carry scikit-learn about.
"""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

IRIS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
ROWS_FILE = "cancer-rows.json"
ROWS = (0, 19, 21)  # of the breast cancer data: two malignant ones and a benign one


def main(directory: Path) -> None:
    """Writes iris.pkl, cancer.pkl, and three rows for the latter as the body of a request."""
    from sklearn.datasets import load_breast_cancer

    cancer = load_breast_cancer(as_frame=True)
    data = cancer.data.rename(columns=lambda name: name.replace(" ", "_"))
    rows = data.iloc[list(ROWS)].to_dict(orient="records")
    (directory / ROWS_FILE).write_text(json.dumps({"batch": rows}, indent=2) + "\n")
    (directory / "iris.pkl").write_bytes(pickle.dumps(_iris()))
    (directory / "cancer.pkl").write_bytes(pickle.dumps(_forest(data, cancer.target_names[cancer.target])))


def _iris() -> Any:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    iris = load_iris(as_frame=True)
    data = iris.data.set_axis(IRIS, axis="columns")
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(data, iris.target_names[iris.target])


def _forest(data: Any, labels: Any) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=100, random_state=0).fit(data, labels)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
