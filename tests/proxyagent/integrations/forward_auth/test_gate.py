"""Who is let in, by what a front asks."""

import pytest

from protocol.configuration import ClientSettings
from protocol.key import key
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.forward_auth.gate import Gate
from proxyagent.testing import FakeProxyAgent
from tests.proxyagent.integrations.forward_auth.asked import COOKIE, one, request

ADDRESS = "10.3.4.5"
FRONT = "127.0.0.1"
BROWSER = {"accept": "text/html", "x_forwarded_proto": "https", "x_forwarded_host": "a.test", "x_forwarded_uri": "/x"}


@pytest.fixture
def agent() -> FakeProxyAgent:
    """One that knows a user by address, and one by a cookie."""
    agent = FakeProxyAgent()
    agent.login(ADDRESS, user="alice", attributes={"groups": ["staff", "dev"]})
    agent.login(key(cookie=COOKIE), user="bob")
    return agent


def gate(agent: FakeProxyAgent, kind: str = "address", **more: bool) -> Gate:
    """With clients known by `kind`, a log-in page at /login, and one trusted front."""
    settings = ClientSettings(key=kind, cookie="sid", trusted_proxies=("127.0.0.1", "10.0.0.0/24"))
    return Gate(agent, ClientKeys(settings), "/login", **more)


def test_who_is_known_passes_by_name_and_groups(agent: FakeProxyAgent) -> None:
    """By address and by cookie, over TCP and a Unix socket, with any method, and what it forges changes nothing."""
    forged = {"remote_user": "mallory", "remote_groups": "root", "authorization": "Basic bWFsbG9yeTp4"}
    for peer in (FRONT, ""):
        asked = request("/auth/x", "DELETE", x_forwarded_for=f"6.6.6.6, {ADDRESS}", **forged)
        status, headers = one(gate(agent).reply(peer, asked))
        assert (status, headers["remote-user"], headers["remote-groups"]) == (200, "alice", "staff,dev")
        status, headers = one(gate(agent, "cookie").reply(peer, request("/auth401", cookie=f"a=b; sid={COOKIE}")))
        assert (status, headers["remote-user"]) == (200, "bob")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_forwarded_for": ""},
        {"x_forwarded_for": "10.3.4.6"},
        {"x_forwarded_for": f"{ADDRESS}, 10.3.4.6"},
        {"x_forwarded_for": f"{ADDRESS}, "},
        {"x_forwarded_for": f"{ADDRESS}:80"},
        {"x_forwarded_for": "x" * 10_000},
        {"x_forwarded_for": "," * 10_000},
        {"x_forwarded_for": b"\xff\xfe"},
        {"x_real_ip": ADDRESS, "forwarded": f"for={ADDRESS}"},
    ],
)
def test_whoever_is_not_known_is_nobody(agent: FakeProxyAgent, headers: dict[str, str]) -> None:
    """Without an address, with one that is none, and with a forged one in front of the real one."""
    agent.login(FRONT, user="carol")
    assert one(gate(agent).reply(FRONT, request(**headers)))[0] == 401


@pytest.mark.parametrize("cookie", ["", "sid=", "sid=x", "sid", f"other={COOKIE}", "sid=" + "x" * 60_000])
def test_a_cookie_that_is_not_known_lets_nobody_in(agent: FakeProxyAgent, cookie: str) -> None:
    """However absurd it is."""
    assert one(gate(agent, "cookie").reply("", request(cookie=cookie, x_forwarded_for=ADDRESS)))[0] == 401


def test_with_both_the_cookie_counts_from_its_address_only(agent: FakeProxyAgent) -> None:
    """Neither half is enough."""
    agent.login(key(address=ADDRESS, cookie=COOKIE), user="dora")
    ask = gate(agent, "both")
    assert one(ask.reply("", request(x_forwarded_for=ADDRESS, cookie=f"sid={COOKIE}")))[1]["remote-user"] == "dora"
    assert one(ask.reply("", request(x_forwarded_for="10.3.4.6", cookie=f"sid={COOKIE}")))[0] == 401
    assert one(ask.reply("", request(x_forwarded_for=ADDRESS)))[0] == 401


@pytest.mark.parametrize(
    ("target", "headers", "status", "location"),
    [
        ("/auth401", BROWSER, 401, "https://a.test/login?url=%2Fx"),
        ("/auth401", {}, 401, "/login"),
        ("/auth", BROWSER, 302, "https://a.test/login?url=%2Fx"),
        ("/auth", {"accept": "text/html"}, 302, "/login"),
        ("/auth", {**BROWSER, "x_forwarded_method": "POST"}, 401, None),
        ("/auth", {**BROWSER, "accept": "*/*"}, 401, None),
        ("/elsewhere", BROWSER, 404, None),
    ],
)
def test_a_refusal_is_what_its_front_can_use(
    agent: FakeProxyAgent, target: str, headers: dict[str, str], status: int, location: str | None
) -> None:
    """nginx takes 401 and finds the log-in page in it; others hand on a redirect for browsers, and 401 else."""
    found, answered = one(gate(agent).reply(FRONT, request(target, **headers)))
    assert (found, answered.get("location")) == (status, location)


def test_without_a_log_in_page_nobody_is_sent_anywhere(agent: FakeProxyAgent) -> None:
    """401 for everybody."""
    nowhere = Gate(agent, ClientKeys(ClientSettings()))
    for target in ("/auth", "/auth401"):
        found, headers = one(nowhere.reply(FRONT, request(target, **BROWSER)))
        assert found == 401 and "location" not in headers


def test_a_question_counts_as_activity_and_a_logout_counts_at_once(agent: FakeProxyAgent) -> None:
    """Asked every twenty minutes a session outlives its idle timeout; isolated, a proxy answers from its copy."""
    ask = gate(agent)
    agent.isolate()
    for _ in range(5):
        agent.advance(20 * 60)
        assert one(ask.reply("", request(x_forwarded_for=ADDRESS)))[0] == 200
    agent.logout(ADDRESS)
    assert one(ask.reply("", request(x_forwarded_for=ADDRESS)))[0] == 401


def test_a_failover_cookie_brings_a_session_back_and_is_renewed(agent: FakeProxyAgent) -> None:
    """At a proxy that is empty and alone; a junk one and one under another key do not."""
    session = agent.lookup(key(cookie=COOKIE))
    assert session is not None
    token = agent.seal_cookie(session)
    empty = FakeProxyAgent("proxy2")
    ask = gate(empty, "cookie", carried=True)
    for cookies in (f"sid={COOKIE}", f"sid={COOKIE}; one-login=junk", f"sid=another; one-login={token}"):
        assert one(ask.reply("", request(cookie=cookies)))[0] == 401

    status, headers = one(ask.reply("", request(cookie=f"sid={COOKIE}; one-login={token}")))
    assert (status, headers["remote-user"]) == (200, "bob")
    status, headers = one(ask.reply("", request(cookie=f"sid={COOKIE}", x_forwarded_proto="https")))
    assert status == 200 and headers["set-cookie"].startswith("one-login=") and headers["set-cookie"].endswith("Secure")
    fresh = headers["set-cookie"].partition(";")[0]
    assert "set-cookie" not in one(ask.reply("", request(cookie=f"sid={COOKIE}; {fresh}")))[1]
