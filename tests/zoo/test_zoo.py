"""Whatever scikit-learn ships, and what people build of it, is served with no configuration, and never wrong.

`make soak` asks the same models over HTTP, several in one service.
"""

from collections.abc import Iterator
from functools import cache
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from sklearn.utils import all_estimators

from penstock.compile.certify import Trial
from penstock.errors import ArtifactError
from tests.zoo.keeper import compare, keep, untimed
from tests.zoo.menagerie import Animal, animals
from tests.zoo.pipelines import BOOSTERS, PIPELINES
from tests.zoo.table import RANKS, Row, read, row_of

ANEW = "write the table anew with python -m tests.zoo.table"
EVERYONE = [*animals(), *chain.from_iterable(group() for group in PIPELINES.values())]

pytestmark = [pytest.mark.usefixtures("one_thread", "untimed_verdicts", "known_versions")]


@pytest.fixture
def untimed_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "_demand_faster", untimed)


@pytest.fixture(scope="module")
def known_versions() -> Iterator[None]:
    """Those of the installed libraries are looked up once: for each animal they would be thrice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "version", cache(metadata.version))
        yield


@pytest.mark.parametrize("animal", EVERYONE, ids=lambda animal: animal.name)
def test_an_animal_is_served_as_well_as_the_table_says_and_never_wrong(animal: Animal, tmp_path: Path) -> None:
    judge(animal, tmp_path)


@pytest.mark.parametrize("library", [pytest.param(name, marks=pytest.mark.needs(name)) for name in BOOSTERS])
def test_so_are_the_boosters_of_other_libraries(library: str, tmp_path: Path) -> None:
    for animal in BOOSTERS[library]():
        judge(animal, tmp_path)


def judge(animal: Animal, folder: Path) -> None:
    expected = read().get(animal.name)
    assert expected is not None, f"{animal.name} is new: {ANEW}"
    found, why = visit(animal, folder)
    better = RANKS.index(found.verdict) - RANKS.index(expected.verdict)
    assert better >= 0, f"{animal.name} was {expected.verdict} and is {found.verdict}: {why}"
    assert better == 0, f"{animal.name} was {expected.verdict} and is {found.verdict} now: {ANEW}"


def visit(animal: Animal, folder: Path) -> tuple[Row, str | None]:
    """What became of the animal, and why; it was asked, if it is served at all."""
    try:
        kept = keep(animal, folder)
    except ArtifactError as error:
        return row_of(animal, error), str(error)
    compare(animal, kept)
    return row_of(animal, kept.certificate), kept.certificate.reason


@pytest.mark.needs(*BOOSTERS)
def test_each_estimator_that_predicts_has_its_place() -> None:
    shipped = {name for name, kind in all_estimators() if hasattr(kind, "predict")}
    shipped |= {name for kind in ("classifier", "regressor") for name, _ in all_estimators(type_filter=kind)}
    everyone = [*EVERYONE, *chain.from_iterable(group() for group in BOOSTERS.values())]
    assert shipped <= {animal.name for animal in everyone}
    assert set(read()) == {animal.name for animal in everyone}, ANEW
