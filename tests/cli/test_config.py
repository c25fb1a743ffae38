"""`penstock config`, and the reference that is made from the same declarations."""

import json
import sys
from pathlib import Path

import pytest

from penstock.cli import main
from penstock.cli.reference import reference
from penstock.option import options

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_reference_is_up_to_date() -> None:
    """`penstock config --reference > docs/configuration.md` renews it."""
    assert PAGE.read_text() == reference()


def test_the_reference_names_every_setting_with_its_flag_and_variable() -> None:
    page = reference()
    assert all(f"| `{each.path}` | `{each.flag}` `{each.variable}` |" in page for each in options().values())


def test_json_has_the_value_of_every_setting_and_where_it_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    Path("penstock.yaml").write_text("limits: {body: 2MiB}\nmodels: {a.b: {path: m, code_path: [x.py]}}")
    assert main(["config", "penstock.yaml", "--json", "--max-rows", "9"]) == 0
    settings = json.loads(capsys.readouterr().out)
    assert settings["limits.body"] == {"value": 2 * 2**20, "from": "penstock.yaml"}
    assert settings["models.a.b.batching.max_rows"] == {"value": 9, "from": "--max-rows"}
    assert settings["models.a.b.code_path"] == {"value": [str(Path.cwd() / "x.py")], "from": "penstock.yaml"}
    assert settings["models.a.b.device"] == {"value": "auto", "from": "default"}


def test_values_are_shown_as_they_may_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--limits-body", "1048576", "--trusted-types", "a.B", "--trusted-types", "c.D"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["limits.body", "1MiB", "--limits-body"] in lines
    assert ["drain.linger_s", "5", "default"] in lines
    assert ["models.*.trusted_types", "a.B,c.D", "--trusted-types"] in lines


def locked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, object]:
    """What is told of the lock, to a person and to a program."""
    assert main(["config", *words]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("lock "))
    assert main(["config", *words, "--json"]) == 0
    return line.removeprefix("lock ").strip(), json.loads(capsys.readouterr().out)["lock"]


def test_the_lock_is_shown_that_is_read_where_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("site").mkdir()
    Path("site/penstock.yaml").write_text("")
    usual, named = str(Path.cwd() / "site/penstock.lock"), str(Path.cwd() / "my.lock")
    assert locked(capsys, "site/penstock.yaml") == (f"{usual}  default", {"value": usual, "from": "default"})
    assert locked(capsys, "--lock", "my.lock") == (f"{named}  --lock", {"value": named, "from": "--lock"})
    said = "penstock.lock beside the directory that is named  default"
    assert locked(capsys) == (said, {"value": None, "from": "default"})


def test_a_mistyped_variable_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PENSTOCK_PROT", "1")
    assert main(["config"]) == 0
    assert capsys.readouterr().err == "penstock: PENSTOCK_PROT is not a setting; did you mean 'PENSTOCK_PORT'?\n"


def test_a_file_of_keys_is_tried_as_the_service_would(capsys: pytest.CaptureFixture[str]) -> None:
    Path("good.keys").write_text("anonymous: {rights: [read], quota: {rows: 5/s}}")
    Path("bad.keys").write_text("anonymous: {rights: [read], quota: {rows: 5/h}}")
    assert main(["config", "--keys", "good.keys"]) == 0
    assert [main(["config", "--keys", file]) for file in ("bad.keys", "nowhere.keys")] == [2, 2]
    wrong, missing = capsys.readouterr().err.splitlines()
    assert (
        "bad.keys: anonymous.quota.rows: expected a rate from 1 to 999999999, such as 100/s or 6000/min, got '5/h'"
        in wrong
    )
    assert "nowhere.keys: no such file" in missing


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--quota-requests-burst", "5"), "quota.requests_burst: a burst needs a rate: add requests"),
        (("--tls-cert", "cert.pem"), "server.tls_cert wants server.tls_key beside it"),
        (("--tls-cert", "cert.pem", "--tls-key", "nowhere.pem"), "nowhere.pem: no such file"),
        (("--tls-cert", "cert.pem", "--tls-key", "."), ": not a file"),
        (("--tls-cert", "cert.pem", "--tls-key", "cert.pem"), "there is no private key in it"),
        (("stores.yaml",), "stores.users.python: there is no module 'no_such_stores'"),
    ],
)
def test_what_the_service_would_refuse_is_refused(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cert.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    Path("stores.yaml").write_text("stores: {users: {python: 'no_such_stores:Users'}}")
    assert main(["config", *words]) == 2
    told = capsys.readouterr()
    assert (complaint in told.err, told.out) == (True, "")


OWN = "class Devices: ...\n_Hidden: type = Devices\n"


@pytest.mark.parametrize(
    ("text", "name", "complaint"),
    [
        (OWN, "Device", "has no Device; did you mean 'Devices'?\n"),
        (OWN, "Hidden", "has no Hidden; did you mean '_Hidden'?\n"),
        (OWN, "Nothing.At", "has no Nothing\n"),
        (OWN, "Devices", None),
        (OWN, "_Hidden.x", None),
        (f"from elsewhere import *\n{OWN}", "Device", None),
        (f"globals()['Dev' + 'ice'] = 1\n{OWN}", "Device", None),
        ("from elsewhere import Device\n", "Device", None),
        ("# no Python: Device? (", "Thing", "has no Thing"),
        ("", "Device", None),
    ],
)
def test_a_class_that_is_not_in_its_module_is_refused_and_the_module_not_run(
    text: str,
    name: str,
    complaint: str | None,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "path", ["", str(here), *sys.path])
    Path("stores_of_mine.py").write_text(f"open('run', 'w')\n{text}" if text else "")
    Path("penstock.yaml").write_text(f"stores: {{devices: {{python: 'stores_of_mine:{name}'}}}}")
    assert main(["config", "penstock.yaml"]) == (2 if complaint else 0)
    assert (complaint or "") in capsys.readouterr().err
    assert not Path("run").exists()
