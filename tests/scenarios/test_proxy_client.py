"""Transcripts of the client machine: what a proxy says and does, step by step, through a failover and back."""

from protocol import messages as wire
from protocol.errors import Code
from protocol.messages import Role
from proxyagent.core import commands, events
from tests.proxyagent.core.bench import LOG_ID, Bench


def transcript(bench: Bench) -> list[str]:
    """The commands of the last step in words, without heartbeats."""
    lines = []
    for command in bench.did:
        match command:
            case commands.Dial(agent):
                lines.append(f"dial agent {agent + 1}")
            case commands.Close(_, code):
                lines.append(f"close {code.name}")
            case commands.Notify(notice):
                lines.append(f"tell {type(notice).__name__}")
            case commands.Send(_, wire.Heartbeat()):
                pass
            case commands.Send(_, wire.Follow(log_id, sequence)):
                lines.append(f"follow after {log_id}:{sequence}")
            case commands.Send(_, wire.Report(number)):
                lines.append(f"report {number}")
            case commands.Send(_, message):
                lines.append(type(message).__name__.lower())
    return lines


def test_through_a_failover_and_back() -> None:
    """Start, follow, lose the master, log in alone, follow the slave that was promoted, be redirected back."""
    bench = Bench()
    bench.start()
    assert transcript(bench) == ["dial agent 1"]

    bench.open(0)
    assert transcript(bench) == []
    bench.hear(bench.heartbeat(echo=True))
    assert transcript(bench) == ["follow after 0:0"]
    bench.hear(wire.Following(LOG_ID, 0, False))
    assert transcript(bench) == ["compare", "tell AgentFound"]
    bench.hear(bench.compare_empty(1))
    bench.step(events.LinkDrained(bench.link))
    assert transcript(bench) == ["compared"]
    bench.hear(wire.Compared(1, 0))
    assert transcript(bench) == ["tell Resynced"]

    bench.login("10.0.0.1")
    bench.step(events.Changed())
    assert transcript(bench) == ["report 1"]
    bench.hear(wire.Acknowledgement(1, 0, ()))

    bench.close()
    assert transcript(bench) == ["tell AgentLost", "dial agent 2"]
    bench.login("10.0.0.2", "bob")
    bench.step(events.Changed())
    assert transcript(bench) == []

    bench.open(1)
    bench.hear(bench.heartbeat(Role.STARTING))
    assert transcript(bench) == []
    bench.hear(bench.heartbeat(Role.MASTER))
    assert transcript(bench) == [f"follow after {LOG_ID}:0", "report 1", "report 2"]
    bench.hear(wire.Following(LOG_ID + 1, 7, False))
    assert transcript(bench) == ["compare", "tell AgentFound"]
    bench.hear(wire.Acknowledgement(2, 2, ("2",)))
    assert bench.client.outbox.events == 0

    bench.close(Code.NOT_MASTER, "handed over", elsewhere="1")
    assert transcript(bench) == ["tell AgentLost", "dial agent 1"]


def test_both_agents_lost_everything() -> None:
    """Agents that come back empty are filled by the proxy, which has gone on alone meanwhile."""
    bench = Bench()
    bench.start()
    bench.serve()
    for number in range(3):
        bench.login(f"10.0.0.{number}")
    bench.leave()
    bench.hear(wire.Acknowledgement(1, 1, ("1", "2")))
    bench.close()
    bench.step(events.DialFailed(1, None, "refused"))
    bench.run_s(30)
    assert all(bench.lookup(f"10.0.0.{number}") for number in range(3))

    bench.open(0)
    bench.hear(bench.heartbeat(echo=True))
    assert transcript(bench)[0] == f"follow after {LOG_ID}:0"
    bench.hear(wire.Following(LOG_ID + 9, 0, False))
    assert transcript(bench) == ["compare", "tell AgentFound"]
    bench.hear(bench.compare_empty(1))
    bench.step(events.LinkDrained(bench.link))
    assert transcript(bench) == ["bulk"]


def test_an_operator_accepts_a_master_with_another_time() -> None:
    """Refused for its time, told once, and accepted after send-sync-to-agent."""
    bench = Bench()
    bench.start()
    bench.serve()
    bench.close()
    bench.cluster_ahead_ms = -60_000
    bench.open(1)
    bench.hear(bench.heartbeat(echo=True))
    assert transcript(bench) == ["close CLOCK", "tell AgentRefused"]
    bench.step(events.ResyncAsked())
    assert transcript(bench) in (["dial agent 1"], ["dial agent 2"])
    bench.open(1)
    bench.hear(bench.heartbeat(echo=True))
    assert transcript(bench) == [f"follow after {LOG_ID}:0"]
