"""Two versions' answers to the same rows: compared as arrays, and no otherwise than one would row by row."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.inference.comparison import NEGLIGIBLE, Comparison, Difference
from penstock.inference.ticket import Result
from penstock.model.signature import Field, Output, OutputField, Signature

NUMBER = OutputField(name="y")
VECTOR = OutputField(name="v", shape=(None,))
TEXT = OutputField(name="t", dtype="string")
LABELS = ("ant", "bee", "cat", "dog")


def signature(*fields: OutputField) -> Signature:
    return Signature(inputs=(Field(name="x"),), output=Output(fields=fields))


def label(*classes: str) -> OutputField:
    return OutputField(name="label", classes=classes)


def result(*outputs: list[Any], confidence: list[float] | None = None) -> Result:
    return Result([*outputs], confidence, None, 0.0, 0.001)


def compared(field: OutputField, ours: list[Any], theirs: list[Any], tolerance: float = 0.0) -> Difference:
    """Of one request."""
    return Comparison(signature(field), signature(field), tolerance).of([result(ours)], result(theirs))


def test_labels_agree_by_what_they_say_and_not_by_their_place() -> None:
    comparison = Comparison(signature(label("ant", "bee")), signature(label("bee", "ant")), 0.0)
    found = comparison.of([result([0, 0, 1])], result([1, 0, 0]))
    assert (found.rows, found.agreed, found.flips) == (3, 2, {("ant", "bee"): 1})


def test_a_label_that_only_one_of_them_knows_never_agrees() -> None:
    comparison = Comparison(signature(label("ant", "bee")), signature(label("cat", "ant")), 0.0)
    found = comparison.of([result([0, 1, 1])], result([0, 0, 0]))
    assert (found.agreed, found.flips) == (0, {("ant", "cat"): 1, ("bee", "cat"): 2})


@pytest.mark.parametrize(("one", "other"), [(100_000, 100_001), (-1, 1), (0, 1)])
def test_integers_agree_if_they_are_the_same(one: int, other: int) -> None:
    number = OutputField(name="n", dtype="int64")
    assert compared(number, [one, 7], [other, 7], 0.01).agreed == 1
    assert compared(number, [one], [one], 0.01).agreed == 1


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [(100.0, 101.005, True), (101.005, 100.0, True), (100.0, 101.02, False), (-1.0, 1.0, False)],
)
def test_numbers_agree_within_a_share_of_the_larger(one: float, other: float, agree: bool) -> None:
    assert compared(NUMBER, [one], [other], 0.01).agreed == agree


def test_numbers_agree_that_are_as_good_as_nothing() -> None:
    assert compared(NUMBER, [0.0, 0.0], [NEGLIGIBLE, 2 * NEGLIGIBLE], 0.01).agreed == 1


def test_numbers_may_be_further_apart_than_any_number_says() -> None:
    found = compared(NUMBER, [1.5e308, 1.0], [-1.5e308, 1.0])
    assert (found.agreed, found.largest) == (1, math.inf)


@pytest.mark.parametrize(("one", "other", "agree"), [("nan", "nan", True), ("1", "1.0", False), ("1e9", "1e9", True)])
def test_text_that_looks_like_a_number_is_text(one: str, other: str, agree: bool) -> None:
    found = compared(TEXT, [one], [other], 0.5)
    assert (found.agreed, found.apart.tolist()) == (agree, [])


def test_text_is_no_number_of_the_other_version() -> None:
    answers: list[tuple[OutputField, list[Any]]] = [(TEXT, ["1", "2"]), (NUMBER, [1.0, 2.0])]
    for (one, ours), (other, theirs) in permutations(answers):
        found = Comparison(signature(one), signature(other), 0.5).of([result(ours)], result(theirs))
        assert (found.agreed, found.apart.tolist()) == (0, [])


def test_a_row_agrees_in_all_of_its_numbers_or_not_at_all() -> None:
    found = compared(VECTOR, [[1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [1.0, 2.5]])
    assert (found.agreed, found.firsts, found.apart.tolist()) == (1, [True], [0.0, 0.0, 0.0, 0.5])


def test_a_row_agrees_in_all_outputs_or_not_at_all() -> None:
    both = signature(label("ant", "bee"), NUMBER)
    found = Comparison(both, both, 0.0).of([result([0, 0, 1], [1.0, 2.0, 3.0])], result([0, 1, 1], [1.0, 2.0, 9.0]))
    assert (found.agreed, found.flips, found.apart.tolist()) == (1, {("ant", "bee"): 1}, [0.0, 0.0, 6.0])


def test_each_request_is_judged_by_its_first_row() -> None:
    requests = [result([1.0, 2.0]), result([3.0]), result([4.0, 5.0, 6.0])]
    found = Comparison(signature(NUMBER), signature(NUMBER), 0.0).of(requests, result([1.0, 0.0, 0.0, 4.0, 5.0, 0.0]))
    assert (found.firsts, found.rows, found.agreed) == ([True, False, True], 6, 3)


def test_requests_whose_answers_are_of_other_lengths_are_compared_all_the_same() -> None:
    """Theirs come from one batch, ours from as many as there were."""
    requests = [result([[1.0, 2.0]]), result([[1.0]]), result([[4.0, 5.0]])]
    theirs = result([[1.0, 2.01], [1.0, 2.0], [4.0, 6.0]])
    found = Comparison(signature(VECTOR), signature(VECTOR), 0.01).of(requests, theirs)
    assert found.firsts == [True, False, False]
    assert found.apart.tolist() == pytest.approx([0.0, 0.01, 0.0, 1.0])


def test_of_labels_it_is_told_how_far_the_confidences_are_apart() -> None:
    comparison = Comparison(signature(label(*LABELS)), signature(label(*LABELS)), 0.0)
    ours = [result([0, 1], confidence=[0.5, 0.75]), result([2], confidence=[1.0])]
    found = comparison.of(ours, result([0, 1, 3], confidence=[0.5, 0.5, 0.875]))
    assert (found.apart.tolist(), found.largest) == ([0.0, 0.25, 0.125], 0.25)
    assert np.frombuffer(found.values()).tolist() == [0.0, 0.25, 0.125]


def test_where_there_are_numbers_it_is_told_how_far_these_are_apart() -> None:
    both = signature(label(*LABELS), NUMBER)
    found = Comparison(both, both, 0.0).of([result([0], [1.0], confidence=[0.5])], result([0], [3.0], confidence=[1.0]))
    assert found.apart.tolist() == [2.0]


def test_who_states_no_confidence_is_not_compared_in_it() -> None:
    comparison = Comparison(signature(label(*LABELS)), signature(label(*LABELS)), 0.0)
    for one, other in ([0.5], None), (None, [0.5]), (None, None):
        found = comparison.of([result([0], confidence=one)], result([0], confidence=other))
        assert (found.agreed, found.apart.tolist(), found.largest) == (1, [], 0.0)


class Case(NamedTuple):
    """What two versions answer to the rows of some requests: by output, and then by row."""

    fields: list[tuple[OutputField, OutputField]]
    counts: list[int]
    ours: list[list[Any]]
    theirs: list[list[Any]]
    sure: tuple[list[float] | None, list[float] | None]


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 1.0, 1.01005, 1.02, 1e-9, -1.0])
WORDS = st.sampled_from(["nan", "1", "1.0", "a", ""])
CLASSES = st.permutations(LABELS).flatmap(lambda all_: st.integers(1, 4).map(lambda n: all_[:n]))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    rows = sum(counts)
    fields, ours, theirs = [], [], []
    kinds = draw(st.lists(st.sampled_from(["label", "number", "vector", "text"]), min_size=1, max_size=3))
    for kind in kinds:
        values: list[st.SearchStrategy[Any]]
        if kind == "label":
            one, other = label(*draw(CLASSES)), label(*draw(CLASSES))
            values = [st.integers(0, len(field.classes or ()) - 1) for field in (one, other)]
        else:
            one = other = {"number": NUMBER, "vector": VECTOR, "text": TEXT}[kind]
            lengths = draw(st.sampled_from([(2, 2), (0, 2), (1, 3)]))  # from the least to the most
            vectors = st.lists(NUMBERS, min_size=lengths[0], max_size=lengths[1])
            values = [{"number": NUMBERS, "vector": vectors, "text": WORDS}[kind]] * 2
        fields.append((one, other))
        ours.append(draw(st.lists(values[0], min_size=rows, max_size=rows)))
        near = draw(st.lists(st.booleans(), min_size=rows, max_size=rows)) if one is other else [False] * rows
        answers = draw(st.lists(values[1], min_size=rows, max_size=rows))
        theirs.append([mine if same else yours for mine, yours, same in zip(ours[-1], answers, near, strict=True)])
    sure: st.SearchStrategy[list[float] | None] = st.none()  # but of labels
    if {*kinds} == {"label"}:
        sure |= st.lists(st.floats(0, 1), min_size=rows, max_size=rows)
    return Case(fields, counts, ours, theirs, (draw(sure), draw(sure)))


def split(values: Sequence[Any], counts: Sequence[int]) -> list[list[Any]]:
    """The values of each request."""
    rest = iter(values)
    return [[next(rest) for _ in range(count)] for count in counts]


def row_by_row(case: Case, tolerance: float) -> tuple[list[bool], Counter[tuple[str, str]], list[float]]:
    """Whether each row agrees, the labels that flip, and how far numbers are apart."""
    agreed = [True] * sum(case.counts)
    flips = Counter[tuple[str, str]]()
    apart: list[float] = []
    for (one, other), ours, theirs in zip(case.fields, case.ours, case.theirs, strict=True):
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if one.classes and other.classes:
                same = one.classes[a] == other.classes[b]
                flips.update([] if same else [(str(one.classes[a]), str(other.classes[b]))])
            elif one is TEXT:
                same = a == b
            else:
                x, y = (a, b) if isinstance(a, list) else ([a], [b])
                same = len(x) == len(y)
                for p, q in zip(x, y, strict=True) if same else ():
                    apart.append(abs(p - q))
                    same = same and abs(p - q) <= tolerance * max(abs(p), abs(q)) + NEGLIGIBLE
            agreed[i] = agreed[i] and same
    ours_sure, theirs_sure = case.sure
    if not apart and ours_sure is not None and theirs_sure is not None:
        apart = [abs(p - q) for p, q in zip(ours_sure, theirs_sure, strict=True)]
    return agreed, flips, apart


@given(cases(), st.sampled_from([0.0, 0.01, 0.5]))
@settings(max_examples=300)
def test_whatever_they_answer_it_is_compared_as_one_would_row_by_row(case: Case, tolerance: float) -> None:
    ours, theirs = (signature(*fields) for fields in zip(*case.fields, strict=True))
    parts = [split(values, case.counts) for values in case.ours]
    sure = split(case.sure[0], case.counts) if case.sure[0] is not None else [None] * len(case.counts)
    requests = [result(*(part[at] for part in parts), confidence=confidence) for at, confidence in enumerate(sure)]
    found = Comparison(ours, theirs, tolerance).of(requests, result(*case.theirs, confidence=case.sure[1]))
    agreed, flips, apart = row_by_row(case, tolerance)
    assert (found.rows, found.agreed) == (len(agreed), sum(agreed))
    assert found.firsts == [part[0] for part in split(agreed, case.counts)]
    assert found.flips == flips
    assert found.apart.tolist() == apart
    assert found.largest == max(apart, default=0.0)
