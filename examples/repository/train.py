"""Trains two models and writes them as a repository: models/<name>/<version>/."""

import json
import pickle
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

iris = load_iris()
flowers = make_pipeline(StandardScaler(), LogisticRegression()).fit(iris.data, iris.target_names[iris.target])
home = Path("models/iris/1")
home.mkdir(parents=True, exist_ok=True)
(home / "model.pkl").write_bytes(pickle.dumps(flowers))
golden = [{"features": row.tolist(), "prediction": str(flowers.predict([row])[0])} for row in iris.data[::50]]
(home / "examples.json").write_text(json.dumps(golden, indent=2))

wine = load_wine()
forest = RandomForestClassifier(50, random_state=0).fit(wine.data, wine.target)
home = Path("models/wine/1")
home.mkdir(parents=True, exist_ok=True)
exported = to_onnx(forest, wine.data[:1].astype(np.float32), options={"zipmap": False})
(home / "model.onnx").write_bytes(exported.SerializeToString())
