"""Peer and Peers: facts about links, and who is found by which name."""

import attrs

from authagent.core.peer import Peers
from protocol.messages import Role
from tests.authagent.core.machine import heartbeat, make_peer, now


def test_names_in_log_lines() -> None:
    """An agent is told by its program and number, a proxy by its id."""
    assert make_peer(1, "2", "agent").name == "authagent-2"
    assert make_peer(2, "squid-1").name == "squid-1"


def test_a_heartbeat_tells_role_and_clock() -> None:
    """Nothing is known of the role before the first heartbeat; the clocks are measured by a round trip."""
    peer = make_peer(1, "2", "agent")
    assert peer.role is None

    ahead = heartbeat(Role.MASTER, 0.01, echo_ms=now(0.0).boot_ms)
    peer.heard(attrs.evolve(ahead, wall_ms=ahead.wall_ms + 3_000), now(0.01))

    assert peer.role == Role.MASTER
    assert 2_990 <= peer.wall_offset_ms <= 3_010


def test_anything_heard_puts_suspicion_off() -> None:
    """A link that opens counts as heard; so does every message."""
    peer = make_peer(1)
    assert peer.heard_s == now().monotonic_s
    peer.spoke(now(0.9))

    assert not peer.liveness.suspect(now(1.8))
    assert peer.liveness.suspect(now(1.95))


def test_unequal_counts_from_its_beginning() -> None:
    """The first difference is remembered until tables are equal again."""
    peer = make_peer(1)
    peer.compared(False, now(1))
    peer.compared(False, now(2))
    assert (peer.equal, peer.unequal_since_s) == (False, now(1).monotonic_s)

    peer.compared(True, now(3))
    assert (peer.equal, peer.equal_s, peer.unequal_since_s) == (True, now(3).monotonic_s, None)


def test_peers_are_found_by_link_and_by_name() -> None:
    """Kind and id make a name; the partner is found as such."""
    peers = Peers()
    proxy, partner = make_peer(1, "2"), make_peer(2, "2", "agent")
    peers.enter(proxy)
    peers.enter(partner)

    assert peers.get(1) is proxy and peers.get(3) is None and peers.get(None) is None
    assert peers.named("proxy", "lan1", "2") is proxy and peers.named("agent", "lan1", "2") is partner
    assert peers.partner is partner
    assert len(peers) == 2 and 2 in peers


def test_who_leaves_late_takes_nobody_along() -> None:
    """An old link that leaves after its successor has entered leaves the successor in place."""
    peers = Peers()
    old, new = make_peer(1, "2", "agent"), make_peer(2, "2", "agent")
    peers.enter(old)
    peers.enter(new)
    peers.leave(old)

    assert peers.partner is new and peers.named("agent", "lan1", "2") is new and 1 not in peers

    peers.leave(new)
    assert peers.partner is None and peers.named("agent", "lan1", "2") is None


def test_peers_may_leave_while_they_are_walked() -> None:
    """Walking is over a copy."""
    peers = Peers()
    for link in range(3):
        peers.enter(make_peer(link, f"p{link}"))
    for peer in peers:
        peers.leave(peer)

    assert len(peers) == 0
