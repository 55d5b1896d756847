"""The addresses of this machine."""

import ipaddress
import socket

import pytest

from protocol.io import machine

FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.1.0.0/24 2 0 2
        |-- 10.1.0.0
           /24 link UNICAST
        |-- 10.1.0.11
           /32 host LOCAL
        |-- 10.1.0.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
           /24 link UNICAST
        |-- 127.0.0.1
           /32 host LOCAL
Local:
     |-- 10.1.0.11
        /32 host LOCAL
"""

IF_INET6 = """fd000000000000000000000000000002 06 40 00 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""


def test_own_ipv4_addresses_are_the_local_routes() -> None:
    """Only what is LOCAL is ours: neither the network's routes nor broadcast."""
    networks = {ipaddress.ip_network(each) for each in ("10.1.0.11/32", "127.0.0.0/8", "127.0.0.1/32")}
    assert set(machine.networks_in_fib_trie(FIB_TRIE)) == networks
    assert machine.networks_in_fib_trie("") == ()


def test_own_ipv6_addresses() -> None:
    """One address a line."""
    found = {str(each) for each in machine.networks_in_if_inet6(IF_INET6)}
    assert found == {"fd00::2/128", "::1/128"}


def test_this_machine_has_loopback_and_not_a_documentation_address() -> None:
    """The real system is read: what can be bound is ours, what is set aside for documents is not."""
    assert machine.own_networks()
    assert machine.is_own_host("127.0.0.1") and machine.is_own_host("localhost")
    assert not machine.is_own_host("203.0.113.77") and not machine.is_own_host("203.0.113.0/24")


def test_without_proc_the_host_name_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no list, the addresses of its name are taken."""
    monkeypatch.setattr(machine, "_proc", lambda name: "")
    monkeypatch.setattr(machine, "resolve", lambda host: ("198.51.100.7",) if host == socket.gethostname() else ())
    assert [str(each) for each in machine.own_networks()] == ["198.51.100.7/32"]


def test_an_unknown_name_has_no_addresses() -> None:
    """resolve() answers nothing rather than raise, odd names included."""
    assert machine.resolve("nobody.invalid") == ()
    assert machine.resolve("a" * 300) == ()
