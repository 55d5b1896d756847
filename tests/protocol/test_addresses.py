"""Hosts, networks and listening addresses."""

import ipaddress

import pytest

from protocol import addresses

OWN = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.1.0.11/32"), ipaddress.ip_network("fd00::5/128"))


def test_mapped_and_zoned_addresses_are_the_plain_ones() -> None:
    """IPv4 inside IPv6 is IPv4, and a zone is dropped."""
    assert addresses.address("::ffff:10.0.0.1") == ipaddress.ip_address("10.0.0.1")
    assert addresses.address("fe80::1%eth0") == ipaddress.ip_address("fe80::1")
    assert addresses.address("agent.example") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST."])
def test_loopback(host: str) -> None:
    """Every spelling of this machine counts as loopback."""
    assert addresses.is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "::", "localhost.example", "", "127.0.0.1.example"])
def test_not_loopback(host: str) -> None:
    """Neither every address nor a name that looks like loopback is loopback."""
    assert not addresses.is_loopback(host)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.0.11:9023", ("10.1.0.11", 9023)),
        ("[::]:9023", ("::", 9023)),
        (":9023", ("0.0.0.0", 9023)),
        ("agent-1.example:1", ("agent-1.example", 1)),
    ],
)
def test_listening_addresses_are_split(text: str, expected: tuple[str, int]) -> None:
    """Host and port come apart, IPv6 by its brackets."""
    assert addresses.split(text) == expected
    assert addresses.split(addresses.join(*expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "9023", "a:", "a:0", "a:65536", "::1:9023", "a b:9023", "a:90x", "a:-1", "1.2.3:9"]
)
def test_wrong_listening_addresses_say_what_is_right(text: str) -> None:
    """The error shows the form."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        addresses.split(text)


@pytest.mark.parametrize(
    ("host", "peer", "resolved", "fits"),
    [
        ("", "198.51.100.7", (), True),
        ("10.1.0.21", "10.1.0.21", (), True),
        ("10.1.0.21", "::ffff:10.1.0.21", (), True),
        ("10.1.0.21", "10.1.0.22", (), False),
        ("10.1.0.0/24", "10.1.0.250", (), True),
        ("10.1.0.0/24", "10.1.1.1", (), False),
        ("10.1.0.0/24", "fd00::1", (), False),
        ("proxy.example", "10.1.0.21", ("10.1.0.20", "10.1.0.21"), True),
        ("proxy.example", "10.1.0.21", (), False),
        ("10.1.0.21", "not an address", (), False),
    ],
)
def test_a_peer_fits_the_host_of_its_entry(host: str, peer: str, resolved: tuple[str, ...], fits: bool) -> None:
    """Address, network and name are compared by address; an unresolved name lets nobody in."""
    assert addresses.comes_from(host, peer, resolved) is fits


@pytest.mark.parametrize(
    ("host", "resolved", "own"),
    [
        ("10.1.0.11", (), True),
        ("10.1.0.12", (), False),
        ("10.1.0.0/24", (), True),
        ("10.2.0.0/24", (), False),
        ("fd00::5", (), True),
        ("127.0.0.3", (), True),
        ("here.example", ("10.1.0.11",), True),
        ("there.example", ("10.1.0.12",), False),
        ("nowhere.example", (), False),
    ],
)
def test_own_hosts(host: str, resolved: tuple[str, ...], own: bool) -> None:
    """A host is this machine's when it shares an address with it."""
    assert addresses.is_own(host, OWN, resolved) is own


def test_names() -> None:
    """A name has letters; digits and dots alone are an address gone wrong."""
    assert addresses.is_name("a.b-c.example")
    assert not addresses.is_name("10.1.0")
    assert not addresses.is_name("a_b..c")
    assert not addresses.is_name("a" * 64)
    assert not addresses.is_name("")
