"""Bodies of predictions made from a model's fields: right ones, and ones of which it is known what is wrong."""

import json
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from tests.hostile.served import LIMITS

Fields = tuple[dict[str, Any], ...]

RIGHT = frozenset({200})
MALFORMED = frozenset({400})
MISFIT = frozenset({422})
EITHER = MALFORMED | MISFIT
MAY_OVERFLOW = frozenset({200, 500})  # a finite row for which the model has no finite answer
MOST_ROWS = int(LIMITS["rows"])


class Body(NamedTuple):
    """What is sent, and the statuses with which it may be answered."""

    content: bytes
    statuses: frozenset[int]
    kind: str


class Token(NamedTuple):
    """A value as JSON writes it, or does not."""

    text: bytes
    statuses: frozenset[int] = RIGHT


NOT_JSON = [
    b"NaN", b"Infinity", b"-Infinity", b"nan", b"01", b"+1", b".5", b"1.", b"0x10", b"1_000", b"tru", b"'a'", b"1e",
    b"undefined", b"\xff", b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\x41"', b'"a\nb"', b'"\x00"', b"/**/1", b"",
    b"-", b"--1", b"1 2", b"\xc2\xa01",
]  # fmt: skip
BEYOND = [b"1e400", b"-1e999", b"1" + b"0" * 400, b"1e308000000", b"-" + b"9" * 5000]
HUGE = [b"1.7976931348623157e308", b"-1.7e308", b"1e300", b"9" * 300]
TEXTS = [
    "",
    "NaN",
    "null",
    "\x1b[31m",
    "a\nb\r\n",
    '"}',
    "\u202e\u2066",
    "é" * 50,
    "🂡" * 20,
    "%s%n",
    "${jndi:x}",
    "\x7f\x85",
]


def body(random: Random, fields: Fields, marker: str, *, batch: bool) -> Body:
    """One body for `/predict`, or for `/predict-batch`."""
    make = random.choice(BATCHES if batch else SINGLES)
    return make(random, fields, marker)


# ------------------------------------------------------------------ values and rows
def right(random: Random, field: dict[str, Any], marker: str) -> Token:
    if field.get("nullable") and random.random() < 0.2:
        return Token(b"null")
    if field["dtype"] == "string":
        known = field.get("categories") if field.get("unknown") == "refuse" else None
        text = random.choice(known) if known else random.choice([*TEXTS, marker])
        return Token(json.dumps(text, ensure_ascii=random.random() < 0.5).encode())
    if random.random() < 0.05:
        return Token(random.choice(HUGE), MAY_OVERFLOW)
    numbers = [
        random.uniform(-100, 100),
        random.randrange(-1000, 1000),
        0,
        -0.0,
        5e-324,
        1e-300,
        1e15,
        123456789012345678,
    ]
    return Token(json.dumps(random.choice(numbers)).encode())


def wrong(random: Random, field: dict[str, Any], marker: str) -> Token:
    if random.random() < 0.4:
        return Token(random.choice(NOT_JSON), MALFORMED)
    misfits = [b"true", b"false", b"[]", b"{}", b"[1]", b"[null]", b'{"a":1}']
    if field["dtype"] == "string":
        misfits += [b"1", b"1.5", b"-0"]
        if field.get("unknown") == "refuse":
            misfits += [b'""', b'"%b"' % marker.encode()]
    else:
        misfits += [b'"1"', b'"NaN"', b'""', b'"%b"' % marker.encode()]
        if random.random() < 0.3:
            return Token(random.choice(BEYOND), MALFORMED)
    if not field.get("nullable"):
        misfits.append(b"null")
    return Token(random.choice(misfits), MISFIT)


def row(random: Random, fields: Fields, tokens: list[Token], *, named: bool) -> Token:
    statuses = both(token.statuses for token in tokens)
    if not named:
        return Token(b"[" + comma(random).join(token.text for token in tokens) + b"]", statuses)
    pairs = [key(random, f["name"]) + colon(random) + t.text for f, t in zip(fields, tokens, strict=True)]
    random.shuffle(pairs)
    return Token(b"{" + comma(random).join(pairs) + b"}", statuses)


def both(statuses: Any) -> frozenset[int]:
    """With what several things together may be answered: 200 only if each of them may."""
    every = list(statuses)
    if all(each == RIGHT for each in every):
        return RIGHT
    union = frozenset[int]().union(*every)
    return union if all(200 in each for each in every) else union - MAY_OVERFLOW


def right_row(random: Random, fields: Fields, marker: str, *, named: bool | None = None) -> Token:
    named = random.random() < 0.5 if named is None else named
    return row(random, fields, [right(random, field, marker) for field in fields], named=named)


def comma(random: Random) -> bytes:
    return random.choice([b",", b", ", b" ,\n", b",\t"])


def colon(random: Random) -> bytes:
    return random.choice([b":", b": ", b" :\r\n"])


def key(random: Random, name: str) -> bytes:
    """A key, now and then with its letters escaped: that is the same key."""
    if random.random() < 0.9:
        return json.dumps(name).encode()
    return b'"' + b"".join(b"\\u%04x" % ord(letter) for letter in name) + b'"'


# ------------------------------------------------------------------ one row
def fitting(random: Random, fields: Fields, marker: str) -> Body:
    made = right_row(random, fields, marker)
    return Body(b'{"features":' + made.text + b"}", made.statuses, "fitting")


def wrong_value(random: Random, fields: Fields, marker: str) -> Body:
    tokens = [right(random, field, marker) for field in fields]
    at = random.randrange(len(fields))
    tokens[at] = wrong(random, fields[at], marker)
    made = row(random, fields, tokens, named=random.random() < 0.5)
    return Body(b'{"features":' + made.text + b"}", made.statuses, "wrong value")


def wrong_count(random: Random, fields: Fields, marker: str) -> Body:
    tokens = [right(random, field, marker).text for field in fields]
    tokens = random.choice([tokens[:-1], [*tokens, b"1"], [], tokens * 2, tokens * 100])
    return Body(b'{"features":[' + b",".join(tokens) + b"]}", MALFORMED, "wrong count")


def wrong_keys(random: Random, fields: Fields, marker: str) -> Body:
    pairs = [json.dumps(f["name"]).encode() + b":" + right(random, f, marker).text for f in fields]
    own = json.dumps(random.choice([marker + "\n\x1b\u202e", marker * 3, f"{marker}\u200b"])).encode()
    key = random.choice([own, b'"other"', b'"a.b"', b'""', '"käse\'"'.encode()])  # short ones come back in the answer
    other = key + b":" + random.choice([b"1", own, b"{%b:[%b]}" % (own, own)])
    pairs = random.choice([pairs[:-1], [*pairs, other], [other], [], [*pairs[:-1], other], [*pairs, *([other] * 300)]])
    return Body(b'{"features":{' + b",".join(pairs) + b"}}", MISFIT, "wrong keys")


def wrong_top(random: Random, fields: Fields, marker: str) -> Body:
    made = right_row(random, fields, marker).text
    own = json.dumps(marker * 3).encode()
    tops = [
        b"{}", b"[]", b"null", b"1", b'"x"', b"true", made, own, b"{%b:%b}" % (own, made), b'{"batch":[%b]}' % made,
        b'{"features":%b,%b:1}' % (made, own), b'{"features":null}', b'{"features":%b}' % own, b'{"features":3}',
    ]  # fmt: skip
    return Body(random.choice(tops), MISFIT, "wrong top")


def twice(random: Random, fields: Fields, marker: str) -> Body:
    """Of a key that is there twice the last counts, provided that each of them fits."""
    first, second = (right_row(random, fields, marker) for _ in range(2))
    if random.random() < 0.5:
        first = Token(random.choice([b"null", b"1", b'"x"', b"true"]), MISFIT)
    statuses = both((first.statuses, second.statuses))
    return Body(b'{"features":%b,"features":%b}' % (first.text, second.text), statuses, "twice")


def spoilt(random: Random, fields: Fields, marker: str) -> Body:
    """A fitting body, of which something was done to the bytes that no JSON survives."""
    good = b'{"features":' + right_row(random, fields, marker).text + b"}"
    own = marker.encode()
    return Body(
        random.choice(
            [
                good[: random.randrange(len(good))],
                good + random.choice([b"x", b"]", b"}", b",", b"\x00", b"{}", own, good]),
                b"\xef\xbb\xbf" + good,
                good.decode("utf-8").encode(random.choice(["utf-16", "utf-32", "utf-16-le"])),
                b"\x1f\x8b\x08\x00" + good,
                good.replace(b'"', b"'"),
                b"// " + own + b"\n" + good,
                b"\x00" * random.randrange(1, 9) + good,
                bytes(random.randrange(128, 256) for _ in range(random.randrange(1, 400))),
                b"features=" + own,
                b"<x>" + own + b"</x>",
            ]
        ),
        MALFORMED,
        "spoilt",
    )


def deep(random: Random, fields: Fields, marker: str) -> Body:
    depth = random.choice([2, 10, 200, 1024, 20_000])
    opening, closing = random.choice([(b"[", b"]"), (b'{"a":', b"}")])
    inner = random.choice([b"", b"1"]) if opening == b"[" else b"1"
    nest = opening * depth + inner + (closing * depth if random.random() < 0.7 else b"")
    return Body(b'{"features":' + nest + b"}", EITHER, "deep")


# ------------------------------------------------------------------ batches
def fitting_batch(random: Random, fields: Fields, marker: str) -> Body:
    named = random.random() < 0.5
    rows = [right_row(random, fields, marker, named=named) for _ in range(random.choice([1, 2, 7, MOST_ROWS]))]
    return Body(
        b'{"batch":[' + b",".join(r.text for r in rows) + b"]}", both(r.statuses for r in rows), "fitting batch"
    )


def one_wrong(random: Random, fields: Fields, marker: str) -> Body:
    named = random.random() < 0.5
    rows = [right_row(random, fields, marker, named=named) for _ in range(random.randrange(1, 9))]
    tokens = [right(random, field, marker) for field in fields]
    at = random.randrange(len(fields))
    tokens[at] = wrong(random, fields[at], marker)
    rows.insert(random.randrange(len(rows) + 1), row(random, fields, tokens, named=named))
    return Body(b'{"batch":[' + b",".join(r.text for r in rows) + b"]}", both(r.statuses for r in rows), "one wrong")


def wrong_batch(random: Random, fields: Fields, marker: str) -> Body:
    listed, named = (right_row(random, fields, marker, named=n).text for n in (False, True))
    own = json.dumps(marker).encode()
    content, statuses = random.choice(
        [
            (b"[]", MISFIT),
            (own, MISFIT),
            (named, MISFIT),
            (b"null", MISFIT),
            (b"[%b,%b]" % (listed, named), MALFORMED),
            (b"[%b,[]]" % listed, MALFORMED),
            (b"[%b,%b]" % (listed, listed[:-1] + b",1]"), MALFORMED),
            (b"[[],[]]", MALFORMED),
            (b"[%b,%b]" % (named, own), MISFIT),
            (b"[%b]" % b",".join([named] * (MOST_ROWS + 1)), MISFIT),
            (b"[%b]" % b",".join([b"[]"] * 20_000), EITHER),
            (b"[%b]" % b",".join([own] * MOST_ROWS), MISFIT),
        ]
    )
    return Body(b'{"batch":' + content + b"}", statuses, "wrong batch")


def other_endpoint(random: Random, fields: Fields, marker: str) -> Body:
    return Body(fitting(random, fields, marker).content, MISFIT, "other endpoint")


def spoilt_batch(random: Random, fields: Fields, marker: str) -> Body:
    return spoilt(random, fields, marker)._replace(kind="spoilt batch")


Maker = Callable[[Random, Fields, str], Body]
SINGLES: list[Maker] = [
    fitting,
    fitting,
    wrong_value,
    wrong_value,
    wrong_count,
    wrong_keys,
    wrong_top,
    twice,
    spoilt,
    deep,
]
BATCHES: list[Maker] = [fitting_batch, one_wrong, one_wrong, wrong_batch, other_endpoint, spoilt_batch]
