"""Keys of clients, and whose word about an address is believed."""

import pytest

from protocol.configuration import ClientSettings
from protocol.key import key
from proxyagent.integrations.client_key import ClientKeys

TRUSTED = ("127.0.0.1", "10.0.0.0/24")


@pytest.mark.parametrize(
    ("kind", "address", "cookie", "made"),
    [
        ("address", "10.3.4.5", None, "10.3.4.5"),
        ("address", "::ffff:10.3.4.5", "x", "10.3.4.5"),
        ("address", "no address", "x", None),
        ("address", None, "x", None),
        ("cookie", None, "x", key(cookie="x")),
        ("cookie", "10.3.4.5", "", None),
        ("both", "10.3.4.5", "x", key(address="10.3.4.5", cookie="x")),
        ("both", "10.3.4.5", None, None),
    ],
)
def test_a_key_is_made_of_what_the_file_says_or_not_at_all(
    kind: str, address: str | None, cookie: str | None, made: str | None
) -> None:
    """A part that is missing or wrong gives no key, rather than the key of somebody else."""
    assert ClientKeys(ClientSettings(key=kind)).key(address, cookie) == made


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.3.4.5", [], "10.3.4.5"),
        ("10.3.4.5", ["6.6.6.6"], "10.3.4.5"),
        ("127.0.0.1", ["10.3.4.5"], "10.3.4.5"),
        ("127.0.0.1", ["6.6.6.6", "10.3.4.5"], "10.3.4.5"),
        ("127.0.0.1", ["6.6.6.6", " 10.3.4.5", "10.0.0.7"], "10.3.4.5"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6", ""], "-"),
        ("127.0.0.1", ["6.6.6.6", " ", "10.0.0.7"], "-"),
        ("", ["10.3.4.5"], "10.3.4.5"),
    ],
)
def test_only_trusted_proxies_say_for_whom_they_ask(peer: str, forwarded: list[str], client: str) -> None:
    """What stands left of the first address that is not a trusted proxy's may be forged, and does not count."""
    assert ClientKeys(ClientSettings(trusted_proxies=TRUSTED)).address(peer, forwarded) == client


@pytest.mark.parametrize("kind", ["address", "cookie", "both"])
@pytest.mark.parametrize(
    "made", [("10.3.4.5", None), ("2001:db8::1", None), (None, "x"), ("10.3.4.5", "x"), ("2001:db8::1", "x")]
)
def test_keys_of_one_kind_are_told_from_others(kind: str, made: tuple[str | None, str | None]) -> None:
    """A map of addresses takes addresses and nothing else, one of cookies their hashes."""
    address, cookie = made
    found = "both" if address and cookie else "cookie" if cookie else "address"
    assert ClientKeys(ClientSettings(key=kind)).fits(key(address=address, cookie=cookie)) == (kind == found)


def test_keys_of_a_host_s_own_making_are_of_no_kind() -> None:
    """Whatever another program logs in under is not pushed into a map of addresses or cookies."""
    for kind in ("address", "cookie", "both"):
        for each in ("alice", "a+b", "+", "10.3.4.5+x", "x+cookie:" + "0" * 32):
            assert not ClientKeys(ClientSettings(key=kind)).fits(each)
