"""What the zoo's models are trained on and asked: the data that scikit-learn brings along."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets

ASKED = 200  # rows of real data that each model is asked


class Feed(NamedTuple):
    """A data set: `rows` is a matrix, a table, or a list of texts."""

    name: str
    rows: Any
    target: Any

    def training(self) -> tuple[Any, Any]:
        """Every other row: half of what is asked later was never seen."""
        return self.take(range(0, len(self.rows), 2)), self.target[::2]

    def asked(self) -> Any:
        """The rows that a model is asked; those of a small data set come again."""
        return self.take(np.resize(np.arange(len(self.rows)), ASKED))

    def take(self, positions: Sequence[int] | Any) -> Any:
        if isinstance(self.rows, pd.DataFrame):
            return self.rows.iloc[list(positions)].reset_index(drop=True)
        if isinstance(self.rows, list):
            return [self.rows[i] for i in positions]
        return self.rows[list(positions)]

    def labelled(self, change: Callable[[Any], Any], name: str) -> "Feed":
        """The same rows with another target."""
        return self._replace(name=f"{self.name}, {name}", target=change(self.target))


@cache
def iris() -> Feed:
    data = datasets.load_iris()
    return Feed("iris", data.data, data.target_names[data.target].astype(object))


@cache
def wine() -> Feed:
    return Feed("wine", *datasets.load_wine(return_X_y=True))


@cache
def cancer() -> Feed:
    """Two classes, 10 columns of means; in no order of the classes."""
    rows, target = datasets.load_breast_cancer(return_X_y=True)
    return Feed("cancer", rows[:400, :10], np.array(["malignant", "benign"])[target[:400]])


@cache
def digits() -> Feed:
    """Ten classes, 64 columns of counts."""
    rows, target = datasets.load_digits(return_X_y=True)
    return Feed("digits", rows[:400], target[:400])


@cache
def diabetes() -> Feed:
    return Feed("diabetes", *datasets.load_diabetes(return_X_y=True))


@cache
def exercise() -> Feed:
    """Three numbers to answer at a time."""
    return Feed("linnerud", *datasets.load_linnerud(return_X_y=True))


@cache
def patients() -> Feed:
    """The diabetes data as a table of names, texts and gaps: a category with an order, one without, one in numbers."""
    data = datasets.load_diabetes(scaled=False, as_frame=True)
    table = data.data[["age", "bmi", "bp", "s5"]].copy()
    table["sex"] = data.data["sex"].map({1.0: "f", 2.0: "m"}).astype(object)
    table["weight"] = np.array(["light", "middle", "heavy"], object)[np.digitize(table["bmi"], [24, 29])]
    table["decade"] = (table["age"] // 10).astype("int64")
    table.loc[table.index % 7 == 3, "bp"] = np.nan
    return Feed("patients", table, np.where(data.target > 140, "worse", "better").astype(object))


@cache
def gaps() -> Feed:
    """Wine with every ninth value missing."""
    rows, target = datasets.load_wine(return_X_y=True)
    holes = np.random.default_rng(0).random(rows.shape) < 1 / 9
    return Feed("wine with gaps", np.where(holes, np.nan, rows), target)


@cache
def sentences() -> Feed:
    """Sentences out of the descriptions that the data sets come with, to be told by the data set."""
    sources = (datasets.load_iris, datasets.load_breast_cancer, datasets.load_diabetes, datasets.load_digits)
    texts, labels = [], []
    for source in sources:
        text = " ".join(line for line in source().DESCR.splitlines() if not line.startswith(("..", "=")))
        found = [part.strip() for part in re.split(r"(?<=[.,;:]) |  +|\n", text) if len(part.strip()) > 8]
        texts += found
        labels += [source.__name__.removeprefix("load_")] * len(found)
    mixed = np.random.default_rng(0).permutation(len(texts))
    return Feed("sentences", [texts[i] for i in mixed], np.array(labels, object)[mixed])
