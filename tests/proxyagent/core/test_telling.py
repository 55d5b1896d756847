"""What is told of links: one notice, and lines with the keys that operators look for."""

from protocol.liveness import Punctuality
from proxyagent.core import commands, telling
from proxyagent.core.conversation import Conversation
from proxyagent.core.progress import Compared, Progress
from proxyagent.core.settings import AgentName
from proxyagent.notices import AgentFound, AgentLost, AgentRefused, Resynced
from tests.proxyagent.core.bench import PAIR, Bench

AWAY = AgentName("lan2", "1")


def talk(agent: int) -> Conversation:
    bench = Bench(agents=(*PAIR, AWAY))
    return Conversation(
        7, agent, "10.0.0.1:9023", bench.client.cache, Progress(), Punctuality(), lambda merged: None, bench.now, False
    )


def lines(told: list[commands.Command]) -> dict[str, dict[str, object]]:
    return {each.event: dict(each.keys) for each in told if isinstance(each, commands.Log)}


def notices(told: list[commands.Command]) -> list[object]:
    return [each.notice for each in told if isinstance(each, commands.Notify)]


def test_refusal_and_loss_wake_whoever_waits() -> None:
    """Both are a notice and a warning, and an end of waiting for what will not come."""
    refused, lost = telling.refused(AWAY, "not listed"), telling.lost(AWAY, "reset")
    assert notices(refused + lost) == [AgentRefused("1", "not listed"), AgentLost("1", "reset")]
    assert lines(refused + lost) == {
        "agent.refused": {"agent": "1", "site": "lan2", "reason": "not listed"},
        "agent.lost": {"agent": "1", "site": "lan2", "reason": "reset"},
    }
    assert all(any(isinstance(each, commands.WakeWaiters) for each in told) for told in (refused, lost))


def test_going_away_and_coming_home_are_told_apart() -> None:
    """Being served elsewhere is a warning, coming home says after how long, and staying at home is neither."""
    assert lines(telling.found(talk(0), "lan1", None)).keys() == {"agent.found"}
    gone = telling.found(talk(2), "lan1", None)
    assert notices(gone) == [AgentFound("1", "lan2", "10.0.0.1:9023")]
    assert lines(gone)["site.away"]["site"] == "lan2"
    assert lines(telling.found(talk(1), "lan1", 61.26))["site.home"] == {"agent": "2", "away_s": 61.3}


def test_a_comparison_tells_what_it_moved() -> None:
    """Both ways, and how long it took."""
    told = telling.compared(AWAY, Compared(2, 3, 0.12345, asked=True))
    assert notices(told) == [Resynced(2, 3, 0.12345)]
    assert lines(told)["resynced"] == {"agent": "1", "sent": 2, "received": 3, "duration_s": 0.123}
