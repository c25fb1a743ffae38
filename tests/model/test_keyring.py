"""The file of keys: what is in it is what counts, and what is wrong with it is said."""

from pathlib import Path

import pytest

from penstock.config import Allowance
from penstock.errors import ConfigurationError
from penstock.model.key import Key
from penstock.model.keyring import entry, read_keys

SHA = "0123456789abcdef" * 4
OTHER = "f" * 64
KEY = "pk_MJ-EtcLhRQWy10_5krvTJqYb0fvWwzV5o2hJ8cXyzAB"  # as penstock key new makes them, and nobody's


def test_keys_are_read_as_they_were_written(tmp_path: Path) -> None:
    keys = (
        Key(name="mobile", sha256=SHA, rights=("predict",)),
        Key(name="ops", sha256=OTHER, rights=("predict", "read", "admin"), priority="high"),
        Key(
            name="b", sha256="e" * 64, rights=("predict",), quota=Allowance(requests="5/s", rows="9/min", rows_burst=3)
        ),
    )
    file = tmp_path / "penstock.keys"
    file.write_text("".join(map(entry, keys)) + "anonymous: {rights: [read]}\n")
    assert read_keys(file) == (*keys, Key(name="anonymous", sha256="", rights=("read",)))


def test_a_key_may_have_a_quota_of_its_own_or_none_at_all(tmp_path: Path) -> None:
    file = tmp_path / "penstock.keys"
    file.write_text(
        f"a: {{sha256: {SHA}, rights: [predict], quota: {{requests: 100/s, requests_burst: 200, rows: 5000/min}}}}\n"
        f"b: {{sha256: {OTHER}, rights: [predict], quota: {{}}}}\nanonymous: {{rights: [predict]}}\n"
    )
    quotas = [key.quota for key in read_keys(file)]
    assert quotas == [Allowance(requests="100/s", requests_burst=200, rows="5000/min"), Allowance(), None]


def test_an_empty_file_has_no_keys(tmp_path: Path) -> None:
    (tmp_path / "penstock.keys").write_text("# none yet\n")
    assert read_keys(tmp_path / "penstock.keys") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"a: {SHA}", "a: expected {sha256: …, rights: [predict]}, got text of 64 characters"),
        ("a: {rights: [predict]}", "a.sha256: expected 64 hexadecimal digits, the SHA-256 of the key"),
        (f"a: {{sha256: {SHA[:-1]}, rights: [predict]}}", "a.sha256: expected 64 hexadecimal digits"),
        (
            f"a: {{sha256: {SHA}}}",
            "a.rights: expected a list of predict, read and admin, such as [predict], got nothing",
        ),
        (f"a: {{sha256: {SHA}, rights: []}}", "a.rights: the list is empty: expected a list of predict, read and"),
        (f"a: {{sha256: {SHA}, rights: predict}}", "a.rights: expected a list"),
        (
            f"a: {{sha256: {SHA}, rights: [write]}}",
            "a.rights: 'write' is no right: expected a list of predict, read and",
        ),
        (
            f"a: {{sha256: {SHA}, rights: [read, predikt]}}",
            "'predikt' is no right: expected a list of predict, read and ",
        ),
        (f"a: {{sha256: {SHA}, rights: [read, predikt]}}", "; did you mean 'predict'?"),
        ("anonymous: {rights: [read, admin]}", "anonymous.rights: whoever sends no key may predict and read, and not"),
        (f"a: {{sha256: {SHA}, rights: [read], priority: highest}}", "a.priority: expected high or low, got 'highest'"),
        (f"a: {{sha256: {SHA}, rights: [read], priority: }}", "a.priority: expected high or low, got nothing"),
        (f"a: {{sha256: {SHA}, right: [read]}}", "a.right: unknown setting; did you mean 'rights'"),
        (f"a/b: {{sha256: {SHA}, rights: [read]}}", "entry 1 begins with what is no name"),
        (f"7: {{sha256: {SHA}, rights: [read]}}", "entry 1 begins with what is no name"),
        (f"anonymous: {{sha256: {SHA}, rights: [read]}}", "anonymous: this is who sends no key"),
        (f"a: {{sha256: {SHA}, rights: [read]}}\nb: {{sha256: {SHA}, rights: [admin]}}", "a and b are the same key"),
        (
            f"a: {{sha256: {SHA}, rights: [read]}}\na: {{sha256: {OTHER}, rights: [read]}}",
            "line 2: what stands here is there twice",
        ),
        (f"a: {{sha256: {SHA}, rights: [read], quota: 9/s}}", "a.quota: expected limits such as {requests: 100/s"),
        (
            f"a: {{sha256: {SHA}, rights: [read], quota: {{requests: 9}}}}",
            "a.quota.requests: expected a rate from 1 to 999999999, such as 100/s",
        ),
        (
            f"a: {{sha256: {SHA}, rights: [read], quota: {{requests: 5/h}}}}",
            "a.quota.requests: expected a rate from 1 to 999999999, such as 100/s or 6000/min, got '5/h'",
        ),
        (
            f"a: {{sha256: {SHA}, rights: [read], quota: {{rows: 9/s, rows_burst: 0}}}}",
            "a.quota.rows_burst: expected an integer",
        ),
        (
            f"a: {{sha256: {SHA}, rights: [read], quota: {{request: 5/s}}}}",
            "a.quota.request: unknown setting; did you mean 'requests'?",
        ),
        (
            f"a: {{sha256: {SHA}, rights: [read], quota: }}",
            "a.quota: expected limits such as {requests: 100/s, requests_burst: 200, rows: 5000/min}, got nothing",
        ),
        (f"a: {{sha256: {SHA}, rights: [read], quota: {{store: redis}}}}", "a.quota.store: unknown setting"),
        (
            f"a: {{sha256: {SHA}, rights: [read], quota: {{rows_burst: 9}}}}",
            "a.quota.rows_burst: a burst needs a rate: add rows",
        ),
        ("- a", "expected a mapping"),
    ],
)
def test_what_is_wrong_is_said_of_whom(text: str, complaint: str, tmp_path: Path) -> None:
    said = refusal(text, tmp_path)
    assert said.startswith("penstock.keys: ")
    assert complaint in said


@pytest.mark.parametrize(
    "text",
    [
        f"a: {KEY}",
        f"a: [{KEY}]",
        f"{KEY}: {{sha256: {SHA}, rights: [read]}}",
        f"a: {{sha256: {KEY}, rights: [read]}}",
        f"a: {{sha256: 'SHA256:{KEY}', rights: [read]}}",
        f"a: {{{KEY}, rights: [read]}}",
        f"a: {{sha256: {SHA}, rights: [{KEY}]}}",
        f"a: {{sha256: {SHA}, rights: [read], priority: {KEY}}}",
        f"a: {{sha256: {SHA}, rights: [read], quota: {KEY}}}",
        f"a: {{sha256: {SHA}, rights: [read], quota: {{requests: {KEY}}}}}",
    ],
)
def test_a_key_where_its_digest_belongs_is_known_for_one_and_not_told(text: str, tmp_path: Path) -> None:
    said = refusal(text, tmp_path)
    assert "this is a key, not its digest: make the line with penstock key new" in said
    assert KEY[3:9] not in said


@pytest.mark.parametrize(
    "text",
    [
        "a: hunter2hunter2",
        "hunter2hunter2/: {rights: [read]}",
        "a: {sha256: hunter2hunter2, rights: [read]}",
        "a: {hunter2hunter2, rights: [read]}",
        f"a: {{sha256: {SHA}, rights: hunter2hunter2}}",
        f"a: {{sha256: {SHA}, rights: [hunter2hunter2]}}",
        f"a: {{sha256: {SHA}, rights: [read], priority: hunter2hunter2}}",
        f"a: {{sha256: {SHA}, rights: [read], quota: hunter2hunter2}}",
        "hunter2hunter2: {}\nhunter2hunter2: {}",
        "a: !hunter2hunter2 x",
        "a: !hunter2hunter2!x x",
        "a: &hunter2hunter2 1\nb: &hunter2hunter2 1",
        "a: hunter2hunter2: b",
    ],
)
def test_what_may_be_a_secret_of_somebodys_own_is_not_told(text: str, tmp_path: Path) -> None:
    assert "hunter2" not in refusal(text, tmp_path)


def refusal(text: str, directory: Path) -> str:
    file = directory / "penstock.keys"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_keys(file)
    return str(refused.value)


def test_a_digest_in_capital_letters_is_the_same_one(tmp_path: Path) -> None:
    file = tmp_path / "penstock.keys"
    file.write_text(f"a: {{sha256: {SHA.upper()}, rights: [predict]}}\npk_short: {{sha256: {OTHER}, rights: [read]}}\n")
    assert [(key.name, key.sha256) for key in read_keys(file)] == [("a", SHA), ("pk_short", OTHER)]


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        read_keys(tmp_path / "penstock.keys")
