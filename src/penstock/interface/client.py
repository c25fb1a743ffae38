"""Who a request comes from: the address at the other end of its connection, or the one that a trusted proxy names.

Whoever sends a request may write anything into X-Forwarded-For. Each proxy on the way appends the address that it was
spoken to from, so the header is read from its right end, and no further than past the proxies that are trusted.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FORWARDED = b"x-forwarded-for"
MOST_HOPS = 32  # that are looked at of one request
MOST_REMEMBERED = 4096  # addresses
LONGEST = 64  # characters of a hop; no address needs as many
WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d{1,5})?|([^:]+):\d{1,5}")
_OF_MAPPED = 96  # the bits of an IPv6 network that stand before a mapped IPv4 one


class Hop(NamedTuple):
    """An address in its canonical form, and whether what it says of those behind it is believed."""

    address: str
    trusted: bool


class Clients:
    """Finds the client of a request. `trusted` are the addresses and networks of our own proxies.

    What was once found out about an address is remembered, so that a request costs one look into a table. Without
    trusted proxies no header is read at all.
    """

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._trusted = [network_of(text) for text in trusted]
        self._hop = lru_cache(MOST_REMEMBERED)(self._look_at)

    def of(self, scope: Mapping[str, Any]) -> str | None:
        """The client's address; None where even the kernel does not know it any more."""
        peer = scope.get("client")
        hop = None if peer is None else self._hop(peer[0])
        if hop is None:
            return None
        return self._behind(hop, scope["headers"]).address if hop.trusted else hop.address

    def _behind(self, proxy: Hop, headers: Sequence[tuple[bytes, bytes]]) -> Hop:
        """The nearest hop that is not trusted, or the last that is: what is no address ends the search."""
        nearest = proxy
        for text in _hops(headers):
            hop = self._hop(text)
            if hop is None:
                break
            nearest = hop
            if not hop.trusted:
                break
        return nearest

    def _look_at(self, text: str) -> Hop | None:
        address = address_of(without_port(text.strip(" \t")))
        if address is None:
            return None
        return Hop(str(address), any(address in network for network in self._trusted))


def address_of(text: str) -> Address | None:
    """The address that `text` is. An IPv4 address in the clothes of an IPv6 one is an IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:  # the interface of a link-local address: free text, and ours alone
            address = IPv6Address(int(address))
        return address.ipv4_mapped or address
    return address


def network_of(text: str) -> Network:
    """The network that `text` is; an address is a network of one. Raises ValueError."""
    network = ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _OF_MAPPED:
        return network
    return IPv4Network((mapped, network.prefixlen - _OF_MAPPED))


def without_port(hop: str) -> str:
    """The address in "192.0.2.1:4711" or "[2001:db8::1]:4711"; some proxies add ports."""
    match = WITH_PORT.fullmatch(hop)
    return match[1] or match[2] if match else hop


def _hops(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """The last hops of X-Forwarded-For, the nearest first; headers given several times stand for one in that order."""
    values = [value for name, value in headers if name == FORWARDED]
    hops = b",".join(values).decode("latin-1").rsplit(",", MOST_HOPS)
    return [hop[:LONGEST] for hop in hops[: -MOST_HOPS - 1 : -1]]
