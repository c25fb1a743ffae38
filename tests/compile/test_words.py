"""Texts run in double precision where their words are found alike, and as they were trained where they are not."""

from pathlib import Path
from typing import Any

import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from tests.compile.driver import certified, demand_double, same

TEXTS = [
    "a good film",
    "a bad film",
    "Good, good! I'd see it twice",
    "awful and bad; 7 of 100",
    "good plot",
    "bad plot",
] * 5
LABELS = ["yes", "no", "yes", "no", "yes", "no"] * 5
ASKED = [*TEXTS[:6], "", "a", "GOOD\nbad", "naïve film", "good-film bad_film", "don't", "film a film", "gоod", "é film"]


@pytest.mark.parametrize(
    "vectorizer",
    [
        TfidfVectorizer(),
        TfidfVectorizer(ngram_range=(1, 2)),
        TfidfVectorizer(sublinear_tf=True, norm="l1"),
        TfidfVectorizer(use_idf=False, norm=None),
        TfidfVectorizer(binary=True),
        TfidfVectorizer(stop_words="english"),
        CountVectorizer(),
        make_pipeline(CountVectorizer(ngram_range=(1, 2)), TfidfTransformer()),
    ],
    ids=str,
)
@pytest.mark.parametrize("model", [LogisticRegression(), MultinomialNB(), LinearSVC()], ids=str)
def test_words_are_counted_and_weighed_in_double_precision(vectorizer: Any, model: Any, tmp_path: Path) -> None:
    model = make_pipeline(vectorizer, model).fit(TEXTS, LABELS)
    entry = certified(model, tmp_path)
    demand_double(entry)
    same(entry, model, ASKED)


@pytest.mark.parametrize(
    ("vectorizer", "more"),
    [
        (CountVectorizer(ngram_range=(1, 2), stop_words="english"), []),  # "good and film" has the pair "good film"
        (CountVectorizer(), ["über élan", "école"]),  # ONNX Runtime leaves the É of École as it is
    ],
)
def test_what_would_be_split_otherwise_stays_as_it_was_trained(
    vectorizer: Any, more: list[str], tmp_path: Path
) -> None:
    model = make_pipeline(vectorizer, LogisticRegression())
    model.fit([*TEXTS, *more], [*LABELS, *("no" for _ in more)])
    entry = certified(model, tmp_path)
    assert entry.certificate.verdict == "original"
    assert " differs on a" in (entry.certificate.reason or "")
