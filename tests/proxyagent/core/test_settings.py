"""The machine's settings."""

from proxyagent.core.settings import AgentName
from tests.proxyagent.core.bench import settings


def test_an_agent_is_own_by_its_site() -> None:
    """Local or remote is told by comparing sites."""
    assert settings().is_own_site(AgentName("lan1", "1"))
    assert not settings().is_own_site(AgentName("lan2", "1"))


def test_the_key_of_the_digest_is_never_printed() -> None:
    """Settings may be logged."""
    assert "kkk" not in repr(settings())
