"""Where Redis is: what a URL says of it."""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from penstock.errors import ConfigurationError

PORT = 6379
HIGHEST_PORT = 65_535
_WITH_PORT = re.compile(r"rediss?://([^/@?#]*@)?([^/@?#:\[\]]+|\[[^/@?#\[\]]+\]):(?P<port>[0-9]{5,20})(/[0-9]*)?")
"""A URL in which nothing else can be wrong: with an @ further on, digits after a colon may be part of a password."""


class Address(NamedTuple):
    """A host and port, or a socket's path; and how to be let in."""

    host: str
    port: int
    path: str | None
    tls: bool
    user: str
    password: str
    database: int

    @property
    def place(self) -> str:
        """Where it is, for the log: host:port or the socket's path, and nothing of user or password."""
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def greeting(self) -> Iterator[tuple[str | int, ...]]:
        """The commands that a connection begins with."""
        if self.password:
            yield ("AUTH", self.user, self.password) if self.user else ("AUTH", self.password)
        if self.database:
            yield "SELECT", self.database


def address_of(url: str) -> Address:
    """What is meant by redis://user:password@host:6379/0, rediss:// for TLS, or unix:///path?db=0.

    Raises ConfigurationError, whose message has nothing of the URL: there may be a password in it.
    """
    try:
        address = _address(urlsplit(url))
    except ValueError:
        if (said := _WITH_PORT.fullmatch(url)) and int(said["port"]) > HIGHEST_PORT:
            raise ConfigurationError(f"redis.url: there is no such port: they end at {HIGHEST_PORT}") from None
        raise ConfigurationError(
            "redis.url: expected a URL such as redis://user:password@127.0.0.1:6379/0 (redis://:password@… without a "
            "user); write the signs / : @ # ? of a password as %2F %3A %40 %23 %3F"
        ) from None
    return address


def _address(parts: SplitResult) -> Address:
    """Raises ValueError for what nobody can mean: part of a password that was not quoted, most of the time."""
    is_path = parts.scheme == "unix"
    query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    database = int(query.pop("db", ["0"])[0] if is_path else parts.path.strip("/") or "0")
    if query or parts.fragment or database < 0 or (parts.username and not parts.password):
        raise ValueError
    if not is_path:
        (parts.hostname or "").encode("idna")
    if not (parts.path if is_path else parts.hostname):
        raise ValueError
    return Address(
        parts.hostname or "localhost",
        parts.port or PORT,
        unquote(parts.path) if is_path else None,
        parts.scheme == "rediss",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        database,
    )
