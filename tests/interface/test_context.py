"""Rows completed from a store, as a client sees it: what is sent, and what becomes of it when the store fails."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from openapi_schema_validator import OAS31Validator

from penstock.config import Limits, Store
from penstock.errors import InvalidRequest, MalformedRequest, RequestError
from penstock.inference.context import Completion
from penstock.inference.stores import Nowhere
from penstock.interface import examples, schema
from penstock.interface.context import ContextReader
from penstock.model.context import Context, Feature
from penstock.model.signature import Field, Output, OutputField, Signature
from penstock.testing import FakeStore
from tests.interface.holding import hold
from tests.interface.test_lane import LOADED, STATE, World, lines, post, until, world

SIGNATURE = Signature(
    inputs=(
        Field(name="amount", range=(0, 100)),
        Field(name="age", dtype="int64"),
        Field(name="colour", dtype="string", categories=("red", "green"), unknown="refuse"),
        Field(name="country", dtype="string"),
    ),
    output=Output(fields=(OutputField(name="y"),)),
)


def contexts(**keys: Sequence[str]) -> list[Context]:
    """What clients send, and the features that are looked up by it."""
    return [
        Context(key=key, store="s", features=tuple(Feature(name=name, field=name) for name in names))
        for key, names in keys.items()
    ]


USERS = contexts(user_id=["age", "country"])
BOTH = contexts(user_id=["age"], shop=["country"])
ALL = contexts(user_id=["age", "country", "amount", "colour"])


def reader(made_of: list[Context]) -> ContextReader:
    async def made() -> ContextReader:
        completion = Completion(made_of, SIGNATURE, [Nowhere() for _ in made_of])
        return ContextReader(completion, SIGNATURE, Limits())

    return asyncio.run(made())


def refusal(made_of: list[Context], body: object) -> RequestError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestError) as refused:
        reader(made_of).read(data)
    return refused.value


OWN = {"amount": 2, "colour": "red"}


@pytest.mark.parametrize(
    ("made_of", "body", "entities", "own"),
    [
        (USERS, {"user_id": "u1", "features": OWN}, ("u1",), [2.0, "red"]),
        (USERS, {"features": OWN, "user_id": -7}, ("-7",), [2.0, "red"]),
        (USERS, {"user_id": "ü" * 256, "features": OWN}, ("ü" * 256,), [2.0, "red"]),
        (USERS, {"user_id": 7.0, "features": OWN}, ("7",), [2.0, "red"]),
        (BOTH, {"shop": 2**63 - 1, "user_id": "a b", "features": OWN}, ("a b", str(2**63 - 1)), [2.0, "red"]),
        (ALL, {"user_id": "u1"}, ("u1",), []),
        (ALL, {"user_id": "u1", "features": {}}, ("u1",), []),
    ],
)
def test_a_body_says_what_to_look_up_and_the_rest_of_the_row(
    made_of: list[Context], body: object, entities: tuple[str, ...], own: list[Any]
) -> None:
    asked = reader(made_of).read(json.dumps(body, ensure_ascii=False).encode())
    assert asked.entities == entities
    assert list(asked.own) == own


@pytest.mark.parametrize(
    ("made_of", "body", "loc", "msg"),
    [
        (USERS, [], (), 'Send an object: {"user_id": …, "features": {…}}.'),
        (USERS, {"features": OWN}, ("user_id",), "This key is missing."),
        (USERS, {"user_id": "u1"}, ("features",), "This key is missing."),
        (USERS, {"user_id": "", "features": OWN}, ("user_id",), "Send text of 1 to 256 characters"),
        (USERS, {"user_id": "x" * 257, "features": OWN}, ("user_id",), "Send text of 1 to 256 characters"),
        (USERS, {"user_id": "a\nb", "features": OWN}, ("user_id",), "without control characters"),
        (USERS, {"user_id": "a\x7fb", "features": OWN}, ("user_id",), "without control characters"),
        (USERS, {"user_id": 2**63, "features": OWN}, ("user_id",), "or an integer of 64 bits."),
        (USERS, {"user_id": 1.5, "features": OWN}, ("user_id",), "or an integer of 64 bits."),
        (USERS, {"user_id": 2.0**53, "features": OWN}, ("user_id",), "or an integer of 64 bits."),
        (USERS, {"user_id": True, "features": OWN}, ("user_id",), "not true or false."),
        (USERS, {"user_id": None, "features": OWN}, ("user_id",), "not null."),
        (USERS, {"user_id": "u", "shop": 1, "features": OWN}, ("shop",), "unknown; send user_id and features."),
        (USERS, {"user_id": "u", "batch": [], "features": OWN}, ("batch",), "This key is unknown"),
        (USERS, {"user_id": "u", "features": [1, 2]}, ("features",), "Send an object by name, not a list"),
        (
            USERS,
            {"user_id": "u", "features": OWN | {"age": 3}},
            ("features", "age"),
            "comes from a store; leave it out.",
        ),
        (USERS, {"user_id": "u", "features": OWN | {"x": 3}}, ("features", "x"), "This is no field of the model."),
        (USERS, {"user_id": "u", "features": {"amount": 1}}, ("features", "colour"), "This field is missing."),
        (USERS, {"user_id": "u", "features": OWN | {"amount": "1"}}, ("features", "amount"), "Send a number"),
        (USERS, {"user_id": "u", "features": OWN | {"colour": "blue"}}, ("features", "colour"), "Send one of 'red'"),
        (ALL, {"user_id": "u", "features": {"age": 3}}, ("features", "age"), "comes from a store; leave it out."),
        (ALL, {"user_id": "u", "features": None}, ("features",), "not null"),
    ],
)
def test_what_is_wrong_is_told_where_the_client_sent_it(
    made_of: list[Context], body: object, loc: tuple[str, ...], msg: str
) -> None:
    error = refusal(made_of, body)
    assert isinstance(error, InvalidRequest)
    (problem,) = error.problems
    assert problem.loc == loc
    assert msg in problem.msg


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff", b"[" * 100_000, b'{"user_id": "u", "features": {"amount": NaN, "colour": "red"}}',
        b'{"user_id": "u", "features": {"amount": 1e999, "colour": "red"}}', b'{"user_id": "\\ud800", "features": {}}',
    ],
)  # fmt: skip
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    assert isinstance(refusal(USERS, body), MalformedRequest)


@pytest.mark.parametrize("made_of", [USERS, ALL])
def test_a_body_that_holds_far_too_much_is_refused_unread(made_of: list[Context]) -> None:
    error = refusal(made_of, b'{"user_id": "u", "features": {"amount": [' + b"[]," * 100_000 + b"[]]}}")
    assert isinstance(error, InvalidRequest)
    assert error.problems[0].msg.startswith("Send one row of ")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(-10, 10) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
GOOD_FEATURES = st.fixed_dictionaries({"amount": st.floats(-10, 10), "colour": st.sampled_from(["red", "green"])})
NAMES = st.sampled_from(["amount", "colour", "age", "x"])
BODIES = st.dictionaries(
    st.sampled_from(["user_id", "features", "shop"]),
    ANY | GOOD_FEATURES | st.dictionaries(NAMES, ANY, max_size=3) | st.text(min_size=1, max_size=4),
    max_size=3,
)
READER = reader(USERS)
SCHEMA = OAS31Validator(schema.context_request(SIGNATURE, USERS))


@given(BODIES | ANY)
def test_what_the_schema_allows_is_what_is_taken(body: object) -> None:
    data = json.dumps(body).encode()
    try:
        READER.read(data)
        taken = True
    except (InvalidRequest, MalformedRequest):
        taken = False
    assert taken == SCHEMA.is_valid(body)


@pytest.mark.parametrize("made_of", [USERS, BOTH, ALL])
def test_the_schema_shows_what_a_client_sends_and_its_examples_work(made_of: list[Context]) -> None:
    made = schema.context_request(SIGNATURE, made_of)
    OAS31Validator.check_schema(made)
    stored = {feature.name for context in made_of for feature in context.features}
    assert made["properties"].keys() == {context.key for context in made_of} | {"features"}
    assert not made["properties"]["features"]["properties"].keys() & stored
    for body in examples.context_examples(SIGNATURE, made_of).values():
        reader(made_of).read(json.dumps(body).encode())
        assert OAS31Validator(made).is_valid(body)


def test_the_example_of_a_key_is_called_like_the_key() -> None:
    contexts = [CONTEXT, replace(CONTEXT, key="shop", features=())]
    properties = schema.context_request(SIGNATURE, contexts)["properties"]
    (body,) = examples.context_examples(SIGNATURE, contexts).values()
    for key, example in {"user_id": "user-1", "shop": "shop-1"}.items():
        assert (body[key], properties[key]["examples"]) == (example, [example])


# ------------------------------------------------------------------ on the way
anyio = pytest.mark.anyio
CONTEXT = Context(key="user_id", store="users", features=(Feature(name="b", field="balance"),))
BODY = b'{"user_id":"u1","features":{"a":1}}'
STORES = {"users": Store(python="tests.interface.holding:held", timeout_ms=60_000)}
QUICK = {"users": Store(python="tests.interface.holding:held", timeout_ms=10)}


def serving(*taken: Context, all_zero: Any = "serve") -> Any:
    signature = replace(LOADED.signature, all_zero=all_zero)
    return replace(STATE, loaded=replace(LOADED, signature=signature, context=taken))


def answer_of(raw: bytes) -> tuple[int, dict[str, str], Any]:
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    return int(status.split()[1]), dict(header.split(": ", 1) for header in headers), json.loads(body)


async def line_of(front: World) -> dict[str, Any]:
    await until(lambda: any(line["event"] == "prediction" for line in lines(front.log)))
    (line,) = [line for line in lines(front.log) if line["event"] == "prediction"]
    return line


@anyio
@pytest.mark.parametrize("path", ["/predict-with-context", "/models/m/predict-with-context"])
async def test_either_way_the_row_is_completed(tmp_path: Path, path: str) -> None:
    store = hold(FakeStore({"u1": {"balance": "2.5"}}))
    async with world(tmp_path, state=serving(CONTEXT), stores=STORES) as front:
        status, _, body = answer_of(await front.send(post(path, BODY)))
        assert (status, body["prediction"], body["confidence"]) == (200, "yes", 0.75)
        assert await front.through_asgi(post(path, BODY)) == (200, {k: body[k] for k in _STEADY})
        columns = [flight.tickets[0].rows.columns[0] for flight in front.host.sent]
        rows = [memoryview(column).cast("d").tolist() for column in columns]  # type: ignore[arg-type] # of numbers
        assert rows == [[1.0, 2.5]] * 2
        assert store.calls == [("u1",)] * 2


_STEADY = ("prediction", "confidence", "model", "model_version")


@anyio
async def test_many_at_once_make_one_call(tmp_path: Path) -> None:
    store = hold(FakeStore({f"u{i}": {"balance": i} for i in range(50)}))
    async with world(tmp_path, state=serving(CONTEXT), stores=STORES) as front:
        bodies = [b'{"user_id":"u%d","features":{"a":1}}' % (i % 50) for i in range(100)]
        ways = [front.through_asgi(post("/predict-with-context", body)) for body in bodies]
        assert {status for status, _ in await asyncio.gather(*ways)} == {200}
        assert len(store.calls) <= 2
        assert sum(map(len, store.calls)) <= 100


@anyio
async def test_the_log_says_what_was_looked_up_and_not_what_was_found(tmp_path: Path) -> None:
    hold(FakeStore({"u1": {"balance": 31337.5}}))
    async with world(tmp_path, state=serving(CONTEXT), stores=STORES) as front:
        await front.send(post("/predict-with-context", BODY))
        line = await line_of(front)
        assert line["context"] == [{"store": "users", "key": "user_id", "features": ["b"]}]
        assert "31337" not in json.dumps(line)
        assert "u1" not in json.dumps(line["context"])
        counted = front.figures.snapshot()
        assert counted["counters"]["penstock_context_values_total"] == [[["m", "1", "users", "found"], [1]]]


@anyio
async def test_a_default_is_taken_and_told_of(tmp_path: Path) -> None:
    hold(FakeStore())
    context = replace(CONTEXT, features=(Feature(name="b", field="balance", default=7.0),))
    async with world(tmp_path, state=serving(context), stores=STORES) as front:
        status, _, _ = answer_of(await front.send(post("/predict-with-context", BODY)))
        assert status == 200
        assert (await line_of(front))["context"][0]["defaults"] == ["b"]
        counted = front.figures.snapshot()["counters"]
        assert counted["penstock_context_values_total"] == [[["m", "1", "users", "missing"], [1]]]
        assert counted["penstock_context_defaults_total"] == [[["m", "1", "users"], [1]]]


@anyio
async def test_what_is_not_known_and_has_no_default_is_refused(tmp_path: Path) -> None:
    hold(FakeStore())
    context = replace(CONTEXT, features=(Feature(name="a", field="a", default=1.0), *CONTEXT.features))
    async with world(tmp_path, state=serving(context), stores=STORES) as front:
        status, _, body = answer_of(await front.send(post("/predict-with-context", b'{"user_id":"u1"}')))
        assert (status, body["code"]) == (422, "missing_context")
        assert body["errors"] == [{"loc": ["user_id"], "msg": "b of this user_id is not known."}]
        assert front.host.sent == []
        assert "defaults" not in (await line_of(front))["context"][0]
        counted = front.figures.snapshot()["counters"]
        assert counted["penstock_context_values_total"] == [[["m", "1", "users", "missing"], [2]]]
        assert "penstock_context_defaults_total" not in counted, "nothing was answered with it"


@anyio
async def test_a_store_that_is_away_is_a_503_that_says_when_to_try_again(tmp_path: Path) -> None:
    hold(FakeStore()).gate = asyncio.Event()
    async with world(tmp_path, state=serving(CONTEXT), stores=QUICK) as front:
        status, headers, body = answer_of(await front.send(post("/predict-with-context", BODY)))
        assert (status, headers["retry-after"], body["code"]) == (503, "1", "context_unavailable")
        assert body["detail"] == "b comes from the store 'users', which does not answer."
        assert (await line_of(front))["code"] == "context_unavailable"
        counted = front.figures.snapshot()["counters"]
        assert counted["penstock_context_values_total"] == [[["m", "1", "users", "away"], [1]]]


@anyio
async def test_a_look_up_ends_with_the_requests_own_time(tmp_path: Path) -> None:
    hold(FakeStore()).gate = asyncio.Event()
    async with world(tmp_path, state=serving(CONTEXT), stores=STORES) as front:
        request = post("/predict-with-context", BODY, b"x-request-timeout-ms: 30")
        status, _, body = answer_of(await front.send(request))
        assert (status, body["code"]) == (504, "deadline_exceeded")


@anyio
async def test_nothing_is_queued_for_whoever_went_away_during_the_look_up(tmp_path: Path) -> None:
    store = hold(FakeStore({"u1": {"balance": 1}}))
    gate = store.gate = asyncio.Event()
    async with world(tmp_path, state=serving(CONTEXT), stores=STORES) as front:
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(post("/predict-with-context", BODY))
        await until(lambda: bool(store.calls))
        writer.close()
        assert (await line_of(front))["status"] == 499
        gate.set()
        status, _, _ = answer_of(await front.send(post("/predict-with-context", BODY)))
        assert status == 200
        assert len(front.host.sent) == 1


@anyio
async def test_a_model_that_takes_nothing_from_a_store_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as front:
        status, _, body = answer_of(await front.send(post("/predict-with-context", BODY)))
        assert (status, body["code"]) == (404, "no_context")
        assert await front.through_asgi(post("/models/x/predict-with-context", BODY)) == (
            404,
            {"detail": "There is no model of that name. Models: m.", "code": "unknown_model"},
        )


@anyio
async def test_the_whole_row_is_what_may_not_be_all_zero(tmp_path: Path) -> None:
    hold(FakeStore({"u1": {"balance": 0}, "u2": {"balance": 1}}))
    async with world(tmp_path, state=serving(CONTEXT, all_zero="refuse"), stores=STORES) as front:
        zero = BODY.replace(b'"a":1', b'"a":0')
        status, _, body = answer_of(await front.send(post("/predict-with-context", zero)))
        assert (status, body["errors"][0]["loc"]) == (422, ["features"])
        status, _, _ = answer_of(await front.send(post("/predict-with-context", zero.replace(b"u1", b"u2"))))
        assert status == 200


@anyio
async def test_a_value_out_of_range_is_served_and_told_of_wherever_it_came_from(tmp_path: Path) -> None:
    hold(FakeStore({"u1": {"a": 99}}))
    context = Context(key="user_id", store="users", features=(Feature(name="a", field="a"),))
    async with world(tmp_path, state=serving(context), stores=STORES) as front:
        await front.send(post("/predict-with-context", b'{"user_id":"u1","features":{"b":1}}'))
        await until(lambda: any(line.get("out_of_range") == {"a": 1} for line in lines(front.log)))


@anyio
async def test_a_store_that_cannot_be_made_is_away_and_told_of(tmp_path: Path) -> None:
    stores = {"users": Store(python="tests.interface.holding:nobody")}
    async with world(tmp_path, state=serving(CONTEXT), stores=stores) as front:
        status, _, body = answer_of(await front.send(post("/predict-with-context", BODY)))
        assert (status, body["code"]) == (503, "context_unavailable")
        await until(lambda: any(line["event"] == "store_failed" for line in lines(front.log)))
