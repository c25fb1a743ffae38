"""A new version takes the place of another by itself only where no client would notice more than other answers."""

from typing import Any

import pytest
from msgspec.structs import replace

from penstock.model.context import Context, Feature
from penstock.model.control import Comparison, Loaded
from penstock.model.fitness import comparison_of, context_misfit_of, misfit_of, strangeness_of
from penstock.model.signature import Field, Output, OutputField, Signature


def signature(*fields: Field, **output: Any) -> Signature:
    given: dict[str, Any] = {"fields": (OutputField(name="prediction", classes=("no", "yes")),), "probabilities": True}
    return Signature(inputs=fields or (Field(name="a"), Field(name="b")), output=Output(**(given | output)))


NUMBER = signature(fields=(OutputField(name="prediction"),), probabilities=False)
WORD = signature(fields=(OutputField(name="prediction", dtype="string"),), probabilities=False)


@pytest.mark.parametrize(
    "new",
    [
        signature(),
        signature(Field(name="a", dtype="float32"), Field(name="b", nullable=True)),
        signature(Field(name="a", range=(0, 1)), Field(name="b", unit="cm")),
        signature(fields=(OutputField(name="prediction", classes=("no", "yes", "perhaps")),)),
    ],
)
def test_it_fits_where_every_request_is_taken_and_answered_in_kind(new: Signature) -> None:
    assert misfit_of(signature(), new) is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (signature(), signature(Field(name="a")), "it takes 1 features and not 2"),
        (signature(Field(name="a")), signature(), "it takes 2 features and not 1"),
        (signature(), signature(Field(name="b"), Field(name="a")), "it takes b in the place of a"),
        (
            signature(),
            signature(Field(name="a"), Field(name="b", dtype="int64")),
            "it takes b as int64 and not float64",
        ),
        (
            signature(),
            signature(Field(name="a", dtype="string"), Field(name="b")),
            "it takes a as string and not float64",
        ),
        (signature(Field(name="a", nullable=True)), signature(Field(name="a")), "it does not take null for a"),
        (signature(Field(name="a", shape=(2, 3))), signature(Field(name="a", shape=(3, 2))), "it takes a in the shape"),
        (signature(Field(name="a", shape=(2,))), signature(Field(name="a")), "it takes a in the shape"),
        (
            signature(Field(name="a", dtype="string", categories=("x", "y"))),
            signature(Field(name="a", dtype="string", categories=("x",), unknown="refuse")),
            "it refuses 1 categories of a",
        ),
        (signature(), signature(probabilities=False), "it states no probabilities"),
        (signature(), NUMBER, "its prediction is a number and not one of 2 classes (text)"),
        (NUMBER, signature(), "its prediction is one of 2 classes (text) and not a number"),
        (signature(), WORD, "its prediction is text and not one of 2 classes (text)"),
        (NUMBER, WORD, "its prediction is text and not a number"),
        (
            signature(),
            signature(fields=(OutputField(name="p", classes=(0, 1.5)),)),
            "its p is one of 2 classes (integers, numbers) and not one of 2 classes (text)",
        ),
        (signature(), signature(fields=(OutputField(name="p"), OutputField(name="q"))), "it gives 2 outputs and not 1"),
    ],
)
def test_it_does_not_fit_where_a_client_would_be_refused(old: Signature, new: Signature, reason: str) -> None:
    assert (misfit_of(old, new) or "").startswith(reason)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (signature(), signature(probabilities=False), None),
        (signature(Field(name="a", nullable=True)), signature(Field(name="a")), None),
        (signature(Field(name="a", dtype="int64", nullable=True)), signature(Field(name="a", dtype="float32")), None),
        (
            signature(Field(name="a", dtype="string", categories=("x", "y"))),
            signature(Field(name="a", dtype="string", categories=("x",), unknown="refuse")),
            None,
        ),
        *(
            (
                signature(Field(name="a", dtype=dtype, nullable=True)),
                signature(Field(name="a", dtype=dtype)),
                "it does not take null for a",
            )
            for dtype in ("int64", "bool", "string")
        ),
        (signature(), signature(Field(name="a")), "it takes 1 features and not 2"),
        (signature(), NUMBER, "its prediction is a number and not one of 2 classes (text)"),
    ],
)
def test_a_version_is_compared_unless_it_cannot_be_asked_or_answers_in_another_kind(
    old: Signature, new: Signature, reason: str | None
) -> None:
    assert strangeness_of(old, new) == reason


def test_a_length_that_may_vary_takes_every_one() -> None:
    assert misfit_of(signature(Field(name="a", shape=(2, 3))), signature(Field(name="a", shape=(None, 3)))) is None


def loaded(**said: Any) -> Loaded:
    return Loaded(signature=signature(), sha256="0" * 64, bytes=1, runtime="test", device="cpu", **said)


def test_the_two_are_compared_by_the_examples_of_the_one_that_serves() -> None:
    new = loaded(comparison=Comparison(examples=10, differing=2, unanswered=1, us=300.0))
    assert comparison_of(loaded(example_us=100.0), new) == {
        "examples": 10, "differing": 2, "unanswered": 1, "times_as_long": 3.0,
    }  # fmt: skip
    assert comparison_of(loaded(), new) == {"examples": 10, "differing": 2, "unanswered": 1}
    assert comparison_of(loaded(), loaded()) == {"examples": 0}


LOOKED_UP = Context(
    key="user", store="s", features=(Feature(name="b", field="b", default=1.0), Feature(name="c", field="c"))
)


def completed(*context: Context) -> Loaded:
    signature = Signature(
        inputs=(Field(name="a"), Field(name="b"), Field(name="c")), output=Output(fields=(OutputField(name="y"),))
    )
    return Loaded(signature=signature, context=context, sha256="", bytes=0, runtime="", device="")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ([], [LOOKED_UP], None),
        ([LOOKED_UP], [replace(LOOKED_UP, store="t", max_age_s=5.0)], None),
        ([LOOKED_UP], [], "it looks up features by nothing and not by user"),
        ([LOOKED_UP], [replace(LOOKED_UP, key="shop")], "it looks up features by shop and not by user"),
        (
            [LOOKED_UP],
            [replace(LOOKED_UP, features=LOOKED_UP.features[:1])],
            "clients send it a, c and not a, and the rest is looked up",
        ),
        (
            [LOOKED_UP],
            [replace(LOOKED_UP, features=(Feature(name="b", field="x"), LOOKED_UP.features[1]))],
            "it has no default for b",
        ),
    ],
)
def test_whoever_has_rows_completed_can_go_on(old: list[Context], new: list[Context], reason: str | None) -> None:
    assert context_misfit_of(completed(*old), completed(*new)) == reason
