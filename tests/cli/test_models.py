"""`penstock models`: what it says of a version when there are several things to say."""

from typing import Any

import pytest

from penstock.cli import models, remote

BREACH = {"version": "2", "limit": "error", "reason": "too many failed", "at": ""}
UNFIT = {"version": "2", "percent": 5.0, "unfit": "it takes 3 features and not 1"}


@pytest.mark.parametrize(
    ("reason", "breach", "parts", "last"),
    [
        (None, None, {}, "held back"),
        (None, BREACH, {}, "too many failed"),
        ("no memory", BREACH, {}, "no memory"),
        (None, {**BREACH, "version": "1"}, {}, "held back"),
        (None, None, {"shadow": UNFIT}, "not asked: it takes 3 features and not 1"),
        (None, None, {"canary": UNFIT}, "it takes 3 features and not 1"),
        (None, BREACH, {"canary": UNFIT}, "too many failed"),
    ],
)
def test_the_worst_that_there_is_to_say_of_a_version_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reason: str | None,
    breach: dict[str, Any] | None,
    parts: dict[str, Any],
    last: str,
) -> None:
    version = {"version": "2", "state": "ready", "reason": reason, "held": "held back"}
    route = {"default": "1", "wanted": "1", **parts}
    told = {"name": "m", "route": route, "breach": breach, "versions": [version]}
    monkeypatch.setattr(remote.Remote, "get", lambda *_: told)
    assert models.run(["m"]) == 0
    assert capsys.readouterr().out.rstrip().endswith(f"  {last}")
