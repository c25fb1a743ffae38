"""Who may do what: by the key that was sent, and nothing else."""

from base64 import b64encode
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import AdminOff, Forbidden, Unauthorized
from penstock.interface.access import Access, Shown, right_of
from penstock.model.key import RIGHTS, Key, Right


def key(name: str, *rights: Right, secret: str | None = None) -> Key:
    return Key(name=name, sha256=sha256((secret or name).encode()).hexdigest(), rights=rights)


ANONYMOUS = Key(name="anonymous", sha256="", rights=("predict",))
KEYS = (key("mobile", "predict"), key("ops", "predict", "read", "admin"))


def access(*keys: Key) -> Access:
    made = Access()
    made.update(keys)
    return made


@pytest.mark.parametrize(
    "headers",
    [
        {b"x-api-key": b"ops"},
        {b"authorization": b"Bearer ops"},
        {b"authorization": b"bearer   ops "},
        {b"x-api-key": b"ops", b"authorization": b"Bearer nonsense"},
    ],
)
def test_a_key_is_sent_in_either_of_two_headers(headers: dict[bytes, bytes]) -> None:
    found = access(*KEYS).demand(headers, "admin")
    assert found is not None
    assert found.name == "ops"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"x-api-key": b""},
        {b"x-api-key": b"OPS"},
        {b"x-api-key": b"ops\x00"},
        {b"x-api-key": KEYS[1].sha256.encode()},
        {b"x-api-key": b"nonsense", b"authorization": b"Bearer ops"},
        {b"authorization": b"ops"},
        {b"authorization": b"Basic ops"},
        {b"authorization": b"Bearer"},
        {b"cookie": b"ops"},
    ],
)
@pytest.mark.parametrize("right", RIGHTS)
def test_whoever_sends_none_that_is_known_is_refused(headers: dict[bytes, bytes], right: Right) -> None:
    with pytest.raises(Unauthorized):
        access(*KEYS).demand(headers, right)


def test_a_browser_sends_it_as_a_password_which_changes_nothing() -> None:
    headers = {b"authorization": b"Basic " + b64encode(b"whoever:ops")}
    for right in ("predict", "read"):
        found = access(*KEYS).demand(headers, right)
        assert found is not None
    refused: list[tuple[Right, bytes]] = [
        ("admin", b64encode(b"x:ops")),
        ("read", b"%%%"),
        ("read", b64encode(b"ops")),
        ("read", b""),
    ]
    for right, said in refused:
        with pytest.raises(Unauthorized):
            access(*KEYS).demand({b"authorization": b"Basic " + said}, right)


def test_a_key_may_do_what_is_said_of_it_and_is_told_what_that_is() -> None:
    with pytest.raises(Forbidden, match=r"^This key may not admin; it may predict\.$"):
        access(*KEYS).demand({b"x-api-key": b"mobile"}, "admin")


def test_without_keys_everybody_may_all_but_administer() -> None:
    open_to_all = Access()
    assert open_to_all.demand({}, "predict") is None
    assert open_to_all.demand({b"x-api-key": b"nonsense"}, "read") is None
    with pytest.raises(AdminOff):
        open_to_all.demand({}, "admin")


def test_with_an_empty_file_nobody_may_anything() -> None:
    with pytest.raises(Unauthorized):
        access().demand({}, "predict")


def test_who_sends_no_key_may_what_the_anonymous_may_and_who_sends_a_wrong_one_nothing() -> None:
    half_open = access(*KEYS, ANONYMOUS)
    assert half_open.demand({}, "predict") is ANONYMOUS
    refused: list[tuple[dict[bytes, bytes], Right]] = [
        ({}, "read"),
        ({b"x-api-key": b"nonsense"}, "predict"),
        ({b"x-api-key": b""}, "predict"),
    ]
    for headers, right in refused:
        with pytest.raises(Unauthorized):
            half_open.demand(headers, right)


def test_what_is_taken_out_counts_no_more() -> None:
    changing = access(*KEYS)
    changing.update(KEYS[:1])
    with pytest.raises(Unauthorized):
        changing.demand({b"x-api-key": b"ops"}, "predict")
    changing.update(None)
    assert changing.demand({}, "predict") is None


STEPS = st.one_of(
    st.tuples(st.just("update"), st.lists(st.sampled_from(KEYS), unique=True)),
    st.tuples(st.sampled_from(["predict", "admin"]), st.sampled_from([b"ops", b"mobile", b"", b"nonsense"])),
)


@given(st.lists(STEPS))
def test_what_a_connection_has_shown_before_changes_nothing(steps: list[tuple[Any, Any]]) -> None:
    changing, shown = access(*KEYS), Shown()
    for step, what in steps:
        if step == "update":
            changing.update(what)
        else:
            asked = partial(changing.demand, {b"x-api-key": what}, step)
            assert outcome(partial(asked, shown)) == outcome(asked)


def outcome(ask: Callable[[], Key | None]) -> Key | type[Exception] | None:
    try:
        return ask()
    except (Unauthorized, Forbidden) as refused:
        return type(refused)


def test_a_key_that_was_shown_before_is_not_digested_again(monkeypatch: pytest.MonkeyPatch) -> None:
    known, shown = access(*KEYS), Shown()
    known.demand({b"x-api-key": b"ops"}, "predict", shown)
    monkeypatch.setattr("penstock.interface.access.sha256", None)
    assert known.demand({b"x-api-key": b"ops"}, "predict", shown) is KEYS[1]


@given(st.binary(max_size=80))
def test_nothing_else_opens(said: bytes) -> None:
    if said not in (b"ops", b"mobile"):
        with pytest.raises(Unauthorized):
            access(*KEYS).demand({b"x-api-key": said}, "predict")


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/health", None), ("/ready", None), ("/health/", "read"), ("//health", "read"), ("/HEALTH", "read"),
        ("/", "read"), ("", "read"), ("/metrics", "read"), ("/docs", "read"), ("/openapi.json", "read"),
        ("/models", "read"), ("/models/m/ready", "read"), ("/nothing", "read"), ("/administer", "read"),
        ("/admin", "admin"), ("/admin/", "admin"), ("/admin/models/m/promote", "admin"), ("/admin/../health", "admin"),
    ],
)  # fmt: skip
def test_each_path_asks_for_a_right_whether_anything_is_there_or_not(path: str, right: Right | None) -> None:
    assert right_of(path) == right
