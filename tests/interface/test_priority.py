"""Who goes first: the word of the client, or of its key, and never more than its key allows."""

import pytest

from penstock.errors import BadPriority
from penstock.interface.call import Call
from penstock.model.key import Key, Priority


def call(said: bytes | None, key: Priority | None, *, known: bool = True) -> Call:
    headers = [] if said is None else [(b"x-priority", said)]
    made = Call({"headers": headers})
    made.key = Key(name="a", sha256="", rights=("predict",), priority=key) if known else None
    return made


@pytest.mark.parametrize("said", [None, b"high", b"low", b"nonsense"])
def test_by_keys_the_key_alone_says_so(said: bytes | None) -> None:
    assert call(said, "high").is_high(by_key=True)
    assert not call(said, "low").is_high(by_key=True)
    assert not call(said, None).is_high(by_key=True)
    assert not call(said, None, known=False).is_high(by_key=True)


@pytest.mark.parametrize(("key", "allowed"), [("high", True), (None, True), ("low", False)])
def test_by_headers_a_key_says_how_much_may_be_asked(key: Priority | None, allowed: bool) -> None:
    assert call(b"high", key).is_high(by_key=False) == allowed
    assert not call(None, key).is_high(by_key=False)
    assert not call(b"low", key).is_high(by_key=False)
    with pytest.raises(BadPriority):
        call(b"nonsense", key).is_high(by_key=False)


def test_without_keys_everybody_may_ask() -> None:
    assert call(b"high", None, known=False).is_high(by_key=False)
