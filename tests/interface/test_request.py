"""The status rules of a body, to the letter: a table of bodies and what is said about them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from penstock.config import Limits
from penstock.errors import InvalidRequest, RequestError
from penstock.interface.errors import error_response
from penstock.interface.request import check, explain
from penstock.model.signature import Field, Output, OutputField, Signature

OUTPUT = Output(fields=(OutputField(name="prediction"),))
LIMITS = Limits(rows=3)


def signature(*fields: Field) -> Signature:
    return Signature(inputs=fields, output=OUTPUT)


PAIR = signature(Field(name="a"), Field(name="b"))
MIXED = signature(
    Field(name="age", dtype="int8", nullable=True),
    Field(name="colour", dtype="string", categories=("red", "green"), unknown="refuse"),
    Field(name="on", dtype="bool"),
)
INT64 = signature(Field(name="n", dtype="int64"))
FLOAT32 = signature(Field(name="x", dtype="float32"))
FLOAT16 = signature(Field(name="x", dtype="float16"))
TEXT = signature(Field(name="text", dtype="string", nullable=True))
IMAGE = signature(Field(name="image", dtype="float32", shape=(2, 3)))
WAVE = signature(Field(name="wave", shape=(None,)))
SIGNAL = signature(Field(name="signal", shape=(None, 2)), Field(name="gain"))

FITS: list[tuple[Signature, str]] = [
    (PAIR, '{"features":[1,2.5]}'),
    (PAIR, ' {\n "features" : [ 1 , 2 ] } '),
    (PAIR, '{"features":{"b":1,"a":2}}'),
    (PAIR, '{"features":[1e308,-0.0]}'),
    (PAIR, '{"features":["x"],"features":[1,2]}'),  # the last of two counts
    (PAIR, '{"batch":[[1,2],[3,4],[5,6]]}'),
    (PAIR, '{"batch":[{"a":1,"b":2}]}'),
    (MIXED, '{"features":[5.0,"red",true]}'),
    (MIXED, '{"features":[null,"green",false]}'),
    (MIXED, '{"features":{"age":-128,"colour":"red","on":true}}'),
    (INT64, '{"features":[9223372036854775807]}'),
    (INT64, '{"features":[9007199254740991.0]}'),
    (FLOAT32, '{"features":[3.4028235677973362e38]}'),  # rounds to the largest float32
    (FLOAT16, '{"features":[65519.99]}'),
    (TEXT, '{"features":["NaN"]}'),
    (TEXT, '{"features":[null]}'),
    (TEXT, '{"features":{"text":""}}'),
    (IMAGE, '{"features":[[1,2,3],[4,5,6]]}'),
    (IMAGE, '{"features":{"image":[[1,2,3],[4,5,6]]}}'),
    (IMAGE, '{"batch":[[[1,2,3],[4,5,6]]]}'),
    (SIGNAL, '{"features":[[[1,2],[3,4],[5,6]],0.5]}'),
    (SIGNAL, '{"batch":[[[[1,2]],0.5],[[[3,4]],1]]}'),
]

REFUSED: list[tuple[Signature, str | bytes, int, str]] = [
    # not JSON
    (PAIR, "", 400, "malformed_request"),
    (PAIR, "{", 400, "malformed_request"),
    (PAIR, '{"features":[1,2]', 400, "malformed_request"),
    (PAIR, '{"features":[1,2,]}', 400, "malformed_request"),
    (PAIR, '{"features":[01,2]}', 400, "malformed_request"),
    (PAIR, '{"features":[1,2]} x', 400, "malformed_request"),
    (PAIR, b'\xef\xbb\xbf{"features":[1,2]}', 400, "malformed_request"),
    (PAIR, '{"features":[1,2]}'.encode("utf-16"), 400, "malformed_request"),
    (TEXT, b'{"features":["\xff"]}', 400, "malformed_request"),
    (TEXT, r'{"features":["\ud800"]}', 400, "malformed_request"),
    (PAIR, '{"features":' + "[" * 99_999 + "]" * 99_999 + "}", 400, "malformed_request"),
    # wrong number of features
    (PAIR, '{"features":[1]}', 400, "wrong_feature_count"),
    (PAIR, '{"features":[1,2,3]}', 400, "wrong_feature_count"),
    (PAIR, '{"features":[]}', 400, "wrong_feature_count"),
    (PAIR, '{"batch":[[1,2,3],[4,5,6]]}', 400, "wrong_feature_count"),
    (IMAGE, '{"features":[[1,2,3]]}', 400, "wrong_feature_count"),
    (IMAGE, '{"features":[[1,2],[3,4]]}', 400, "wrong_feature_count"),
    (SIGNAL, '{"features":[[],1]}', 400, "wrong_feature_count"),
    # ragged
    (PAIR, '{"batch":[[1,2],[3]]}', 400, "ragged_batch"),
    (PAIR, '{"batch":[[1,2],{"a":3,"b":4}]}', 400, "ragged_batch"),
    (SIGNAL, '{"batch":[[[[1,2]],1],[[[1,2],[3,4]],1]]}', 400, "ragged_batch"),
    # not finite
    (PAIR, '{"features":[NaN,2]}', 400, "not_finite"),
    (PAIR, '{"features":[1,-Infinity]}', 400, "not_finite"),
    (PAIR, '{"features":[1,nan]}', 400, "not_finite"),
    (PAIR, '{"features":[1,1e400]}', 400, "not_finite"),
    (PAIR, '{"features":[1,1' + "0" * 400 + "]}", 400, "not_finite"),
    (PAIR, '{"features":[1,1' + "0" * 9000 + "]}", 400, "not_finite"),
    (FLOAT32, '{"features":[1e39]}', 400, "not_finite"),
    (FLOAT32, '{"features":[3.4028235677973366e38]}', 400, "not_finite"),
    (FLOAT16, '{"features":[-65520]}', 400, "not_finite"),
    (IMAGE, '{"features":[[1,2,3],[4,5,1e39]]}', 400, "not_finite"),
    # the wrong shape
    (PAIR, "[1,2]", 422, "invalid_request"),
    (PAIR, "null", 422, "invalid_request"),
    (PAIR, "{}", 422, "invalid_request"),
    (PAIR, '{"features":null}', 422, "invalid_request"),
    (PAIR, '{"features":5}', 422, "invalid_request"),
    (PAIR, '{"features":[1,2],"more":1}', 422, "invalid_request"),
    (PAIR, '{"features":{"a":1}}', 422, "invalid_request"),
    (PAIR, '{"features":{"a":1,"b":2,"c":3}}', 422, "invalid_request"),
    (PAIR, '{"features":["x",2],"features":[1,"y"]}', 422, "invalid_request"),
    (PAIR, '{"batch":[]}', 422, "invalid_request"),
    (PAIR, '{"batch":[[1,2],[1,2],[1,2],[1,2]]}', 422, "invalid_request"),
    (PAIR, '{"batch":{"a":1}}', 422, "invalid_request"),
    (PAIR, '{"batch":[[1,2],3]}', 422, "invalid_request"),
    (IMAGE, '{"features":[1,2]}', 422, "invalid_request"),
    (TEXT, '{"features":"a text"}', 422, "invalid_request"),
    # the wrong types
    (PAIR, '{"features":["1",2]}', 422, "invalid_request"),
    (PAIR, '{"features":["NaN",2]}', 422, "invalid_request"),
    (PAIR, '{"features":[true,2]}', 422, "invalid_request"),
    (PAIR, '{"features":[null,2]}', 422, "invalid_request"),
    (PAIR, '{"features":[[1],2]}', 422, "invalid_request"),
    (MIXED, '{"features":[5.5,"red",true]}', 422, "invalid_request"),
    (MIXED, '{"features":[128,"red",true]}', 422, "invalid_request"),
    (MIXED, '{"features":[1,"blue",true]}', 422, "invalid_request"),
    (MIXED, '{"features":[1,"red",1]}', 422, "invalid_request"),
    (MIXED, '{"features":[1,7,true]}', 422, "invalid_request"),
    (INT64, '{"features":[9223372036854775808]}', 422, "invalid_request"),
    (INT64, '{"features":[9007199254740993.0]}', 422, "invalid_request"),  # a float cannot tell it from ..992
    (INT64, '{"features":[1e30]}', 422, "invalid_request"),
    (IMAGE, '{"features":[[1,2,3],[4,5,null]]}', 422, "invalid_request"),
]


def read(sig: Signature, body: str | bytes) -> RequestError:
    raw = body.encode() if isinstance(body, str) else body
    return explain(raw, sig, batch=b'"batch"' in raw, limits=LIMITS)


@pytest.mark.parametrize(("sig", "body"), FITS, ids=[body for _, body in FITS])
def test_nothing_is_wrong_with_a_body_that_fits(sig: Signature, body: str) -> None:
    assert check(msgspec.json.decode(body), sig, batch='"batch"' in body, limits=LIMITS) is None


@pytest.mark.parametrize(("sig", "body", "status", "code"), REFUSED, ids=[str(r[1])[:60] for r in REFUSED])
def test_a_body_that_does_not_fit_has_its_status(sig: Signature, body: str | bytes, status: int, code: str) -> None:
    answer = error_response(read(sig, body), "r")
    told = msgspec.json.decode(answer.body)
    assert (answer.status, told["code"]) == (status, code)
    assert told["detail"].endswith(".")
    assert "given twice" not in told["detail"]  # what is said where nothing else is found
    assert ("errors" in told) == (status == 422)


def test_a_key_given_twice_must_fit_twice() -> None:
    """The lane's decoder reads both; the generic one keeps the last, and finds nothing wrong with that."""
    assert "given twice" in str(read(PAIR, '{"features":["x"],"features":[1,2]}'))


SENTENCES = [
    (PAIR, '{"features":["1",2]}', ["features", 0], "Send a number, not a string."),
    (PAIR, '{"features":{"a":null,"b":2}}', ["features", "a"], "Send a number; null is not taken here."),
    (PAIR, '{"batch":[[1,2],[3,true]]}', ["batch", 1, 1], "Send a number, not true or false; 1 and 0 stand for these."),
    (PAIR, '{"features":{"a":1}}', ["features", "b"], "This field is missing."),
    (MIXED, '{"features":[1,"blue",true]}', ["features", 1], "Send one of 'red', 'green'."),
    (MIXED, '{"features":[200,"red",true]}', ["features", 0], "Send an int8 integer, from -128 to 127."),
    (PAIR, "{}", ["features"], "This key is missing."),
    (IMAGE, '{"features":7}', ["features"], "Send nested lists of shape (2, 3) here, not a number."),
    (PAIR, '{"features":{"a":1,"b":2,"aa":3}}', ["features", "aa"], "This is no field of the model."),
    (
        structs.replace(PAIR, unused=("cabin",)),
        '{"features":{"a":1,"b":2,"cabin":3}}',
        ["features", "cabin"],
        "This field of the training data is not used, and not taken; leave it out.",
    ),
    (PAIR, '{"batch":[{"a":1,"b":2},{"a":1,"b":2,"é 1":3}]}', ["batch", 1, "é 1"], "This is no field of the model."),
    (PAIR, '{"features":[1,2],"more":3}', ["more"], "This key is unknown; send features alone."),
    (PAIR, '{"batch":[[1,2]],"features":[1,2]}', ["features"], "A single row goes to predict; send batch here."),
]


@pytest.mark.parametrize(("sig", "body", "loc", "msg"), SENTENCES, ids=[s[1] for s in SENTENCES])
def test_a_problem_says_where_it_is_and_what_to_send(sig: Signature, body: str, loc: list[Any], msg: str) -> None:
    assert msgspec.json.decode(error_response(read(sig, body), "r").body)["errors"] == [{"loc": loc, "msg": msg}]


UNREPEATABLE = ["k" * 41, "", "  ", "a\nb", "\x1b[31m", "\u202e", "\u200b", "\x7f"]


@pytest.mark.parametrize("key", UNREPEATABLE, ids=ascii)
def test_an_unknown_key_that_is_long_or_unprintable_is_told_by_its_place(key: str) -> None:
    """A short and printable one by its name, as above: nothing else of a request comes back."""
    told = msgspec.json.decode(error_response(read(PAIR, msgspec.json.encode({"features": [1, 2], key: 3})), "r").body)
    assert told["errors"] == [{"loc": [], "msg": "Look at key 2. This key is unknown; send features alone."}]
    row = msgspec.json.encode({"features": {key: 1, "a": 1, "b": 2}})
    told = msgspec.json.decode(error_response(read(PAIR, row), "r").body)
    assert told["errors"] == [{"loc": ["features"], "msg": "Look at key 1. This is no field of the model."}]


KINDS = "Send all rows as lists or all as objects:"
ODD_ROWS = [
    (PAIR, "[[1,2],[3],[4]]", "Send rows of length 2; batch[1] has length 1."),
    (PAIR, "[[1],[1],[3,4]]", "Send rows of length 2; batch[0] has length 1."),
    (PAIR, "[5,[1,2],[1,2,3]]", "Send rows of length 2; batch[2] has length 3."),
    (PAIR, '[[1,2],[3],{"a":1}]', f"{KINDS} batch[0] is a list and batch[2] an object."),
    (PAIR, '[5,{"a":1,"b":2},[1,2]]', f"{KINDS} batch[1] is an object and batch[2] a list."),
    (IMAGE, "[[[1,2,3],[4,5,6]],[[1,2,3]]]", "Send rows of length 2; batch[1] has length 1."),
    (WAVE, "[[1,2,3],[1,2,3],[4,5]]", "Send rows of one length; batch[0] has length 3 and batch[2] 2."),
]


@pytest.mark.parametrize(("sig", "rows", "sentence"), ODD_ROWS, ids=[rows for _, rows, _ in ODD_ROWS])
def test_the_first_row_that_is_out_of_line_is_named(sig: Signature, rows: str, sentence: str) -> None:
    error = read(sig, f'{{"batch":{rows}}}')
    assert (error.code, str(error)) == ("ragged_batch", sentence)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("[1,2]", 'Send an object: {"features": …}.'),
        ('{"features":[1,2],"\\n":3}', "Look at key 2. This key is unknown; send features alone."),
        ('{"features":[1,"x"]}', "At features[1]: Send a number, not a string."),
        ("{'features':[1,2]}", "The body is not valid JSON: look at byte 1. Names and text stand in double quotes."),
        ('{"features":[1,2,]}', "The body is not valid JSON: look at byte 17."),
    ],
)
def test_the_sentence_says_what_to_send(body: str, sentence: str) -> None:
    assert str(read(PAIR, body)) == sentence


def test_malformed_goes_before_invalid() -> None:
    assert read(FLOAT32, '{"batch":[["x"],[1e39]]}').code == "not_finite"


def test_reading_ends_at_the_tenth_problem() -> None:
    wide = signature(*[Field(name=f"f{i}") for i in range(100)])
    error = read(wide, msgspec.json.encode({"features": ["x"] * 100}))
    assert isinstance(error, InvalidRequest)
    assert [problem.loc for problem in error.problems] == [("features", i) for i in range(10)]


KEYS = st.sampled_from(["features", "batch", "a", "b"]) | st.text(max_size=20)
SECRET = "s3cr3t" * 20
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.just(SECRET),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
)


@given(body=JSON | st.dictionaries(KEYS, JSON), batch=st.booleans(), sig=st.sampled_from([PAIR, MIXED, IMAGE, SIGNAL]))
def test_no_answer_repeats_a_value_or_grows(body: Any, batch: bool, sig: Signature) -> None:
    answer = error_response(explain(msgspec.json.encode(body), sig, batch=batch, limits=LIMITS), "r").body
    assert b"s3cr3t" not in answer
    assert len(answer) < 2048


@given(body=st.binary(max_size=200))
def test_any_bytes_are_answered(body: bytes) -> None:
    assert error_response(explain(body, PAIR, batch=False, limits=LIMITS), "r").status in (400, 422)


def test_a_strange_key_is_named_harmlessly() -> None:
    answer = error_response(read(PAIR, r'{"features":[1,2],"<b>\u0000\u202e' + "x" * 999 + '":1}'), "r").body
    assert b"<" not in answer
    assert b"\\u" not in answer
    assert len(answer) < 500
