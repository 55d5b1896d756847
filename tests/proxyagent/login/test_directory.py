"""The directory as a back end, before a real slapd: who is let in, under which name, and what nobody gets by."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from protocol.configuration import LdapSettings
from proxyagent.login.directory import Directory
from proxyagent.login.identity import BackendUnusable, Identity, Unavailable
from tests.proxyagent.login.slapd import PEOPLE, READER, READER_PASSWORD, Slapd, running_slapd

pytestmark = [pytest.mark.system, pytest.mark.slow]

WITHIN_S = 20.0
BASE = "ou=people,dc=example,dc=org"
GROUPS = "ou=groups,dc=example,dc=org"


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """One directory for all tests of the file."""
    with running_slapd(tmp_path_factory.mktemp("slapd")) as made:
        yield made


def directory(slapd: Slapd, *, authority: str = "", password: str = READER_PASSWORD, **more: Any) -> Directory:
    """The back end before it; on loopback, so without TLS unless a test asks for it."""
    given = {"urls": (slapd.url,), "base": BASE, "bind_dn": READER, "timeout_s": WITHIN_S, **more}
    return Directory(LdapSettings(**given), authority, password)


async def test_a_right_password_gives_the_name_as_the_directory_spells_it(slapd: Slapd) -> None:
    """However it was written; a wrong password and an unknown user are both no."""
    found = directory(slapd)
    assert await found.check("alice", PEOPLE["Alice"], "10.0.0.1") == Identity("Alice")
    assert await found.check("ALICE", PEOPLE["Alice"], "10.0.0.1") == Identity("Alice")
    assert await found.check("alice", "wonderlan", "10.0.0.1") is None
    assert await found.check("nobody", "wonderland", "10.0.0.1") is None


@pytest.mark.parametrize("password", ["", "\0", " "])
async def test_no_password_is_no_password(slapd: Slapd, password: str) -> None:
    """slapd would take a bind without a password for an anonymous one, and say yes."""
    assert await directory(slapd).check("alice", password, "10.0.0.1") is None


@pytest.mark.parametrize(
    "user", ["*", "ali*", "alice)(uid=*", "*)(objectClass=*", "alice)(|(uid=*", "\0", "(", "\\2a", "", "a" * 100_000]
)
async def test_a_name_is_a_name_whatever_is_in_it(slapd: Slapd, user: str) -> None:
    """None of these finds anybody (LDAP injection)."""
    assert await directory(slapd).check(user, PEOPLE["Alice"], "10.0.0.1") is None


async def test_a_name_with_signs_of_filters_is_found(slapd: Slapd) -> None:
    """It is compared as it is: a user may be called `star*`."""
    assert await directory(slapd).check("star*", PEOPLE["star*"], "10.0.0.1") == Identity("star*")


async def test_groups_come_by_entry_or_by_name(slapd: Slapd) -> None:
    """groupOfNames by the user's entry, posixGroup by the user's name; who is in none has no attribute."""
    by_entry = directory(slapd, group_base=GROUPS)
    assert await by_entry.check("alice", PEOPLE["Alice"], "") == Identity("Alice", {"groups": ("staff", "web (all)")})
    assert await by_entry.check("star*", PEOPLE["star*"], "") == Identity("star*")
    by_name = directory(slapd, group_base=GROUPS, member_attribute="memberUid")
    assert await by_name.check("alice", PEOPLE["Alice"], "") == Identity("Alice", {"groups": ("printers",)})


async def test_a_filter_says_who_may_log_in(slapd: Slapd) -> None:
    """Others are no, as if they were not there; a filter that is none is a mistake of the operator."""
    only_bob = directory(slapd, user_filter="(|(cn=bob)(cn=nobody))")
    assert await only_bob.check("bob", PEOPLE["bob"], "") == Identity("bob")
    assert await only_bob.check("alice", PEOPLE["Alice"], "") is None
    with pytest.raises(BackendUnusable, match="user_filter"):
        directory(slapd, user_filter="(cn=bob")


@pytest.mark.parametrize("kind", ["ldaps", "start_tls"])
async def test_certificates_are_checked(slapd: Slapd, kind: str) -> None:
    """With the right authority it works; without, nothing is asked, and the log learns why."""
    more = {"urls": (slapd.tls_url,)} if kind == "ldaps" else {"start_tls": "always"}
    trusting = directory(slapd, authority=slapd.authority, **more)
    assert await trusting.check("bob", PEOPLE["bob"], "") == Identity("bob")
    with pytest.raises(Unavailable, match="TLS: self-signed certificate"):
        await directory(slapd, **more).check("bob", PEOPLE["bob"], "")


async def test_a_certificate_of_another_name_is_refused(slapd: Slapd) -> None:
    """It names 127.0.0.1, not localhost."""
    wrong = directory(slapd, authority=slapd.authority, urls=(f"ldaps://localhost:{slapd.tls_port}",))
    with pytest.raises(Unavailable, match="TLS: Hostname mismatch"):
        await wrong.check("bob", PEOPLE["bob"], "")


async def test_a_wrong_reader_is_told(slapd: Slapd) -> None:
    """Nobody can be checked then; the log says which setting it is, and no password."""
    with pytest.raises(Unavailable, match=r"\[ldap\] bind_dn is not right") as caught:
        await directory(slapd, password="no").check("bob", PEOPLE["bob"], "")
    assert PEOPLE["bob"] not in str(caught.value)


async def test_who_may_not_search_is_told(slapd: Slapd) -> None:
    """Anonymously this directory shows nothing: the log says so, instead of a no for everybody."""
    with pytest.raises(Unavailable, match="answers a search with insufficient_access_rights"):
        await directory(slapd, bind_dn="", password="").check("bob", PEOPLE["bob"], "")


async def test_a_server_that_is_down_is_passed_over(slapd: Slapd) -> None:
    """The next one is asked; with none left passwords cannot be checked, and it says whom it asked."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"ldap://127.0.0.1:{probe.getsockname()[1]}"
        assert await directory(slapd, urls=(nowhere, slapd.url)).check("bob", PEOPLE["bob"], "") == Identity("bob")
        with pytest.raises(Unavailable, match=nowhere.removeprefix("ldap://")):
            await directory(slapd, urls=(nowhere,)).check("bob", PEOPLE["bob"], "")


async def test_a_server_that_does_not_answer_has_its_share_of_the_time(slapd: Slapd) -> None:
    """It takes half of it, the other server answers in the rest; alone it ends with the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        silent = f"ldap://127.0.0.1:{deaf.getsockname()[1]}"
        both = directory(slapd, urls=(silent, slapd.url), timeout_s=4.0)
        assert await both.check("bob", PEOPLE["bob"], "") == Identity("bob")
        began = trio.current_time()
        with pytest.raises(Unavailable, match="no answer in time"):
            await directory(slapd, urls=(silent,), timeout_s=0.3).check("bob", PEOPLE["bob"], "")
        assert trio.current_time() - began < WITHIN_S


async def test_a_server_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    """Nothing is kept between two checks."""
    with running_slapd(tmp_path) as slapd:
        found = directory(slapd)
        slapd.end()
        with pytest.raises(Unavailable):
            await found.check("bob", PEOPLE["bob"], "")
        slapd.start()
        assert await found.check("bob", PEOPLE["bob"], "") == Identity("bob")
