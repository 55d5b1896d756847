"""Failover cookies of a ProxyAgent: sealed, renewed, honoured, refused in one way, and told in the log."""

from collections.abc import Callable
from typing import Any

import pytest
import trio

from protocol.io.log import Severity
from proxyagent import cookie
from proxyagent.core.claims import SESSION_CLAIM
from proxyagent.dialling import Site
from proxyagent.errors import Closed
from proxyagent.failover_cookies import LINES_PER_SECOND_MAX
from proxyagent.notices import SessionOpened
from proxyagent.testing import FakeProxyAgent, fake_settings, open_fake_site

KEY = "10.3.4.5"


def pair() -> tuple[FakeProxyAgent, FakeProxyAgent]:
    """Two proxies that share nothing but the key of cookies."""
    return FakeProxyAgent("proxy1"), FakeProxyAgent("proxy2")


class Lines(list[tuple[Severity, str, dict[str, Any]]]):
    """What an agent has logged."""

    def of(self, agent: FakeProxyAgent) -> "Lines":
        agent._cookies._write = lambda severity, event, values: self.append((severity, event, dict(values)))
        return self

    def reasons(self, event: str) -> list[Any]:
        return [values.get("reason") for _, told, values in self if told == event]


def test_a_session_goes_on_at_a_proxy_that_knows_nothing() -> None:
    """The same login, with its user, attributes, idle timeout and remaining lifetime."""
    first, second = pair()
    session = first.login(KEY, "alice", {"groups": ["a", "b"], "mail": "x"}, idle_timeout=600, lifetime=7_000)
    token = first.seal_cookie(session)
    second.advance(100)
    found = second.honour_cookie(token, KEY)
    assert found == session and found is second.lookup(KEY)
    assert found.user == "alice" and found.attributes == {"groups": ("a", "b"), "mail": "x"}
    assert found.site == "site" and found.proxy == "proxy1" and found.idle_timeout_s == 600
    assert second.lifetime_left_s(found) == 6_900


def test_the_cookie_is_idle_aware() -> None:
    """Idle where it is presented, by its own deadline; renewed after activity it is not."""
    first, second = pair()
    session = first.login(KEY, "alice", idle_timeout=600)
    old = first.seal_cookie(session)
    for agent in (first, second):
        agent.advance(500)
    assert first.lookup(KEY) is not None
    new = first.renew_cookie(session, old)
    assert new is not None
    for agent in (first, second):
        agent.advance(100)
    assert second.honour_cookie(old, KEY) is None
    assert second.honour_cookie(new, KEY) == session
    assert second.idle_left_s(session) == 600


def test_the_cookie_is_over_with_its_session() -> None:
    """At its expiry it is refused, whatever happens; `exp` in the header says the same to any reader."""
    first, second = pair()
    session = first.login(KEY, "alice", lifetime=100)
    token = first.seal_cookie(session)
    ring = first.shell.ring
    assert ring is not None
    said = ring.open(token, now_s=0)
    assert said is not None and said.expires_at_s == session.expires_at_ms // 1000
    assert said.claims[SESSION_CLAIM]["expires_at_ms"] == session.expires_at_ms
    second.advance(100)
    assert second.honour_cookie(token, KEY) is None
    first.advance(100)
    assert first.seal_cookie(session) is None


def test_a_cookie_is_renewed_once_an_interval() -> None:
    """None while the one that is held will do; a new one when there is none, another's, or an old one."""
    agent = FakeProxyAgent()
    session = agent.login(KEY, "alice", idle_timeout=1_800)
    token = agent.renew_cookie(session, None)
    assert token is not None and agent.renew_cookie(session, token) is None
    agent.advance(89)
    agent.lookup(KEY)
    assert agent.renew_cookie(session, token) is None
    agent.advance(2)
    assert agent.renew_cookie(session, token) is None  # no activity since
    agent.lookup(KEY)
    assert agent.renew_cookie(session, token) is not None
    for held in ("", "junk", agent.seal_cookie(agent.login("10.0.0.9", "bob"))):
        assert agent.renew_cookie(session, held) is not None


def test_a_logout_that_is_known_refuses_the_cookie() -> None:
    """By key, by user, by the next login; where it is known, and not where it is not."""
    ends: list[Callable[[FakeProxyAgent], Any]] = [
        lambda agent: agent.logout(KEY),
        lambda agent: agent.logout(user="alice"),
        lambda agent: agent.login(KEY, "bob"),
    ]
    for end in ends:
        first, second = pair()
        token = first.seal_cookie(first.login(KEY, "alice"))
        end(first)
        assert first.honour_cookie(token, KEY) is None
        assert second.honour_cookie(token, KEY) is not None


def test_every_refusal_is_none_and_told_in_the_log() -> None:
    """Rubbish, no session in it, another key: the caller cannot tell them apart, the operator can."""
    first, second = pair()
    lines = Lines().of(second)
    session = first.login(KEY, "alice")
    token = first.seal_cookie(session)
    ring = first.shell.ring
    assert token is not None and ring is not None
    bare = ring.seal("alice", {}, expires_at_s=2_000_000_000)
    wrong = ring.seal("alice", {SESSION_CLAIM: {}}, expires_at_s=2_000_000_000)
    for bad in ("junk", token[:-1], bare, wrong):
        assert second.honour_cookie(bad, KEY) is None
    assert second.honour_cookie(token, "10.3.4.6") is None
    assert lines.reasons("cookie.refused") == [
        *["it is over, not under these keys, or carries no session"] * 4,
        "it was presented under another key",
    ]
    assert token not in str(lines)


def test_nothing_presented_is_nothing_said() -> None:
    """Most requests bring no cookie."""
    agent = FakeProxyAgent()
    lines = Lines().of(agent)
    assert agent.honour_cookie(None, KEY) is None and agent.honour_cookie("", KEY) is None
    assert lines == []


def test_a_flood_of_bad_cookies_does_not_fill_the_log() -> None:
    """Ten lines a second, then a count."""
    agent = FakeProxyAgent()
    lines = Lines().of(agent)
    for _ in range(1_000):
        agent.honour_cookie("junk", KEY)
    assert len(lines) == LINES_PER_SECOND_MAX
    agent.advance(2)
    agent.honour_cookie("junk", KEY)
    assert lines[LINES_PER_SECOND_MAX] == (Severity.INFO, "log.suppressed", {"count": 1_000 - LINES_PER_SECOND_MAX})


def test_what_would_be_too_long_is_not_sealed_and_told() -> None:
    """Above 4,000 bytes; a session of ordinary size with many groups is compressed and far below."""
    agent = FakeProxyAgent()
    lines = Lines().of(agent)
    noise = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(1_300))
    assert agent.seal_cookie(agent.login(KEY, "alice", {"noise": noise})) is None
    assert lines[0][:2] == (Severity.WARNING, "cookie.not_sealed")
    assert lines[0][2]["user"] == "alice" and "4000 are allowed" in lines[0][2]["reason"]
    groups = [f"cn=group-{n},ou=groups,dc=example" for n in range(60)]
    token = agent.seal_cookie(agent.login(KEY, "alice", {"groups": groups}))
    assert token is not None and len(token) < 1_000


def test_an_attribute_with_the_name_of_our_claim_is_told() -> None:
    """Such a session has no cookie, and goes on without."""
    agent = FakeProxyAgent()
    lines = Lines().of(agent)
    for name in (SESSION_CLAIM, cookie.USER_CLAIM):
        assert agent.seal_cookie(agent.login(KEY, "alice", {name: "x"})) is None
    assert len(lines.reasons("cookie.not_sealed")) == 2


def test_without_keys_there_are_no_cookies() -> None:
    """A host program need not ask whether they are switched on; a closed agent says that it is closed."""
    agent = FakeProxyAgent()
    token = agent.seal_cookie(agent.login(KEY, "alice"))
    agent.shell.reconfigure(Site(fake_settings("proxy1", {}), agent._dial, ("nowhere:1", "nowhere:2")))
    session = agent.lookup(KEY)
    assert session is not None
    assert agent.seal_cookie(session) is None and agent.renew_cookie(session, None) is None
    assert agent.honour_cookie(token, KEY) is None
    agent.shell.close(Closed("left"))
    for call in (lambda: agent.seal_cookie(session), lambda: agent.honour_cookie(token, KEY)):
        with pytest.raises(Closed):
            call()


def test_a_doubtful_key_is_told_at_the_start() -> None:
    """Its warnings are for the operator."""
    told: list[Any] = []
    agent = FakeProxyAgent()
    ring = cookie.KeyRing((bytes(64),), ("cookie.key: it has 24 bytes",))
    site = Site(fake_settings("proxy1", {}), agent._dial, ("nowhere:1", "nowhere:2"), ring)
    type(agent).__mro__[1](site, write=lambda *line: told.append(line))  # type: ignore[call-arg]
    assert told == [(Severity.WARNING, "cookie.key_doubtful", {"reason": "cookie.key: it has 24 bytes"})]


async def test_honoured_while_isolated_it_is_known_everywhere_when_an_agent_answers(autojump_clock: Any) -> None:
    """The other proxy sees the same login; nobody sees it twice; and a logout there ends it here."""
    elsewhere = FakeProxyAgent("old")
    session = elsewhere.login(KEY, "alice", {"groups": ["a"]})
    token = elsewhere.seal_cookie(session)
    async with open_fake_site(proxies=2) as site:
        first, second = site.proxies
        site.cut()
        await trio.sleep(3)
        assert first.isolated
        notices = first.notices()
        assert first.honour_cookie(token, KEY) == session
        assert await notices.__anext__() == SessionOpened(session)
        assert second.lookup(KEY) is None
        site.heal()
        await first.wait_acknowledged(session, timeout=10)
        with trio.fail_after(20):
            await site.wait_equal()
        found = second.lookup(KEY)
        assert found == session and found.attributes == session.attributes
        assert site.master.table.records == 1
        await second.wait_acknowledged(second.logout(KEY))
        with trio.fail_after(20):
            await site.wait_equal()
        assert first.lookup(KEY) is None and first.honour_cookie(token, KEY) is None


async def test_a_tombstone_at_the_master_refuses_it_as_soon_as_it_answers(autojump_clock: Any) -> None:
    """Honoured where nobody knew better, over when one does, and refused from then on; so for a barrier."""
    for by in ("key", "user"):
        elsewhere = FakeProxyAgent("old")
        token = elsewhere.seal_cookie(elsewhere.login(KEY, "alice"))
        async with open_fake_site(proxies=2) as site:
            first, second = site.proxies
            site.cut(0)
            second.honour_cookie(token, KEY)
            await second.wait_acknowledged(second.logout(KEY) if by == "key" else second.logout(user="alice"))
            assert first.honour_cookie(token, KEY) is not None
            site.heal()
            with trio.fail_after(20):
                await site.wait_equal()
            assert first.lookup(KEY) is None and first.honour_cookie(token, KEY) is None
