"""Pipelines as people build them, and the boosters of other libraries, alone and at the end of one."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from tests.zoo import feed
from tests.zoo.feed import Feed
from tests.zoo.menagerie import Animal, logistic, several, two_answers

NUMBERS = ["age", "bmi", "bp", "s5"]
TEXTS = ["sex", "weight"]

two_texts = several(
    feed.iris,
    lambda target: np.column_stack([target, np.where(target == "setosa", "small", "large").astype(object)]),
    "two answers",
)


def forest() -> Any:
    return RandomForestClassifier(20, random_state=0)


def table(*more: Any, numbers: Any = None, texts: Any = None) -> Any:
    """The usual beginning of a pipeline for patients: gaps filled, numbers scaled, texts encoded."""
    numbers = numbers or make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = texts or OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("texts", texts, TEXTS), *more])


def plain_pipelines() -> Iterator[Animal]:
    """Numbers in, one answer out."""
    yield Animal("scaling, logistic regression", feed.cancer, make_pipeline(StandardScaler(), logistic()))
    yield Animal("min-max scaling, SVC", feed.iris, make_pipeline(MinMaxScaler(), SVC()))
    yield Animal("robust scaling, linear SVC", feed.wine, make_pipeline(RobustScaler(), LinearSVC()))
    yield Animal("maximal scaling, ridge classifier", feed.wine, make_pipeline(MaxAbsScaler(), RidgeClassifier()))
    yield Animal("normalising, neighbours", feed.iris, make_pipeline(Normalizer(), KNeighborsClassifier()))
    yield Animal("scaling, random forest", feed.cancer, make_pipeline(StandardScaler(), forest()))
    yield Animal(
        "scaling, neural network",
        feed.wine,
        make_pipeline(StandardScaler(), MLPClassifier((20,), random_state=0, max_iter=100)),
    )
    yield Animal(
        "scaling, SGD with log loss",
        feed.cancer,
        make_pipeline(StandardScaler(), SGDClassifier("log_loss", random_state=0)),
    )
    yield Animal("power transform, logistic regression", feed.wine, make_pipeline(PowerTransformer(), logistic()))
    yield Animal(
        "quantile transform, logistic regression",
        feed.iris,
        make_pipeline(QuantileTransformer(n_quantiles=20), logistic()),
    )
    yield Animal("bins, logistic regression", feed.iris, make_pipeline(KBinsDiscretizer(4), logistic()))
    yield Animal("splines, ridge", feed.diabetes, make_pipeline(SplineTransformer(), Ridge()))
    yield Animal(
        "polynomials, scaling, ridge", feed.diabetes, make_pipeline(PolynomialFeatures(2), StandardScaler(), Ridge())
    )
    yield Animal("PCA, logistic regression", feed.digits, make_pipeline(PCA(10, random_state=0), logistic()))
    yield Animal("scaling, PCA, SVC", feed.cancer, make_pipeline(StandardScaler(), PCA(5), SVC()))
    yield Animal("truncated SVD, forest", feed.wine, make_pipeline(TruncatedSVD(8, random_state=0), forest()))
    yield Animal(
        "PCA beside the best columns, logistic regression",
        feed.wine,
        make_pipeline(make_union(PCA(2), SelectKBest(k=3)), logistic()),
    )
    yield Animal("best columns, naive Bayes", feed.wine, make_pipeline(SelectKBest(k=5), GaussianNB()))
    yield Animal(
        "columns that vary, columns of a forest, logistic regression",
        feed.wine,
        make_pipeline(VarianceThreshold(), SelectFromModel(forest()), logistic()),
    )
    yield Animal(
        "logarithm, linear regression", feed.wine, make_pipeline(FunctionTransformer(np.log1p), LinearRegression())
    )
    yield Animal(
        "groups, logistic regression", feed.iris, make_pipeline(KMeans(6, random_state=0, n_init=1), logistic())
    )
    yield Animal(
        "logarithm of the target, ridge",
        feed.diabetes,
        TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp),
    )
    yield Animal(
        "a search over a pipeline",
        feed.iris,
        GridSearchCV(make_pipeline(StandardScaler(), SVC(probability=False)), {"svc__C": [0.5, 2.0]}, cv=2),
    )


def gaps_and_tables() -> Iterator[Animal]:
    """Missing values, and columns of several kinds."""
    yield Animal(
        "mean for gaps, logistic regression", feed.gaps, make_pipeline(SimpleImputer(), StandardScaler(), logistic())
    )
    yield Animal(
        "median and a mark for gaps, forest",
        feed.gaps,
        make_pipeline(SimpleImputer(strategy="median", add_indicator=True), forest()),
    )
    yield Animal(
        "neighbours for gaps, logistic regression", feed.gaps, make_pipeline(KNNImputer(), StandardScaler(), logistic())
    )
    yield Animal("gradient boosting by histogram, with gaps", feed.gaps, HistGradientBoostingClassifier(max_iter=10))
    yield Animal("decision tree, with gaps", feed.gaps, DecisionTreeClassifier(random_state=0))
    yield Animal("a table, logistic regression", feed.patients, make_pipeline(table(), logistic()))
    filled = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    yield Animal("a table with missing texts, filled", _holes, make_pipeline(table(texts=filled), logistic()))
    yield Animal("a table with missing texts as a category", _holes, make_pipeline(table(), logistic()))
    yield Animal(
        "a table, one-hot without the first, logistic regression",
        feed.patients,
        make_pipeline(table(texts=OneHotEncoder(drop="first")), logistic()),
    )
    yield Animal(
        "a table, one-hot and dense, forest",
        feed.patients,
        make_pipeline(table(texts=OneHotEncoder(sparse_output=False)), forest()),
    )
    yield Animal(
        "a table, ordinal, gradient boosting",
        feed.patients,
        make_pipeline(
            table(texts=OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
            GradientBoostingClassifier(n_estimators=20, random_state=0),
        ),
    )
    yield Animal(
        "a table, the rest passed through, forest",
        feed.patients,
        make_pipeline(
            ColumnTransformer([("texts", OneHotEncoder(), TEXTS)], remainder="passthrough"), SimpleImputer(), forest()
        ),
    )
    yield Animal(
        "a table by type, logistic regression",
        feed.patients,
        make_pipeline(
            ColumnTransformer(
                [
                    (
                        "numbers",
                        make_pipeline(SimpleImputer(), StandardScaler()),
                        make_column_selector(dtype_include=np.number),
                    ),
                    ("texts", OneHotEncoder(), make_column_selector(dtype_include=object)),
                ]
            ),
            logistic(),
        ),
    )
    yield Animal(
        "a table with categories in numbers, logistic regression",
        feed.patients,
        make_pipeline(table(("decade", OneHotEncoder(handle_unknown="ignore"), ["decade"])), logistic()),
    )
    yield Animal("a table, ridge", _value, make_pipeline(table(), Ridge()))
    yield Animal(
        "a table, histogram gradient boosting",
        _value,
        make_pipeline(table(numbers="passthrough"), HistGradientBoostingRegressor(max_iter=10)),
    )
    yield Animal(
        "a table, forest of regressions", _value, make_pipeline(table(), RandomForestRegressor(20, random_state=0))
    )
    yield Animal(
        "a table of numbers alone, logistic regression", _numbers_alone, make_pipeline(StandardScaler(), logistic())
    )


def texts() -> Iterator[Animal]:
    yield Animal("tf-idf, logistic regression", feed.sentences, make_pipeline(TfidfVectorizer(), logistic()))
    yield Animal(
        "tf-idf of pairs, SGD",
        feed.sentences,
        make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), SGDClassifier(random_state=0)),
    )
    yield Animal(
        "tf-idf without stop words, linear SVC",
        feed.sentences,
        make_pipeline(TfidfVectorizer(stop_words="english", sublinear_tf=True), LinearSVC()),
    )
    yield Animal(
        "tf-idf of characters, logistic regression",
        feed.sentences,
        make_pipeline(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)), logistic()),
    )
    yield Animal("words counted, naive Bayes", feed.sentences, make_pipeline(CountVectorizer(), MultinomialNB()))
    yield Animal(
        "words hashed, SGD",
        feed.sentences,
        make_pipeline(HashingVectorizer(n_features=256), SGDClassifier(random_state=0)),
    )
    yield Animal(
        "tf-idf, truncated SVD, logistic regression",
        feed.sentences,
        make_pipeline(TfidfVectorizer(), TruncatedSVD(10, random_state=0), logistic()),
    )


def many() -> Iterator[Animal]:
    """Models of models, and several answers at a time."""
    yield Animal(
        "stacking of scaled models",
        feed.iris,
        StackingClassifier([("line", make_pipeline(StandardScaler(), logistic())), ("forest", forest())], cv=2),
    )
    yield Animal(
        "a hard vote",
        feed.wine,
        VotingClassifier(
            [("bayes", GaussianNB()), ("tree", DecisionTreeClassifier(random_state=0)), ("forest", forest())]
        ),
    )
    yield Animal(
        "a soft vote of pipelines",
        feed.wine,
        VotingClassifier(
            [("line", make_pipeline(StandardScaler(), logistic())), ("bayes", GaussianNB())], voting="soft"
        ),
    )
    yield Animal(
        "calibrated linear SVC", feed.cancer, make_pipeline(StandardScaler(), CalibratedClassifierCV(LinearSVC(), cv=2))
    )
    yield Animal("calibrated forest, isotonic", feed.cancer, CalibratedClassifierCV(forest(), method="isotonic", cv=2))
    yield Animal("calibrated naive Bayes of three classes", feed.iris, CalibratedClassifierCV(GaussianNB(), cv=2))
    yield Animal("one against the rest, several labels", two_answers, OneVsRestClassifier(logistic()))
    yield Animal("several answers of a forest", two_texts, forest())
    yield Animal(
        "several answers of a pipeline", two_texts, make_pipeline(StandardScaler(), MultiOutputClassifier(logistic()))
    )
    yield Animal("several labels of neighbours", two_answers, KNeighborsClassifier())
    yield Animal("several values of a forest", feed.exercise, RandomForestRegressor(20, random_state=0))
    yield Animal("several values of a line", feed.exercise, make_pipeline(StandardScaler(), LinearRegression()))


def xgboost() -> Iterator[Animal]:
    from xgboost import XGBClassifier, XGBRegressor

    classifier = XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1)
    regressor = XGBRegressor(n_estimators=20, max_depth=4, n_jobs=1)
    yield Animal("XGBClassifier", feed.wine, classifier)
    yield Animal("XGBClassifier of two classes", _coded, classifier)
    yield Animal("XGBClassifier, with gaps", feed.gaps, classifier)
    yield Animal("XGBRegressor", feed.diabetes, regressor)
    yield Animal("scaling, XGBClassifier", feed.wine, make_pipeline(StandardScaler(), classifier))
    yield Animal("a table, XGBRegressor", _value, make_pipeline(table(), regressor))


def lightgbm() -> Iterator[Animal]:
    from lightgbm import LGBMClassifier, LGBMRegressor

    classifier = LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1)
    regressor = LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1)
    yield Animal("LGBMClassifier", feed.iris, classifier)
    yield Animal("LGBMClassifier of two classes", feed.cancer, classifier)
    yield Animal("LGBMClassifier, with gaps", feed.gaps, classifier)
    yield Animal("LGBMRegressor", feed.diabetes, regressor)
    yield Animal("scaling, LGBMClassifier", feed.cancer, make_pipeline(StandardScaler(), classifier))
    yield Animal("a table, LGBMRegressor", _value, make_pipeline(table(), regressor))


BOOSTERS = {"xgboost": xgboost, "lightgbm": lightgbm}
"""The boosters of other libraries, by the library's name: that may be missing."""


def _value() -> Feed:
    return feed.patients()._replace(target=feed.diabetes().target)


def _numbers_alone() -> Feed:
    return feed.patients()._replace(name="patients, numbers", rows=feed.patients().rows[["age", "bmi", "s5"]])


def _holes() -> Feed:
    table = feed.patients().rows.copy()
    table.loc[table.index % 5 == 2, "weight"] = None
    return feed.patients()._replace(name="patients, texts missing", rows=table)


def _coded() -> Feed:
    return feed.cancer().labelled(lambda target: (target == "benign").astype(int), "as 0 and 1")


PIPELINES = {
    "Pipelines": plain_pipelines,
    "Gaps and tables": gaps_and_tables,
    "Texts": texts,
    "Models of models, several answers": many,
}
"""The groups of pipelines by the title that they have in the documentation."""
