"""What is inferred of an estimator's columns, and that rows of such columns are answered as the estimator would."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from penstock.host.columns import describe
from penstock.model.signature import Field
from tests.host.driver import HostProcess, ask, declared, loaded, pickled, refusal

ROWS = 40
PEOPLE = pd.DataFrame(
    {
        "age": np.where(np.arange(ROWS) % 5 == 0, np.nan, np.arange(ROWS) + 20.0),
        "children": np.arange(ROWS) % 3,
        "city": [["Rome", "Oslo", None, "Bern"][i % 4] for i in range(ROWS)],
        "job": [["cook", "nurse"][i % 2] for i in range(ROWS)],
        "note": [["likes fish", "likes tea", "is late"][i % 3] for i in range(ROWS)],
    }
)
BUYS = np.arange(ROWS) % 4 > 1
NUMBERS = PEOPLE[["children", "children"]].to_numpy(float) + np.arange(ROWS)[:, None]


def mixed(**said: Any) -> ColumnTransformer:
    """Numbers, categories and a text, as tables of people have them."""
    return ColumnTransformer(
        [
            ("number", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            ("category", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["city"]),
            ("text", TfidfVectorizer(), "note"),
        ],
        **said,
    )


def brief(fields: tuple[Field, ...]) -> str:
    """Fields on a line: a name, a dtype, `?` where nullable, `!` where unknown categories are refused."""
    marks = [("?" if f.nullable else "") + ("!" if f.unknown == "refuse" else "") for f in fields]
    return " ".join(f"{f.name}:{f.dtype}{mark}" for f, mark in zip(fields, marks, strict=True))


@pytest.mark.parametrize(
    ("model", "columns", "fields"),
    [
        (LogisticRegression(), ["children"], "children:float64"),
        (make_pipeline(StandardScaler(), LogisticRegression()), ["children"], "children:float64"),
        (GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2), ["children"], "children:float64"),
        (CalibratedClassifierCV(LogisticRegression(), cv=2), ["children"], "children:float64"),
        (make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), ["age"], "age:float64?"),
        (HistGradientBoostingClassifier(max_iter=2), ["age", "children"], "age:float64? children:float64?"),
        (make_pipeline(mixed(), LogisticRegression()), list(PEOPLE), "age:float64? city:string?! note:string"),
        (
            make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
            ["job", "children"],
            "job:string children:int64",
        ),
        (make_pipeline(OrdinalEncoder(), DecisionTreeClassifier()), ["city", "job"], "city:string?! job:string!"),
        (
            make_pipeline(
                ColumnTransformer(
                    [
                        ("n", StandardScaler(), make_column_selector(dtype_include="number")),
                        ("c", OneHotEncoder(), make_column_selector(dtype_exclude="number")),
                    ]
                ),
                LogisticRegression(),
            ),
            ["children", "job"],
            "children:float64 job:string!",
        ),
        (
            make_pipeline(
                ColumnTransformer([("c", OneHotEncoder(), slice("job", "job"))], remainder="passthrough"),
                HistGradientBoostingClassifier(max_iter=2),
            ),
            ["age", "job", "children"],
            "age:float64? job:string! children:float64?",
        ),
        (
            make_pipeline(FeatureUnion([("a", StandardScaler()), ("b", FunctionTransformer())]), LogisticRegression()),
            ["children"],
            "children:float64",
        ),
    ],
)
def test_a_table_is_served_by_name_as_the_model_saw_it(
    model: Any, columns: list[str], fields: str, tmp_path: Path
) -> None:
    table = PEOPLE[columns]
    model.fit(table, BUYS)
    with HostProcess(pickled(model, tmp_path)) as host:
        signature = host.loaded().signature
        assert signature.named
        assert brief(signature.inputs) == fields
        tensors = [_column(table, tensor.fields) for tensor in signature.tensors()]
        columns_of_answer = host.front().ask(*tensors)
        assert np.array_equal(np.array([False, True])[columns_of_answer[0]], model.predict(table))
        assert host.words() == ""


def _column(table: pd.DataFrame, fields: tuple[Field, ...]) -> Any:
    names = [field.name for field in fields]
    if fields[0].dtype == "string":
        return [None if pd.isna(text) else text for text in table[names[0]]]
    return (
        table[names].to_numpy(fields[0].dtype) if len(fields) > 1 or len(table.columns) == 1 else _scalar(table, fields)
    )


def _scalar(table: pd.DataFrame, fields: tuple[Field, ...]) -> Any:
    return table[fields[0].name].to_numpy(fields[0].dtype)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (LogisticRegression(), "f0:float64 f1:float64"),
        (KMeans(2, n_init=1), "f0:float64 f1:float64"),
        (IsolationForest(n_estimators=3), "f0:float64? f1:float64?"),
        (AdaBoostClassifier(n_estimators=2), "f0:float64 f1:float64"),
        (GradientBoostingRegressor(n_estimators=2), "f0:float64 f1:float64"),
        (TransformedTargetRegressor(RandomForestRegressor(2)), "f0:float64? f1:float64?"),
    ],
)
def test_a_matrix_has_columns_of_made_up_names(model: Any, fields: str, tmp_path: Path) -> None:
    signature = loaded(pickled(model.fit(NUMBERS, BUYS), tmp_path)).signature
    assert not signature.named
    assert brief(signature.inputs) == fields


def test_mixed_columns_without_names_are_served_by_position(tmp_path: Path) -> None:
    table = PEOPLE[["children", "job"]].to_numpy(object)
    model = make_pipeline(
        ColumnTransformer([("c", OneHotEncoder(), [1]), ("n", StandardScaler(), [0])]), SGDClassifier()
    )
    model.fit(table, BUYS)
    with HostProcess(pickled(model, tmp_path)) as host:
        assert brief(host.loaded().signature.inputs) == "f0:float64 f1:string!"
        (answers,) = host.front().ask(PEOPLE["children"].to_numpy(float), PEOPLE["job"].to_list())
    assert np.array_equal(answers.astype(bool), model.predict(table))


@pytest.mark.parametrize(
    "vectoriser",
    [
        TfidfVectorizer(),
        HashingVectorizer(n_features=64),
        FeatureUnion([("words", CountVectorizer()), ("letters", CountVectorizer(analyzer="char"))]),
        make_pipeline(FunctionTransformer(np.char.lower), CountVectorizer()),
    ],
)
def test_a_model_of_text_takes_one_field_called_text(vectoriser: Any, tmp_path: Path) -> None:
    texts = PEOPLE["note"].to_list()
    model = make_pipeline(vectoriser, LogisticRegression()).fit(texts, BUYS)
    with HostProcess(pickled(model, tmp_path)) as host:
        assert brief(host.loaded().signature.inputs) == "text:string"
        columns = host.front().ask([*texts, ""])
    assert np.array_equal(columns[0].astype(bool), model.predict([*texts, ""]))


def test_categories_are_told_with_the_field(tmp_path: Path) -> None:
    model = make_pipeline(mixed(), LogisticRegression()).fit(PEOPLE, BUYS)
    fields = {field.name: field for field in describe(model).fields}
    assert fields["city"].categories == ("Bern", "Oslo", "Rome")
    assert fields["note"].categories is None


def test_a_missing_value_reaches_the_model_as_nan_and_in_text_too(tmp_path: Path) -> None:
    model = make_pipeline(mixed(), LogisticRegression()).fit(PEOPLE, BUYS)
    (answer, confidence) = ask(pickled(model, tmp_path), np.array([np.nan]), [None], ["likes tea"])
    table = pd.DataFrame({"age": [np.nan], "city": [np.nan], "note": ["likes tea"]})
    assert confidence[0] == model.predict_proba(table)[0, answer[0]]


def test_a_missing_text_in_a_matrix_reaches_the_model_as_nan(tmp_path: Path) -> None:
    matrix = PEOPLE[["city", "job"]].to_numpy(object)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(matrix, BUYS)
    with HostProcess(pickled(model, tmp_path)) as host:
        assert brief(host.loaded().signature.inputs) == "f0:string?! f1:string!"
        columns = host.front().ask([None, "Rome"], ["cook", "nurse"])
    expected = model.predict(np.array([[np.nan, "cook"], ["Rome", "nurse"]], dtype=object))
    assert np.array_equal(columns[0].astype(bool), expected)


def test_a_missing_text_reaches_the_model_as_none_where_it_learnt_none(tmp_path: Path) -> None:
    table = PEOPLE[["city"]].astype(object).where(PEOPLE[["city"]].notna(), None)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(table, BUYS)
    with HostProcess(pickled(model, tmp_path)) as host:
        assert brief(host.loaded().signature.inputs) == "city:string?!"
        columns = host.front().ask([None, "Rome"])
    assert np.array_equal(columns[0].astype(bool), model.predict(pd.DataFrame({"city": [None, "Rome"]}, dtype=object)))


class Believes(LinearRegression):  # type: ignore[misc]  # scikit-learn has no types
    """Its tags say that it takes missing values, and it does not."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def test_nullable_is_inferred_only_where_the_model_was_seen_to_answer() -> None:
    model = Believes().fit(NUMBERS, BUYS)
    assert brief(describe(model).fields) == "f0:float64? f1:float64?"
    from penstock.host.rehearsal import Rehearsal
    from penstock.host.runtimes.estimator import Estimator
    from penstock.model.control import Artifact

    served = Estimator(model, Artifact(path="model.pkl", format="pickle", root="."))
    assert brief(Rehearsal(served, []).signature.inputs) == "f0:float64 f1:float64"


def test_declared_fields_override_those_of_the_same_name(tmp_path: Path) -> None:
    model = make_pipeline(mixed(), LogisticRegression()).fit(PEOPLE, BUYS)
    said = declared("age", range=(0.0, 120.0)) + declared("city", categories=("Rome", "Oslo"))
    age, city, note = loaded(pickled(model, tmp_path, inputs=said)).signature.inputs
    assert (age.range, age.nullable, age.origin) == ((0.0, 120.0), True, "declared")
    assert (city.dtype, city.categories, city.origin) == ("string", ("Rome", "Oslo"), "declared")
    assert note.origin == "inferred"


def test_declared_fields_name_the_columns_that_have_no_names(tmp_path: Path) -> None:
    model = LogisticRegression().fit(NUMBERS, BUYS)
    signature = loaded(pickled(model, tmp_path, inputs=declared("width", "height"))).signature
    assert [field.name for field in signature.inputs] == ["width", "height"]
    assert signature.named


@pytest.mark.parametrize(
    ("columns", "fields", "said"),
    [
        (NUMBERS, declared("a", "b", "c"), "takes 2 inputs"),
        (PEOPLE[["children"]], declared("chidlren"), "no input named chidlren: it takes children"),
    ],
)
def test_declared_fields_that_contradict_the_model_are_refused(
    columns: Any, fields: tuple[Field, ...], said: str, tmp_path: Path
) -> None:
    refused = refusal(pickled(LogisticRegression().fit(columns, BUYS), tmp_path, inputs=fields))
    assert refused.code == "unsupported_artifact"
    assert said in refused.message
