"""The distribution of the data: what is told of numbers and texts, and what becomes of the fields by it."""

import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.packing.distribution import complete, described, quantiles, reference
from penstock.cli.packing.sheet import Place, Sheet
from penstock.model.signature import Field

AGE, CITY = Field(name="age", nullable=True), Field(name="city", dtype="string")


@pytest.mark.parametrize(
    ("field", "values", "said"),
    [
        (Field(name="f0"), [3.0, None, 1.5], {"range": (1.5, 3.0), "categories": None}),
        (Field(name="f0", range=(0, 9)), [3.0], {"range": (0, 9)}),
        (Field(name="f0", categories=(1, 2)), [1.0, 2.0], {"range": None, "categories": (1, 2)}),
        (Field(name="f0"), [None], {"range": None}),
        (Field(name="f0", dtype="bool"), [True, False] * 5, {"range": None, "categories": None}),
        (CITY, ["Ulm", "Bern", None, "Bern", "Ulm"], {"categories": ("Bern", "Ulm")}),
        (CITY, ["each", "is", "another", "text"], {"categories": None}),
    ],
)
def test_a_field_gets_the_name_and_the_limits_that_the_data_shows(
    field: Field, values: list[Any], said: dict[str, Any]
) -> None:
    shown = described(Place(field, 0, "column", "called"), values)
    assert shown.name == "called"
    assert {name: getattr(shown, name) for name in said} == said


def test_numbers_are_told_by_their_quantiles_and_texts_by_their_counts() -> None:
    sheet = Sheet((AGE, CITY), ([40.0, None, 20.0, 30.0], ["Ulm", "Bern", "Ulm", None]))
    found = reference(sheet, [1, 2])
    age, city = found.fields
    assert (found.rows, found.sample) == (4, ((None, "Bern"), (20.0, "Ulm")))
    assert (age.name, age.count, age.missing, age.min, age.max) == ("age", 3, 1, 20.0, 40.0)
    assert (age.quantiles[0], age.quantiles[10], age.quantiles[20]) == (20.0, 30.0, 40.0)
    assert (city.count, city.missing, city.categories, city.others) == (3, 1, (("Ulm", 2), ("Bern", 1)), 0)


def test_only_the_most_frequent_categories_are_listed() -> None:
    values = ["often"] * 3 + [f"text {number}" for number in range(150)]
    (city,) = reference(Sheet((CITY,), (values,)), []).fields
    assert (city.categories[0], len(city.categories), city.others) == (("often", 3), 100, 51)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_quantiles_are_those_of_numpy(values: list[float]) -> None:
    expected = np.quantile(values, np.linspace(0, 1, 21))
    assert quantiles(values) == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-9)
    assert quantiles(values)[10] == pytest.approx(statistics.median(values), rel=1e-9, abs=1e-9)


def test_rows_are_drawn_always_the_same_and_without_gaps_that_the_model_cannot_bear() -> None:
    sheet = Sheet((AGE, CITY), ([None, 1.0, 2.0, 3.0], ["a", None, "b", "c"]))
    assert sorted(complete(sheet)) == [0, 2, 3]
    wide = Sheet((AGE,), (list(map(float, range(1000))),))
    assert complete(wide) == complete(wide)
    assert complete(wide) != sorted(complete(wide))
