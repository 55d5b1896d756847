"""The machine: dialling, isolation, pauses, and what leaves when."""

import math

from protocol import messages as wire
from protocol.errors import Code
from protocol.messages import Role
from proxyagent.core import commands, events
from proxyagent.core.cache import GONE_AFTER_S
from proxyagent.core.failover import QUICK_FOR_S, QUICK_S, WINDOW_S_MAX
from proxyagent.notices import AgentFound, AgentLost, AgentRefused
from tests.proxyagent.core.bench import PAIR, Bench


def dialled(bench: Bench) -> list[int]:
    return [each.agent for each in bench.all(commands.Dial)]


def started(**changes: object) -> Bench:
    bench = Bench(**changes)  # type: ignore[arg-type]
    bench.start()
    return bench


def test_a_machine_that_was_not_started_wants_nothing() -> None:
    """Before Started and after StopAsked there is no deadline."""
    bench = Bench()
    assert bench.client.deadline == math.inf
    bench.start()
    assert bench.client.deadline <= bench.now.monotonic_s + 1
    bench.step(events.StopAsked())
    assert bench.client.deadline == math.inf


def test_starting_dials_the_first_agent() -> None:
    """Started dials at once; a failure dials the second within the smallest window."""
    bench = started()
    assert dialled(bench) == [0]
    bench.step(events.DialFailed(0, None, "refused"))
    bench.run_s(0.11)
    bench.step(events.DialFailed(1, None, "refused"))
    assert bench.client.isolated


def test_a_silent_host_is_left_soon_where_there_is_another_agent() -> None:
    """At first a dial of one of two agents may take a second; in a long outage, or of a lone agent, all it is given."""
    bench = started()
    assert [each.timeout_s for each in bench.all(commands.Dial)] == [QUICK_S]
    bench.pass_s(QUICK_S)
    bench.step(events.DialFailed(0, None, "timed out"))
    (second,) = [each for each in bench.run_s(0.2) if isinstance(each, commands.Dial)]
    assert (second.agent, second.timeout_s) == (1, QUICK_S)
    bench.pass_s(QUICK_FOR_S)
    bench.step(events.DialFailed(1, None, "timed out"))
    (late,) = [each for each in bench.run_s(WINDOW_S_MAX + 0.1) if isinstance(each, commands.Dial)]
    assert late.timeout_s == bench.client.settings.connect_timeout_s > QUICK_S
    alone = started(agents=PAIR[:1])
    assert [each.timeout_s for each in alone.all(commands.Dial)] == [alone.client.settings.connect_timeout_s]
    hasty = started(connect_timeout_s=0.5)
    assert [each.timeout_s for each in hasty.all(commands.Dial)] == [0.5]


def test_a_slave_redirects_to_its_master() -> None:
    """A farewell NOT_MASTER that names the other agent is followed at once, without any waiting."""
    bench = started()
    bench.open(0)
    bench.close(Code.NOT_MASTER, "this is the slave", elsewhere="2")
    assert dialled(bench) == [1]
    bench.step(events.DialFailed(1, Code.NOT_MASTER, "slave too", elsewhere="1"))
    bench.step(events.DeadlinePassed())
    assert dialled(bench) == [0]
    bench.step(events.DialFailed(0, Code.NOT_MASTER, "slave again", elsewhere="2"))
    assert bench.client.deadline > bench.now.monotonic_s


def test_a_lost_master_is_replaced_at_once() -> None:
    """When the serving link breaks, the other agent is dialled in the same step, and the loss is told."""
    bench = started()
    bench.serve()
    assert not bench.client.isolated
    bench.close()
    assert dialled(bench) == [1]
    assert bench.client.isolated
    assert [each.agent for each in bench.notices(AgentLost)] == ["1"]
    bench.open(1)
    bench.hear(bench.heartbeat())
    bench.hear(wire.Following(5, 0, False))
    assert [each.agent for each in bench.notices(AgentFound)] == ["2"]


def test_silence_costs_the_link() -> None:
    """An agent that says nothing for suspect_after is left."""
    bench = started()
    bench.serve()
    done = bench.run_s(1.3)
    assert [each.code for each in done if isinstance(each, commands.Close)] == [Code.SILENT]
    assert [each.agent for each in done if isinstance(each, commands.Dial)] == [1]


def test_heartbeats_are_sent_every_interval() -> None:
    """As long as the link lives, five heartbeats a second."""
    bench = started()
    bench.serve()
    count = 0
    for _ in range(50):
        done = bench.run_s(0.1)
        count += sum(isinstance(each, commands.Send) and isinstance(each.message, wire.Heartbeat) for each in done)
        bench.hear(bench.heartbeat(echo=True))
    assert 24 <= count <= 26


def test_an_undecided_agent_is_given_three_seconds() -> None:
    """STARTING keeps the link; only after about 3 s another agent is dialled."""
    bench = started()
    bench.open(0)
    for _ in range(14):
        done = bench.run_s(0.2)
        assert not [each for each in done if isinstance(each, commands.Close | commands.Dial)]
        bench.hear(bench.heartbeat(Role.STARTING, echo=True))
    done = []
    for _ in range(10):
        done += bench.run_s(0.2)
    assert [each.code for each in done if isinstance(each, commands.Close)] == [Code.BUSY]
    assert [each.agent for each in done if isinstance(each, commands.Dial)] == [1]


def test_a_refusal_is_told_once() -> None:
    """The same refusal again and again is one notice and one log line; another one is told again."""
    bench = started()
    bench.step(events.DialFailed(0, Code.UNLISTED, "p1 is not listed"))
    assert bench.notices(AgentRefused)[0].reason == "p1 is not listed"
    bench.step(events.DialFailed(0, Code.UNLISTED, "p1 is not listed"))
    assert not bench.notices(AgentRefused)
    bench.open(0)
    bench.close(Code.DUPLICATE, "p1 is linked already, from 10.0.0.7:1")
    assert "10.0.0.7" in bench.notices(AgentRefused)[0].reason


def test_what_is_done_leaves_at_once_or_with_the_tick() -> None:
    """The first login of a quiet link hurries; while it is on its way, others wait for the tick and go together."""
    bench = started()
    bench.serve()
    bench.login("a")
    assert bench.client.hurry
    assert len(bench.leave()) == 1
    bench.login("b")
    bench.login("c")
    assert not bench.client.hurry
    (changes,) = bench.leave()
    assert changes.logins[0].keys == ["b", "c"]
    bench.hear(wire.Acknowledgement(2, 2, ("1",)))
    assert bench.all(commands.WakeWaiters)
    assert bench.client.hurry


def test_levels_are_told_to_those_who_wait() -> None:
    """A login is local, at the master, and on the site's stable storage."""
    bench = started()
    bench.serve()
    session = bench.login("a")
    assert bench.client.service.reached(session) == "local"
    bench.leave()
    bench.hear(wire.Acknowledgement(1, 0, ()))
    assert bench.client.service.reached(session) == "master"
    bench.hear(wire.Acknowledgement(1, 1, ("1", "2")))
    assert bench.client.service.reached(session) == "site"
    ended = bench.logout("nobody")
    assert bench.client.service.reached(ended) == "local"


def test_keep_sessions_until_expiry_goes_on_for_ever() -> None:
    """Without any agent the copy answers as ever."""
    bench = started()
    bench.login("a", lifetime_s=40_000, idle_timeout_s=40_000)
    bench.run_s(600)
    assert bench.lookup("a") is not None


def test_keep_sessions_drop_stops_answering_and_forgets_nothing() -> None:
    """Some seconds without an agent and look-ups stop; who logs in meanwhile is shown; with an agent all are back."""
    bench = started(keep_sessions="drop")
    bench.serve()
    bench.login("a")
    bench.close()
    bench.run_s(GONE_AFTER_S / 2)
    assert bench.lookup("a") is not None, "a failover is no isolation"
    bench.run_s(GONE_AFTER_S + 1)
    assert bench.lookup("a") is None
    assert bench.client.cache.sessions(bench.now) == ()
    bench.login("b")
    assert bench.lookup("b") is not None
    bench.serve()
    assert bench.lookup("a") is not None
    assert len(bench.client.cache.sessions(bench.now)) == 2


def test_keep_sessions_for_a_while() -> None:
    """A duration lets look-ups go on so long."""
    bench = started(keep_sessions=30.0)
    bench.serve()
    bench.login("a")
    bench.close()
    bench.run_s(28)
    assert bench.lookup("a") is not None
    bench.run_s(5)
    assert bench.lookup("a") is None


def test_a_pause_draws_a_new_epoch() -> None:
    """A process that stood still for more than a second mints other login ids, whoever notices first."""
    bench = started()
    bench.serve()
    first = bench.login("a")
    bench.pass_s(2.5)
    second = bench.login("b")
    assert second.origin.epoch != first.origin.epoch
    assert second.sequence == 1
    assert bench.client.pauses == 1
    for _ in range(20):
        bench.run_s(0.2)
        bench.hear(bench.heartbeat(echo=True))
    assert bench.client.pauses == 1, "ordinary waiting is no pause"


def test_leaving_says_farewell() -> None:
    """StopAsked closes the link in order and tells no loss."""
    bench = started()
    bench.serve()
    bench.step(events.StopAsked())
    assert [each.code for each in bench.all(commands.Close)] == [Code.STOPPING]
    assert not bench.close()


def test_other_settings_make_the_link_anew() -> None:
    """Reconfigured leaves the link and dials; the sessions stay, under another digest key too."""
    import attrs

    bench = started()
    bench.serve()
    bench.login("a")
    before = bench.client.cache.table.root(0)
    bench.step(events.Reconfigured(attrs.evolve(bench.client.settings, digest_key=b"n" * 32, digest_key_id=b"new")))
    assert [each.code for each in bench.all(commands.Close)] == [Code.SUPERSEDED]
    assert dialled(bench) == [0]
    assert bench.lookup("a") is not None
    assert bench.client.cache.table.root(0) != before
