"""Versions come and go: what they held comes back."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.driver import Load, Service, serving
from tests.acceptance.numbered import publish
from tests.acceptance.test_admin import KEY, OPTIONS, lay_keys
from tests.soak.census import Census, census, growth, table

Scale = Callable[[int, int], int]


TRIAL = {
    "default": "1",
    "canary": {"version": "2", "percent": 50, "guard": {"disagreement_percent": 100}},
    "shadow": {"version": "2"},
}


def order(service: Service, action: str, said: dict[str, Any]) -> None:
    body = json.dumps(said).encode()
    url = f"http://127.0.0.1:{service.port}/admin/models/m/{action}"
    request = urllib.request.Request(url, body, {"x-api-key": KEY, "content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def swaps(service: Service, rounds: int, every_s: float) -> Census:
    """So often under load version 1 takes over from 2, which is tried beside it, leaves, and comes again."""
    with Load(service, clients=4, features=[0.0], every_s=every_s) as load:
        for _ in range(rounds):
            for action, said in (("route", TRIAL), ("promote", {"version": "1"}), ("promote", {"version": "2"})):
                order(service, action, said)
                load.wait_for(len(load.answers) + 20)
        load.stop()
    assert load.failures == []
    assert set(load.answers) == {200}
    return census(service)


@pytest.mark.soak
def test_after_many_swaps_the_processes_hold_what_they_held(tmp_path: Path, scale: Scale) -> None:
    first, more = scale(2, 80), scale(3, 100)  # the history is full after 67
    every_s = scale(10, 0) / 1000
    for version in ("1", "2"):
        publish(tmp_path / "m", version)
    lay_keys(tmp_path)
    with serving(tmp_path / "m", *OPTIONS, cwd=tmp_path) as service:
        young = swaps(service, first, every_s)
        old = swaps(service, more, every_s)
        print(table((first, young), (first + more, old)))
        assert list(growth(young, old, scale(60, 20) / 1000)) == []  # a front that was asked less may still be young
        assert len(service.processes("host")) == 1
        assert service.end() == 0
