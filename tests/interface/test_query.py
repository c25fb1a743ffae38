"""The query string of a prediction: what it may say, and how it is told what it may not."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidRequest, MalformedRequest, RequestError
from penstock.interface.errors import error_response
from penstock.interface.query import Query, read


@pytest.mark.parametrize(
    ("text", "header", "said"),
    [
        (b"", None, Query()),
        (b"probabilities=true", None, Query(probabilities=True)),
        (b"probabilities=false&model_version=1.0%2Bcpu", None, Query("1.0+cpu")),
        (b"model_version=2", b"2", Query("2")),
        (b"", b"2", Query("2")),
        (b"model_version=", None, Query("")),
    ],
)
def test_what_a_query_says(text: bytes, header: bytes | None, said: Query) -> None:
    assert read(text, header) == said


KNOWN = "there are model_version and probabilities."
MEANT = "There is no such parameter; did you mean 'probabilities'?"


@pytest.mark.parametrize(
    ("text", "loc", "msg"),
    [
        (b"probabilites=true", ["query", "probabilites"], MEANT),
        (b"Probabilities=true", ["query", "Probabilities"], MEANT),
        (b"nocache", ["query", "nocache"], f"There is no such parameter; {KNOWN}"),
        (b"probabilities=true&k%C3%A4se=1", ["query", "käse"], f"There is no such parameter; {KNOWN}"),
        (b"%00=1", ["query"], f"A parameter is unknown; {KNOWN}"),
        (b"=1", ["query"], f"A parameter is unknown; {KNOWN}"),
        (b"a" * 41, ["query"], f"A parameter is unknown; {KNOWN}"),
        (b"probabilities=true&probabilities=true", ["query", "probabilities"], "Send it once."),
        (b"probabilities=TRUE", ["query", "probabilities"], "Send true or false."),
        (b"model_version=1", ["query", "model_version"], "Name the version that X-Model-Version names."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_what_to_send(text: bytes, loc: list[str], msg: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(text, b"2")
    told = msgspec.json.decode(error_response(caught.value, "r").body)
    assert told["errors"] == [{"loc": loc, "msg": msg}]
    assert told["detail"].endswith(msg)
    assert loc[-1] in told["detail"]


@pytest.mark.parametrize("text", [b"a=b#c", b"\xff", b"&".join([b"a=b"] * 101)])
def test_what_cannot_be_read_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedRequest, match="cannot be read"):
        read(text, None)


SECRET = b"s3cr3t" * 7


@given(st.lists(st.tuples(st.sampled_from([b"model_version", b"probabilities", b"a", SECRET]), st.just(SECRET))))
def test_no_answer_repeats_a_value_or_a_long_name(pairs: list[tuple[bytes, bytes]]) -> None:
    answer = b""
    try:
        read(b"&".join(b"=".join(pair) for pair in pairs), None)
    except RequestError as error:
        answer = error_response(error, "r").body
    assert b"s3cr3t" not in answer
