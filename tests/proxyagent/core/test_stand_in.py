"""The machine while another site stands in for its own: it goes away, looks homeward, and comes home."""

import attrs

from protocol import messages as wire
from protocol.errors import Code
from protocol.messages import Role
from proxyagent.core import commands, events
from proxyagent.core.settings import AgentName
from proxyagent.notices import AgentFound, AgentLost, AgentRefused
from tests.proxyagent.core.bench import PAIR, Bench

AWAY = AgentName("lan2", "1")
HOME_LINK = 2


def away(**changes: object) -> Bench:
    """A proxy that agent 1 of lan2 serves; its own agents, at places 0 and 1, are silent."""
    bench = Bench(agents=(*PAIR, AWAY), **changes)  # type: ignore[arg-type]
    bench.start()
    bench.serve(2)
    return bench


def served_by(bench: Bench) -> AgentName | None:
    talk = bench.client.conversation
    return talk.name if talk is not None and talk.following else None


def said_at_home(bench: Bench, *said: wire.Heartbeat) -> list[commands.Command]:
    """The own agent says something on the second link."""
    return bench.step(events.MessagesReceived(HOME_LINK, said or (bench.heartbeat(echo=True),)))


def wait_s(bench: Bench, seconds: float, *, serves: bool = True) -> list[commands.Command]:
    """Both agents say every half second how they are, the own one that it serves or not."""
    done: list[commands.Command] = []
    for _ in range(round(seconds * 2)):
        done += bench.run_s(0.5)
        if bench.link >= HOME_LINK and bench.client.scout is not None:
            role = Role.MASTER if serves else Role.STARTING
            done += said_at_home(bench, bench.heartbeat(role, echo=True))
        done += bench.step(events.MessagesReceived(1, (bench.heartbeat(echo=True),)))
    return done


def come_home(bench: Bench) -> None:
    """The own agent answers the Follow and the comparison."""
    said_at_home(bench, wire.Following(9, 0, False))  # type: ignore[arg-type]
    assert served_by(bench) == PAIR[0]


def test_after_long_silence_another_site_is_dialled() -> None:
    """No own agent answers: the other site's is dialled after the time that was set, and a warning tells of it."""
    bench = Bench(agents=(*PAIR, AWAY), away_after_s=2.0)
    bench.start()
    dials = [bench.all(commands.Dial)[0].agent]
    while 2 not in dials:
        assert bench.now.monotonic_s < 1_003.0, "nobody elsewhere was dialled"
        bench.step(events.DialFailed(dials[-1], None, "timed out"))
        dials += [each.agent for each in bench.run_s(0.2) if isinstance(each, commands.Dial)]
    assert bench.now.monotonic_s >= 1_002.0
    bench.open(2)
    bench.hear(bench.heartbeat(echo=True))
    bench.hear(wire.Following(9, 0, False))
    assert [(each.agent, each.site) for each in bench.notices(AgentFound)] == [("1", "lan2")]
    assert [(each.event, each.grade) for each in bench.all(commands.Log)][:2] == [
        ("agent.found", "info"), ("site.away", "warning"),
    ]  # fmt: skip


def test_a_login_made_elsewhere_keeps_the_name_of_the_own_site() -> None:
    """What is reported to the other site says where the user logged in."""
    bench = away()
    session = bench.login("a")
    bench.step(events.Changed())
    (changes,) = bench.reported()
    assert session.site == "lan1"
    assert [run.site for run in changes.logins] == ["lan1"]


def test_idle_questions_go_to_whoever_serves() -> None:
    """Whether somebody who fell idle here was seen elsewhere is asked of the other site."""
    bench = away()
    bench.login("a", idle_timeout_s=60)
    bench.leave()
    done = wait_s(bench, 70.0)
    asked = [each for each in done if isinstance(each, commands.Send) and isinstance(each.message, wire.IdleQuestion)]
    assert [each.link for each in asked] == [1]


def test_an_own_agent_must_have_served_for_a_while() -> None:
    """Until then nothing is said on its link but heartbeats, and the other site serves on without a break."""
    bench = away(return_after_s=4.0)
    bench.open(0)
    done = wait_s(bench, 3.5)
    said = {type(each.message) for each in done if isinstance(each, commands.Send) and each.link == HOME_LINK}
    assert said == {wire.Heartbeat}
    assert served_by(bench) == AWAY and not bench.client.isolated
    assert not [each for each in done if isinstance(each, commands.Close | commands.Dial)]
    done = wait_s(bench, 1.0)
    assert [(each.link, each.code) for each in done if isinstance(each, commands.Close)] == [(1, Code.SUPERSEDED)]
    asked = [each.link for each in done if isinstance(each, commands.Send) and isinstance(each.message, wire.Follow)]
    assert asked == [HOME_LINK]
    come_home(bench)
    assert "site.home" in [each.event for each in bench.all(commands.Log)]


def test_what_the_other_site_has_not_acknowledged_is_sent_again_at_home() -> None:
    """The outbox goes along."""
    bench = away(return_after_s=1.0)
    bench.login("a")
    bench.step(events.Changed())
    assert bench.client.outbox.events == 1
    bench.open(0)
    done = wait_s(bench, 2.0)
    reports = [each for each in done if isinstance(each, commands.Send) and isinstance(each.message, wire.Report)]
    assert [each.link for each in reports] == [HOME_LINK]
    assert bench.client.outbox.events == 1


def test_one_that_stops_serving_begins_anew() -> None:
    """Only time without a break counts."""
    bench = away(return_after_s=4.0)
    bench.open(0)
    wait_s(bench, 3.0)
    wait_s(bench, 0.5, serves=False)
    wait_s(bench, 3.0)
    assert served_by(bench) == AWAY
    wait_s(bench, 2.0)
    assert served_by(bench) != AWAY


def test_an_undecided_own_agent_is_left_and_looked_for_again() -> None:
    """It has three seconds to say that it serves, as ever; the other site serves on."""
    bench = away()
    bench.open(0)
    done = wait_s(bench, 4.0, serves=False)
    assert [(each.link, each.code) for each in done if isinstance(each, commands.Close)] == [(HOME_LINK, Code.BUSY)]
    assert served_by(bench) == AWAY and not bench.notices(AgentLost)
    done = wait_s(bench, 2.5)
    assert [each.agent for each in done if isinstance(each, commands.Dial)] == [1]


def test_a_redirect_at_home_is_followed() -> None:
    """The own slave names its master, which is dialled at once."""
    bench = away()
    bench.open(0)
    bench.step(events.LinkClosed(HOME_LINK, Code.NOT_MASTER, "slave", "2"))
    assert [each.agent for each in bench.all(commands.Dial)] == [1]
    assert served_by(bench) == AWAY


def test_when_the_other_site_is_lost_the_own_agent_serves_at_once() -> None:
    """Better one that has served for a second than none: nobody is dialled, and nothing is waited for."""
    bench = away()
    bench.open(0)
    wait_s(bench, 1.0)
    done = bench.step(events.LinkClosed(1, None, "reset"))
    assert not [each for each in done if isinstance(each, commands.Dial)]
    done = said_at_home(bench)
    assert [each.link for each in done if isinstance(each, commands.Send)] == [HOME_LINK]
    come_home(bench)


def test_a_master_that_hands_over_elsewhere_loses_to_the_own_agent() -> None:
    """The other site's farewell names its other agent; the own one is linked, so it takes over."""
    bench = away()
    bench.open(0)
    wait_s(bench, 1.0)
    done = bench.step(events.LinkClosed(1, Code.NOT_MASTER, "stopping", "2"))
    assert not [each for each in done if isinstance(each, commands.Dial)]
    said_at_home(bench)
    come_home(bench)


def test_an_own_agent_whose_time_is_far_off_is_refused_and_the_other_site_serves_on() -> None:
    """As ever with a master whose clock is wrong; a proxy that is served does not leave for it."""
    bench = away(return_after_s=0.0)
    bench.open(0)
    bench.cluster_ahead_ms = 5_000
    said_at_home(bench)
    assert [each.agent for each in bench.notices(AgentRefused)] == ["1"]
    assert [each.link for each in bench.all(commands.Close)] == [HOME_LINK]
    assert served_by(bench) == AWAY


def test_the_link_that_looks_homeward_may_be_lost() -> None:
    """Silence or a reset there tells nobody of a loss; it is made again."""
    bench = away()
    bench.open(0)
    bench.step(events.LinkClosed(HOME_LINK, None, "reset"))
    assert not bench.notices(AgentLost) and served_by(bench) == AWAY
    done = wait_s(bench, 2.5)
    assert [each.agent for each in done if isinstance(each, commands.Dial)] == [1]


def test_leaving_and_other_settings_end_both_links() -> None:
    """StopAsked and Reconfigured close the link that serves and the one beside it."""
    for event in (events.StopAsked(), None):
        bench = away()
        bench.open(0)
        settings = attrs.evolve(bench.client.settings, idle_timeout_s=60)
        done = bench.step(event or events.Reconfigured(settings))
        assert sorted(each.link for each in done if isinstance(each, commands.Close)) == [1, HOME_LINK]
        assert bench.client.conversation is None and bench.client.scout is None
