"""Where Redis is: every way to say it, and what is said wrongly without a password being told."""

import pytest

from penstock.configuration import load
from penstock.errors import ConfigurationError
from penstock.redis_url import Address, address_of


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", Address("cache", 6379, None, False, "", "", 0)),
        ("redis://cache:7000/3", Address("cache", 7000, None, False, "", "", 3)),
        ("rediss://ann:se%2Fcret@[::1]:7000", Address("::1", 7000, None, True, "ann", "se/cret", 0)),
        ("redis://:secret@cache/", Address("cache", 6379, None, False, "", "secret", 0)),
        ("unix:///run/redis.sock?db=2", Address("localhost", 6379, "/run/redis.sock", False, "", "", 2)),
    ],
)
def test_a_url_says_where_redis_is(url: str, address: Address) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://ann:secret@cache", "cache:6379"),
        ("rediss://:secret@[::1]:7000/3", "[::1]:7000"),
        ("unix://ann:secret@/run/redis.sock", "/run/redis.sock"),
    ],
)
def test_the_log_says_where_it_is_without_user_and_password(url: str, place: str) -> None:
    assert address_of(url).place == place


@pytest.mark.parametrize(
    ("address", "commands"),
    [
        (address_of("redis://cache"), []),
        (address_of("redis://:secret@cache/3"), [("AUTH", "secret"), ("SELECT", 3)]),
        (address_of("redis://ann:secret@cache"), [("AUTH", "ann", "secret")]),
    ],
)
def test_a_connection_begins_with_who_it_is(address: Address, commands: list[object]) -> None:
    assert list(address.greeting()) == commands


@pytest.mark.parametrize(
    "url",
    [
        "redis://ann:se/cret@cache:1/0",
        "redis://ann:99999/cret@cache",
        "redis://cache/x",
        "redis://cache/-1",
        "redis://se-cret@cache",
        "redis://cache?password=se-cret",
        "redis://:12#se-cret@cache",
        "redis://:12?se-cret@cache",
        "redis://:6379",
        "redis://a..b",
        f"redis://{64 * 'a'}",
        "unix:///run/redis.sock?password=se-cret",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(ConfigurationError, match="%2F") as refused:
        load(flags={"redis.url": [url]})
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://cache:99999", "rediss://ann:se-cret@[::1]:65536/3", "redis://:se@cache:70000/"]
)
def test_a_port_that_cannot_be_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(flags={"redis.url": [url]})
    assert str(refused.value) == "redis.url: there is no such port: they end at 65535"


@pytest.mark.parametrize("url", ["http://ann:secret@cache", "cache:6379", "redis://"])
def test_another_kind_of_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"redis://127\.0\.0\.1:6379/0") as refused:
        load(flags={"redis.url": [url]})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("path", ["quota.store", "models.*.cache.store"])
def test_what_is_to_be_kept_in_redis_needs_one(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"redis\.url"):
        load(flags={path: ["redis"]})
    load(flags={path: ["redis"], "redis.url": ["redis://cache"]})
