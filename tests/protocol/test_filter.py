"""Tests of protocol.filter: what the lists mean, alone and together, and when two filters mean the same."""

import attrs
import pytest

from protocol.filter import EVERYTHING, Filter, address_of, between
from protocol.sections import RemoteEntry
from protocol.session import LoginId, Record, State, partial_login
from tests.protocol.build import login

COOKIE = "cookie:0123456789abcdef0123456789abcdef"


def to_lan2(**lists: tuple[str, ...]) -> Filter:
    """The filter of one entry."""
    return between([RemoteEntry(site="lan2", **lists)], ("lan1", "lan2"))


def passing(filter: Filter, *users: str) -> list[str]:
    return [user for user in users if filter.passes(login(user=user))]


def test_without_a_list_everything_passes() -> None:
    """No entry, an entry without lists, or one about other sites: there is no filter, and it means nothing."""
    elsewhere = between([RemoteEntry(site="lan3", users=("!*",))], ("lan1", "lan2"))
    for none in (between([], ("lan1", "lan2")), to_lan2(), elsewhere):
        assert none == EVERYTHING and not none and none.meaning == b""
        assert none.passes(login())


def test_excluding_items_exclude_and_including_ones_allow_nothing_else() -> None:
    """What is excluded never passes, included or not; with no including item all else does."""
    everyone = ("alice", "guest-1", "bob", "bert")
    assert passing(to_lan2(users=("!guest-*",)), *everyone) == ["alice", "bob", "bert"]
    assert passing(to_lan2(users=("b*", "guest-*")), *everyone) == ["guest-1", "bob", "bert"]
    assert passing(to_lan2(users=("b*", "!bert")), *everyone) == ["bob"]
    assert passing(to_lan2(users=("ALICE",)), *everyone) == []


@pytest.mark.parametrize(
    ("groups", "passes"),
    [
        ((), [True, False, False]),
        ((("groups", "staff"),), [True, True, False]),
        ((("groups", ("staff", "visitors")),), [False, True, False]),
        ((("groups", ("staff-admins",)), ("mail", "a@b")), [True, False, True]),
    ],
)
def test_groups_are_those_of_the_attribute(groups: tuple[object, ...], passes: list[bool]) -> None:
    """One text or several; one excluded group keeps a session at home; without groups it is in none."""
    filters = [to_lan2(groups=("!visitors",)), to_lan2(groups=("staff",)), to_lan2(groups=("*-admins", "!v*"))]
    assert [each.passes(login(attributes=groups)) for each in filters] == passes  # type: ignore[arg-type]


def test_networks_are_about_the_address_in_a_key() -> None:
    """Alone, beside a cookie, or marked with its site; a key without an address lies in no network."""
    inside, outside = to_lan2(networks=("10.1.0.0/16", "2001:db8::/32")), to_lan2(networks=("!10.1.0.0/16",))
    for key in ("10.1.2.3", f"10.1.2.3+{COOKIE}", "10.1.2.3@lan1"):
        assert inside.passes(login(key)) and not outside.passes(login(key))
    assert inside.passes(login("2001:db8::7")) and not inside.passes(login("10.2.0.1"))
    for key in (COOKIE, "machine-7"):
        assert not inside.passes(login(key)) and outside.passes(login(key))
    assert address_of(COOKIE) is None


def test_every_list_and_every_entry_must_let_a_session_pass() -> None:
    """The filter of a pair is what the entries of both sites say, whichever of them is one's own."""
    entries = [
        RemoteEntry(site="lan1", users=("!guest-*",), networks=("10.0.0.0/8",)),
        RemoteEntry(site="lan2", users=("!temp-*",)),
        RemoteEntry(site="lan3", users=("nobody",)),
    ]
    pair = between(entries, ("lan1", "lan2"))
    assert pair == between(reversed(entries), ("lan2", "lan1"))
    assert passing(pair, "alice", "guest-1", "temp-1") == ["alice"]
    assert not pair.passes(login("192.168.0.1"))


def test_equal_meanings_are_equal_hashes() -> None:
    """Order, repetition and ways of writing a network change nothing; anything else does. It is the same for ever."""
    one = to_lan2(users=("a", "!b"), networks=("10.1.0.0/16", "::ffff:10.9.9.9"))
    same = to_lan2(users=("!b", "a", "a"), networks=("10.9.9.9/32", "10.1.2.3/16"))
    assert one.meaning == same.meaning and one == same and len(one.meaning) == 8
    others = [to_lan2(users=("a", "b")), to_lan2(groups=("a", "!b")), to_lan2(users=("a",)), to_lan2(users=("!a",))]
    assert len({each.meaning for each in (one, *others)}) == 5
    assert to_lan2(users=("!guest-*",)).meaning.hex() == "f4ea1a410f21d9f1"


def test_patterns_are_written_as_names_are_kept() -> None:
    """With user_names = "lower" a pattern in capitals means the names as they are kept."""
    entry = RemoteEntry(site="lan2", users=("!Guest-*",))
    assert passing(between([entry], ("lan1", "lan2"), lower=True), "guest-1", "alice") == ["alice"]
    assert passing(between([entry], ("lan1", "lan2")), "guest-1", "alice") == ["guest-1", "alice"]


def test_records_are_shown_whole_as_bare_ends_or_not_at_all() -> None:
    """What passes as it is; what does not only once it has ended, without time, site and attributes."""
    no_guests = to_lan2(users=("!guest",))
    guest, alice = login(user="guest", attributes=(("groups", "g"),)), login()
    alive = Record(LoginId("p", 1, 0), guest, guest.login_at, State.ALIVE)
    ended = attrs.evolve(alive, state=State.LOGGED_OUT)
    assert no_guests.shown(attrs.evolve(alive, login=alice)) == attrs.evolve(alive, login=alice)
    assert no_guests.shown(alive) is None
    bare = partial_login(guest.key, guest.user, guest.expires_at)
    assert no_guests.shown(ended) == attrs.evolve(ended, login=bare)
    assert no_guests.shown(attrs.evolve(ended, login=bare)) == attrs.evolve(ended, login=bare)
