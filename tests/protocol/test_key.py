"""Keys in canonical form."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.key import canonical, check, key

COOKIE = "cookie:" + "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.3.4.5", "10.3.4.5"),
        ("::ffff:10.3.4.5", "10.3.4.5"),
        ("::FFFF:a03:405", "10.3.4.5"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        (COOKIE.upper().replace("COOKIE", "cookie"), COOKIE),
        (f"::ffff:10.3.4.5+{COOKIE}", f"10.3.4.5+{COOKIE}"),
        (f"{COOKIE}+FE80::1%2", f"fe80::1+{COOKIE}"),
        ("host-made key of its own", "host-made key of its own"),
        ("a+b", "a+b"),
        ("10.0.0.1+10.0.0.2", "10.0.0.1+10.0.0.2"),
        (f"{COOKIE}+{COOKIE}", f"{COOKIE}+{COOKIE}"),
        ("cookie:0123", "cookie:0123"),
    ],
)
def test_keys_have_one_form(written: str, expected: str) -> None:
    """However an address or a cookie key is written, it comes out the same; other keys stay as they are."""
    assert canonical(written) == expected
    assert canonical(expected) == expected


def test_a_key_is_made_of_an_address_a_cookie_or_both() -> None:
    """key() makes what canonical() leaves alone, and only a hash of the cookie."""
    digest = sha256(b"value").hexdigest()[:32]
    assert key(address="::ffff:10.0.0.1") == "10.0.0.1"
    assert key(cookie="value") == key(cookie=b"value") == f"cookie:{digest}"
    assert key("10.0.0.1", "value") == f"10.0.0.1+cookie:{digest}" == canonical(key("10.0.0.1", "value"))


@pytest.mark.parametrize("arguments", [{}, {"address": "10.0.0.1:80"}, {"address": ""}, {"cookie": ""}])
def test_what_makes_no_key_is_refused(arguments: dict[str, str]) -> None:
    """Nothing, a port, or an empty part makes no key."""
    with pytest.raises(ValueError, match=r"key|address|cookie"):
        key(**arguments)


@pytest.mark.parametrize(
    "text", ["", " ", "a\0b", "a\nb", "a\x7fb", " a", "a ", "\u2028", "\ud800", "ä" * 129, "x" * 257]
)
def test_what_no_key_may_hold_is_refused_without_being_quoted(text: str) -> None:
    """Control characters, outer blanks and long keys are refused; the error does not repeat the key."""
    with pytest.raises(ValueError) as refused:
        canonical(text)
    assert str(refused.value).startswith("key: ")
    assert len(text) < 3 or text not in str(refused.value)


@given(st.ip_addresses(), st.none() | st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_made_keys_are_canonical_and_within_bounds(address: object, cookie: str | None) -> None:
    """Whatever address and cookie come, the key is a fixed point and fits."""
    made = key(str(address), cookie)
    assert canonical(made) == made
    assert len(made) <= 85 <= limits.KEY_BYTES_MAX


@given(st.text(max_size=300))
def test_canonical_is_a_fixed_point_or_refuses(text: str) -> None:
    """Canonical keys stay canonical, and may always be used."""
    try:
        made = canonical(text)
    except ValueError:
        return
    assert canonical(made) == made
    check(made)
