"""A long life: after a million requests of every kind the processes hold what they held after the first."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.driver import Service, serving
from tests.soak.census import Census, census, growth, table
from tests.soak.leaking import leaking_fronts, leaking_model
from tests.soak.models import largest
from tests.soak.timeline import events
from tests.soak.traffic import mix, send

Scale = Callable[[int, int], int]
TROUBLE = {"front_died", "host_died", "internal_error", "log_lines_dropped"}
FIRST, MORE = 3_000, 9_000  # requests of the short form
Looks = list[tuple[int, Census]]


def live(service: Service, first: int, more: int) -> Looks:
    """A life of `first` requests and `more`; what the processes held after each."""
    asked = mix(seed=3)
    send(service.port, asked, first)
    young = census(service)
    send(service.port, asked, more)
    return [(first, young), (first + more, census(service))]


@pytest.mark.soak
def test_memory_descriptors_threads_and_processes_stay_as_they_are(tmp_path: Path, scale: Scale) -> None:
    bound = scale(30, 10) / 1000
    with serving(
        largest(tmp_path / "largest.onnx"), "--workers", "2", "--drain-linger-s", "0", cwd=tmp_path
    ) as service:
        # A host's memory takes a last step of 800 KiB when the first large batches have come, and is flat from then on.
        (_, young), (_, old) = looks = live(service, scale(FIRST, 200_000), scale(MORE, 800_000))
        print(table(*looks))
        assert list(growth(young, old, bound)) == []
        assert TROUBLE.isdisjoint(line["event"] for line in events(service.log))
        assert service.end() == 0
        service.log.unlink()  # pytest keeps what is left for a while, and this has a million lines


def test_a_leak_is_found_in_the_process_that_it_is_in(tmp_path: Path) -> None:
    """The short form above fails when a model, or a front, keeps 512 bytes of each row or request."""
    with serving(*leaking_model(tmp_path), cwd=tmp_path, env=leaking_fronts(tmp_path)) as service:
        (_, young), (_, old) = looks = live(service, FIRST, MORE)
        print(table(*looks))
        found = list(growth(young, old, 0.03))
    assert [complaint.split()[0] for complaint in found] == ["front", "host", "together"], found
