"""Versions are ordered as people count them."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model.versions import VERSION_NAME, looks_like_version, version_key

NAMES = st.from_regex(VERSION_NAME, fullmatch=True)
NUMBERS = st.lists(st.integers(0, 10**30), min_size=1, max_size=4)


@pytest.mark.parametrize(
    "ordered",
    [
        ("1", "2", "10", "100"),
        ("1.0", "1.1", "1.10", "2.0"),
        ("1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.1"),
        ("v1", "v2", "v10"),
        ("2025-12-31", "2026-01-01", "2026-11-23"),
        ("alpha", "beta", "1"),
        ("20260101T0900-abc", "20260101T1000-abc"),
    ],
)
def test_versions_are_ordered_as_versions_are(ordered: tuple[str, ...]) -> None:
    assert all(version_key(older) < version_key(newer) for older, newer in combinations(ordered, 2))


@given(st.lists(NUMBERS, min_size=2, max_size=6))
def test_dotted_numbers_are_ordered_like_lists_of_numbers(versions: list[list[int]]) -> None:
    names = {".".join(map(str, numbers)): numbers for numbers in versions}
    assert [names[name] for name in sorted(names, key=version_key)] == sorted(names.values())


@given(st.sets(NAMES, min_size=2))
def test_no_two_names_are_equally_new(names: set[str]) -> None:
    """So that the order does not depend on how the directory is read."""
    assert len({version_key(name) for name in names}) == len(names)


@pytest.mark.parametrize(("name", "is_version"), [("1", True), ("v2", True), ("2026-11-23", True), ("iris", False)])
def test_a_version_is_told_from_a_model_by_its_number(name: str, is_version: bool) -> None:
    assert looks_like_version(name) is is_version
