"""Who a request comes from: its peer, or whom a trusted proxy names; never its own word, and never but an address."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.interface.client import Clients

PROXIES = ("10.0.0.0/8", "2001:db8:1::/48", "192.0.2.7")
OURS = st.sampled_from(["10.0.0.1", "10.255.0.9", "2001:db8:1::2", "192.0.2.7", "::ffff:10.0.0.3"])
ABROAD = st.ip_addresses().map(str).filter(lambda a: Clients(PROXIES).of(scope(a, "198.51.100.1")) == plain(a))


def scope(peer: str | None, *forwarded: str | bytes) -> dict[str, Any]:
    """What is known of a request from `peer`, with one X-Forwarded-For for each of `forwarded`."""
    values = [each.encode() if isinstance(each, str) else each for each in forwarded]
    return {
        "client": None if peer is None else (peer, 4711),
        "headers": [(b"host", b"x"), *((b"x-forwarded-for", value) for value in values), (b"via", b"203.0.113.9")],
    }


def plain(address: str) -> str:
    parsed = ip_address(address)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.1", ["203.0.113.5"], "198.51.100.1"),  # whoever is not trusted speaks for itself
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.5"], "203.0.113.5"),  # what stands left of it is the client's own word
        ("10.0.0.1", ["203.0.113.5, 10.0.0.2, 192.0.2.7"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5", "10.0.0.2"], "203.0.113.5"),  # a proxy may add a header of its own
        ("10.0.0.1", ["10.0.0.3,10.0.0.2"], "10.0.0.3"),  # a client within our own network
        ("10.0.0.1", ["203.0.113.5, unknown, 10.0.0.2"], "10.0.0.2"),  # who spoke to 10.0.0.2 may say anything
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5:http"], "10.0.0.1"),
        ("10.0.0.1", ["[2001:db8::5]:4711"], "2001:db8::5"),
        ("10.0.0.1", ["[2001:db8::5]"], "2001:db8::5"),
        ("10.0.0.1", ["[2001:db8::5]evil"], "10.0.0.1"),
        ("10.0.0.1", ["2001:DB8:0:0::5"], "2001:db8::5"),
        ("10.0.0.1", ["203.0.113.005"], "10.0.0.1"),
        ("10.0.0.1", [b"\xff\x00\x1b[31m"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("::ffff:198.51.100.1", ["203.0.113.5"], "198.51.100.1"),
        ("2001:db8:1::1", ["2001:db8:2::1"], "2001:db8:2::1"),
        ("fe80::1%eth0", ["203.0.113.5"], "fe80::1"),
        (None, ["203.0.113.5"], None),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_not_trusted(
    peer: str | None, forwarded: list[str | bytes], client: str | None
) -> None:
    assert Clients(PROXIES).of(scope(peer, *forwarded)) == client


def test_without_trusted_proxies_the_header_is_not_even_read() -> None:
    assert Clients().of({"client": ("10.0.0.1", 4711)}) == "10.0.0.1"


@pytest.mark.parametrize("trusted", ["::ffff:10.0.0.0/104", "::ffff:10.0.0.1", "10.0.0.1"])
def test_a_network_may_be_written_as_mapped(trusted: str) -> None:
    assert Clients([trusted]).of(scope("10.0.0.1", "203.0.113.5")) == "203.0.113.5"


@given(
    forged=st.lists(st.one_of(st.ip_addresses().map(str), st.text(max_size=20)), max_size=5),
    client=ABROAD,
    proxies=st.lists(OURS, min_size=1, max_size=6),
)
def test_whatever_a_client_forges_its_own_address_is_found(forged: list[str], client: str, proxies: list[str]) -> None:
    """Each proxy appends whom it was spoken to from; the last of them is the peer."""
    *passed, peer = proxies
    assert Clients(PROXIES).of(scope(peer, ", ".join([*forged, client, *passed]))) == plain(client)


@given(peer=st.one_of(OURS, st.ip_addresses().map(str)), forwarded=st.lists(st.binary(max_size=200), max_size=3))
def test_nothing_but_an_address_ever_comes_out(peer: str, forwarded: list[bytes]) -> None:
    client = Clients(PROXIES).of(scope(peer, *forwarded))
    assert client is not None
    assert str(ip_address(client)) == client


def test_a_header_of_thousands_of_hops_is_not_read_to_its_end() -> None:
    assert Clients(PROXIES).of(scope("10.0.0.1", "203.0.113.5" + ", 10.0.0.2" * 5000)) == "10.0.0.2"
