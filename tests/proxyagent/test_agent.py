"""The public ProxyAgent without any loop; what needs one is in tests/shell/test_proxy_agent.py."""

import pytest

import proxyagent
from proxyagent import agent as agents
from proxyagent.testing import FakeProxyAgent


def test_a_hot_look_up_touches_only_the_session() -> None:
    """A session in its quiet time is answered without entering the machine, and only its `seen_s` changes."""
    agent = FakeProxyAgent()
    session = agent.login("a", "alice")
    agent.shell.client.cache.lookup = None  # type: ignore[assignment, method-assign]
    assert agent.lookup("a") is session
    assert session.seen_s == agent.shell.clock.monotonic_s()
    session.seen_s = 0.0
    assert agent.lookup("a", touch=False) is session
    assert session.seen_s == 0.0


def test_public_names_are_those_of_the_design() -> None:
    """DESIGN section 8, each loaded at its first use; anything else is an AttributeError."""
    names = {
        "open_proxy_agent", "ProxyAgent", "BlockingProxyAgent", "Session", "key", "Error", "ConfigurationError",
        "LimitExceeded", "NotAcknowledged", "Closed", "InternalError", "SessionOpened", "SessionEnded", "AgentFound",
        "AgentLost", "AgentRefused", "Resynced", "NoticesLost",
    }  # fmt: skip
    assert names <= set(proxyagent.__all__) == set(dir(proxyagent))
    for name in proxyagent.__all__:
        assert getattr(proxyagent, name) is not None
    with pytest.raises(AttributeError, match="frobnicate"):
        proxyagent.frobnicate  # noqa: B018
    assert proxyagent.key(address="::ffff:10.3.4.5") == "10.3.4.5"


def test_both_programs_have_one_version() -> None:
    """authagent and proxyagent are one distribution."""
    import authagent

    assert proxyagent.__version__ == authagent.__version__


def test_a_forked_child_is_told_to_open_its_own() -> None:
    """The hook that runs in a forked child closes every agent of the parent there."""
    agent = FakeProxyAgent()
    agent.login("a", "alice")
    guard = agent.shell.guard
    agents._close_in_child()
    assert agent.shell.guard is not guard
    for call in (lambda: agent.lookup("a"), lambda: agent.login("b", "bob"), agent.sessions, agent.statistics):
        with pytest.raises(proxyagent.Closed, match="fork"):
            call()


def test_logout_wants_exactly_one_of_both() -> None:
    """A key or a user."""
    agent = FakeProxyAgent()
    with pytest.raises(TypeError):
        agent.logout()
    with pytest.raises(TypeError):
        agent.logout("a", user="b")
