"""Pulse: what heartbeats say, and what they prove."""

import itertools
import random

import attrs
import pytest

from authagent.core.commands import Command, Send
from authagent.core.election import Election
from authagent.core.outgoing import Outgoing
from authagent.core.peer import Peer, Peers
from authagent.core.pulse import UNEQUAL_AFTER_S_MAX, Pulse
from authagent.core.replication import FOLLOWERS_AT_ONCE, Replication
from authagent.core.resync import Resync
from protocol.messages import Compare, Heartbeat, Role
from protocol.stamp import ClusterClock
from tests.authagent.core.machine import (
    NOW_MS,
    PAIRED,
    PARTNER_LINK,
    SECRET_ID,
    heartbeat,
    logins,
    make_peer,
    make_table,
    now,
    sent,
)

CUT_MIN = NOW_MS // 60_000


def _pulse(role: Role = Role.MASTER) -> Pulse:
    table = make_table()
    replication = Replication(table, Outgoing("lan1"))
    clock = ClusterClock()
    if role == Role.MASTER:
        replication.lead_off(77)
        clock.lead(now())
    else:
        replication.attach(PARTNER_LINK)
        replication.begin(55, 10)
    election = Election(PAIRED, random.Random(1), role, 3, 3)
    return Pulse(PAIRED, table, Peers(), election, replication, Resync(table, SECRET_ID), clock)


def _enter(pulse: Pulse, peer: Peer) -> Peer:
    pulse.peers.enter(peer)
    return peer


def _word(commands: list[Command]) -> Heartbeat:
    (message,) = sent(commands, Heartbeat)
    assert isinstance(message, Heartbeat)
    return message


def _greeting(pulse: Pulse, peer: Peer) -> Heartbeat:
    return _word([pulse.greet(peer, now())])


# -- what is said ------------------------------------------------------------------------------------------------------


def test_a_master_tells_its_log_and_a_slave_its_cursor() -> None:
    """Either is what the other side needs to judge whether both speak of the same state."""
    master, slave = _pulse(), _pulse(Role.SLAVE)
    master.replication.take(logins("10.0.0.1"), None, "lan1", None, "x", NOW_MS)
    master.replication.flush()

    told = _greeting(master, make_peer(1))
    assert (told.role, told.term, told.log_id, told.sequence) == (Role.MASTER, 3, 77, 1)
    told = _greeting(slave, make_peer(1))
    assert (told.role, told.log_id, told.sequence) == (Role.SLAVE, 55, 10)


def test_no_more_is_promised_than_was_relayed() -> None:
    """While a change waits in the window, a heartbeat names the position before it: a slave takes its word for it."""
    pulse = _pulse()
    for link in range(FOLLOWERS_AT_ONCE + 1):
        pulse.replication.follow(link)
    pulse.replication.take(logins("10.0.0.1"), None, "lan1", None, "x", NOW_MS)

    assert _greeting(pulse, make_peer(1)).sequence == 0


def test_nothing_is_offered_before_cluster_time_is_known() -> None:
    """Without a clock there is no cut: no root and no cluster time."""
    told = _greeting(_pulse(Role.SLAVE), make_peer(1))
    assert (told.root, told.cluster_ms) == (None, None)

    told = _greeting(_pulse(), make_peer(1))
    assert (told.root is not None, told.cluster_ms) == (True, NOW_MS)


def test_each_peer_gets_its_own_echo() -> None:
    """One heartbeat for all; the echo and the comparison are the link's own."""
    pulse = _pulse()
    one, other = _enter(pulse, make_peer(1, "p1")), _enter(pulse, make_peer(2, "p2"))
    one.heard(heartbeat(at_s=0.0), now(0.05))
    pulse.resync.open(other, NOW_MS)
    commands = pulse.beat(now(0.1))

    told = {command.links: command.message for command in commands if isinstance(command, Send)}
    first, second = told[(1,)], told[(2,)]
    assert isinstance(first, Heartbeat) and isinstance(second, Heartbeat)
    assert (first.echo_ms, first.held_ms, first.comparing) == (now().boot_ms, 50, False)
    assert (second.echo_ms, second.comparing) == (None, True)


def test_many_busy_followers_hear_every_fifth_heartbeat() -> None:
    """[P-17] Whoever was sent changes in each interval is spared four in a row; the quiet one and the partner never."""
    pulse = _pulse()
    count = FOLLOWERS_AT_ONCE + 1
    for link in range(count):
        pulse.replication.follow(link)
    for link in (*range(count), count + 1):
        _enter(pulse, make_peer(link, f"p{link}", "agent" if link == PARTNER_LINK else "proxy"))
    beats: dict[int, list[int]] = {link: [] for link in (*range(count), count + 1)}
    for tick in range(20):
        pulse.replication.take(logins(f"10.0.0.{tick}", first=tick), None, "lan1", None, "x", NOW_MS)
        pulse.replication.flush()
        for command in pulse.tick(now(tick / 5)):
            assert isinstance(command, Send)
            beats[command.links[0]].append(tick)

    spared = beats.keys() - {PARTNER_LINK, count + 1}
    assert all(len(beats[link]) == 4 for link in spared)
    assert {later - earlier for link in spared for earlier, later in itertools.pairwise(beats[link])} == {5}
    assert len({beats[link][0] for link in spared}) == 5
    assert len(beats[PARTNER_LINK]) == len(beats[count + 1]) == 20


def test_a_proxy_of_another_site_hears_as_seldom_as_its_site_would() -> None:
    """One of five beats crosses the WAN; a proxy of this site hears each."""
    pulse = _pulse()
    for peer in (make_peer(1, "p1"), attrs.evolve(make_peer(2, "p2"), site="lan2", away=True)):
        _enter(pulse, peer)
    said = [command for tick in range(20) for command in pulse.tick(now(tick / 5))]
    beats = [command.links[0] for command in said if isinstance(command, Send)]
    assert (beats.count(1), beats.count(2)) == (20, 4)


def test_quiet_followers_hear_every_heartbeat_however_many() -> None:
    """[P-17] With nothing else to say a heartbeat is the only sign of life."""
    pulse = _pulse()
    for link in range(FOLLOWERS_AT_ONCE + 1):
        pulse.replication.follow(link)
        _enter(pulse, make_peer(link, f"p{link}"))
    pulse.replication.take(logins("10.0.0.1"), None, "lan1", None, "x", NOW_MS)
    pulse.replication.flush()
    pulse.tick(now())

    assert len(pulse.tick(now(0.2))) == FOLLOWERS_AT_ONCE + 1


def test_who_waits_at_the_door_hears_that_nothing_is_decided() -> None:
    """Whatever this agent is, the word for the door is STARTING and unsure."""
    told = _pulse().undecided(now())

    assert (told.role, told.unsure) == (Role.STARTING, True)


# -- what is proven ----------------------------------------------------------------------------------------------------


def test_a_follower_at_the_logs_end_is_judged() -> None:
    """Only there, with nothing to tell and under the same secret, must its digest be ours."""
    pulse = _pulse()
    root = pulse.table.root(CUT_MIN)
    fair = heartbeat(log_id=77, sequence=0, cut_min=CUT_MIN, root=root)
    for unfair in (
        {"root": None},
        {"secret_id": b"other"},
        {"pending": 1},
        {"sequence": 5},
        {"log_id": 76},
    ):
        peer = make_peer(1)
        fields = {"log_id": 77, "sequence": 0, "cut_min": CUT_MIN, "root": b"x" * 8, **unfair}
        pulse.judge_follower(peer, heartbeat(**fields), now())  # type: ignore[arg-type]
        assert peer.equal is None, unfair

    peer = make_peer(1)
    pulse.judge_follower(peer, fair, now())
    assert peer.equal is True
    pulse.judge_follower(peer, heartbeat(log_id=77, sequence=0, cut_min=CUT_MIN, root=b"x" * 8), now())
    assert peer.equal is False


def _judged(pulse: Pulse, peer: Peer, at_s: float, root: bytes) -> list[Command]:
    return pulse.judge_lead(peer, heartbeat(Role.MASTER, cut_min=CUT_MIN, root=root), now(at_s))


def _complete_slave() -> tuple[Pulse, Peer]:
    pulse = _pulse(Role.SLAVE)
    pulse.replication.completed()
    return pulse, make_peer(PARTNER_LINK, "2", "agent")


def test_a_digest_that_stays_different_is_compared_ever_more_seldom() -> None:
    """After 1 s, then 2, 4, ..., at most a minute: what comparing cannot mend must not cost much."""
    pulse, lead = _complete_slave()
    opened_s = []
    for tick in range(5 * 400):
        at_s = tick / 5
        commands = _judged(pulse, lead, at_s, b"different")
        if sent(commands, Compare):
            opened_s.append(at_s)
        pulse.resync.close(PARTNER_LINK)

    gaps = [later - earlier for earlier, later in itertools.pairwise(opened_s)]
    assert opened_s[0] == pytest.approx(1.0)
    assert gaps[:3] == pytest.approx([2.2, 4.2, 8.2])
    assert max(gaps) <= UNEQUAL_AFTER_S_MAX + 0.5


def test_equality_restores_the_impatience() -> None:
    """Once digests agree, the next difference is compared after 1 s again."""
    pulse, lead = _complete_slave()
    for at_s in (0.0, 1.0):
        _judged(pulse, lead, at_s, b"different")
    pulse.resync.close(PARTNER_LINK)
    _judged(pulse, lead, 1.2, pulse.table.root(CUT_MIN))
    assert lead.equal

    assert not sent(_judged(pulse, lead, 2.0, b"different"), Compare)
    assert sent(_judged(pulse, lead, 3.0, b"different"), Compare)


def test_roots_under_another_secret_prove_nothing() -> None:
    """They are neither equal nor unequal."""
    pulse, lead = _complete_slave()
    for at_s in range(5):
        word = heartbeat(Role.MASTER, cut_min=CUT_MIN, root=b"different", secret_id=b"other")
        assert pulse.judge_lead(lead, word, now(at_s)) == []

    assert lead.equal is None


def test_a_first_comparison_that_was_given_up_is_begun_again() -> None:
    """Before it nothing can be judged; without it a slave would never count. While it runs nothing is begun."""
    pulse, lead = _pulse(Role.SLAVE), make_peer(PARTNER_LINK, "2", "agent")

    assert sent(_judged(pulse, lead, 0.0, b"different"), Compare)
    assert not sent(_judged(pulse, lead, 0.2, b"different"), Compare)
    pulse.resync.close(PARTNER_LINK)
    assert sent(_judged(pulse, lead, 10.0, b"different"), Compare)


def test_nothing_is_compared_before_the_lead_has_said_following() -> None:
    """Changes between a comparison and the beginning of the stream would be missed."""
    pulse, lead = _pulse(Role.SLAVE), make_peer(PARTNER_LINK, "2", "agent")
    pulse.replication.streaming = False

    assert _judged(pulse, lead, 0.0, b"different") == []


@pytest.mark.parametrize(("partner_term", "compares"), [(4, True), (2, False)])
def test_of_two_masters_the_one_that_yields_compares(partner_term: int, compares: bool) -> None:
    """The other waits for it."""
    pulse, partner = _pulse(), make_peer(PARTNER_LINK, "2", "agent")
    pulse.election.partner_term = partner_term
    pulse.replication.attach(PARTNER_LINK)
    pulse.replication.begin(55, 0)

    assert bool(sent(_judged(pulse, partner, 0.0, b"different"), Compare)) is compares
