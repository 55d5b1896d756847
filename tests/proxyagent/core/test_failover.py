"""Whom a proxy dials next, and when."""

from protocol import limits
from proxyagent.core.failover import (
    AWAY_AFTER_S,
    AWAY_WINDOW_S,
    HOME_WINDOW_S,
    QUICK_FOR_S,
    QUICK_S,
    WINDOW_S_MAX,
    WINDOW_S_MIN,
    Failover,
)
from proxyagent.core.settings import AgentName

OWN = (AgentName("lan1", "1"), AgentName("lan1", "2"))
AWAY = (AgentName("lan2", "1"), AgentName("lan2", "2"))


def dialled(failover: Failover, now_s: float) -> int:
    """Whom a dial is made to now, which has ended; how, the test says."""
    chosen = failover.choose(now_s)
    failover.dial_ended()
    return chosen


def tried(failover: Failover, now_s: float) -> int:
    """Whom a dial is made to now that comes to nothing; as little jitter as there can be."""
    chosen = dialled(failover, now_s)
    failover.failed(now_s, 0.0)
    return chosen


def test_own_agents_are_tried_in_order_and_at_once() -> None:
    """The first dial goes to the first agent without waiting, the next to the second."""
    failover = Failover(OWN, "lan1")
    failover.start(10.0)
    assert failover.due_s == 10.0
    assert failover.choose(10.0) == 0
    assert failover.due_s is None
    failover.dial_ended()
    failover.failed(10.0, 0.5)
    assert failover.choose(10.1) == 1


def test_the_first_tries_of_a_pair_are_quick() -> None:
    """A try may take a second where another own agent can be tried instead, and never more than it is given."""
    failover = Failover(OWN, "lan1")
    failover.start(10.0)
    assert failover.try_s(0, 10.0, 3.0) == QUICK_S
    assert failover.try_s(1, 10.0, 0.3) == 0.3
    assert failover.try_s(0, 10.0 + QUICK_FOR_S, 3.0) == 3.0
    lone = Failover((OWN[0], *AWAY), "lan1", 1.0)
    lone.start(10.0)
    assert lone.try_s(0, 10.0, 3.0) == 3.0
    assert Failover((*OWN, *AWAY), "lan1").try_s(2, 10.0, 3.0) == 3.0


def test_waiting_is_full_jitter_in_a_growing_window() -> None:
    """Jitter 1 waits the whole window, which starts small and ends at its bound."""
    failover = Failover(OWN, "lan1")
    failover.start(0.0)
    failover.failed(0.0, 1.0)
    assert failover.due_s == WINDOW_S_MIN
    failover.failed(0.0, 0.0)
    assert failover.due_s == 0.0
    failover.failed(100.0, 1.0)
    assert failover.due_s == 100.0 + WINDOW_S_MAX


def test_a_redirect_is_followed_at_once_but_not_for_ever() -> None:
    """Two agents that point at each other get two redirects, then jitter."""
    failover = Failover(OWN, "lan1")
    failover.start(0.0)
    place = dialled(failover, 0.0)
    for _ in range(limits.REDIRECTS_MAX):
        failover.redirected(place, "lan1", OWN[1 - place].id, 0.0, 1.0)
        assert failover.due_s == 0.0
        chosen = dialled(failover, 0.0)
        assert chosen == 1 - place
        place = chosen
    failover.redirected(place, "lan1", OWN[1 - place].id, 0.0, 1.0)
    assert failover.due_s == WINDOW_S_MIN


def test_a_redirect_to_nobody_known_counts_as_a_failure() -> None:
    """An agent that names none, itself or a stranger makes the proxy wait."""
    for elsewhere in ("", "1", "9"):
        failover = Failover(OWN, "lan1")
        failover.start(0.0)
        dialled(failover, 0.0)
        failover.redirected(0, "lan1", elsewhere, 0.0, 1.0)
        assert failover.due_s == WINDOW_S_MIN


def test_other_sites_come_after_own_silence() -> None:
    """Agents of another site are dialled only when no own one has answered for a while: each once, own ones between."""
    failover = Failover((*OWN, *AWAY), "lan1")
    failover.start(0.0)
    assert {tried(failover, 0.1) for _ in range(6)} == {0, 1}
    assert {tried(failover, AWAY_AFTER_S - 0.01) for _ in range(3)} == {0, 1}
    assert [tried(failover, AWAY_AFTER_S) for _ in range(4)] == [2, 1, 3, 0]
    assert {tried(failover, AWAY_AFTER_S + AWAY_WINDOW_S / 2 - 0.1) for _ in range(4)} == {0, 1}
    assert [tried(failover, AWAY_AFTER_S + AWAY_WINDOW_S / 2) for _ in range(3)] == [2, 1, 3]


def test_whoever_answers_keeps_the_proxy_at_home() -> None:
    """A refusal, a redirect and a link that ends later are answers: the silence begins anew after each."""
    failover = Failover((*OWN, *AWAY), "lan1", 2.0)
    failover.start(0.0)
    failover.answered(dialled(failover, 1.9))
    failover.failed(1.9, 0.0)
    assert {tried(failover, 3.8) for _ in range(3)} == {0, 1}
    failover.opened(failover.choose(3.8))
    failover.failed(9.0, 0.0)  # it never served
    assert {tried(failover, 10.9) for _ in range(3)} == {0, 1}
    assert tried(failover, 11.0) == 2


def test_a_redirect_away_is_followed() -> None:
    """The slave of another site names its master, which is dialled at once."""
    failover = Failover((*OWN, *AWAY), "lan1", 2.0)
    failover.start(0.0)
    assert dialled(failover, 2.0) == 2
    failover.redirected(2, "lan2", "2", 2.0, 1.0)
    assert (failover.due_s, dialled(failover, 2.0)) == (2.0, 3)


def test_a_proxy_served_away_keeps_looking_for_its_own() -> None:
    """While another site serves, the own agents are dialled again and again, and no other one."""
    failover = Failover((*OWN, *AWAY), "lan1")
    failover.start(0.0)
    failover.served(2, 10.0, 0.0)
    assert failover.due_s == 10.0 + HOME_WINDOW_S / 2
    assert dialled(failover, 11.0) in (0, 1)
    failover.failed(11.0, 1.0)
    assert failover.due_s == 11.0 + HOME_WINDOW_S
    failover.served(0, 20.0, 0.0)
    assert failover.due_s is None


def test_when_another_site_is_lost_too_its_other_agent_is_next() -> None:
    """The own agents have been silent all the while, so nothing is waited for."""
    failover = Failover((*OWN, *AWAY), "lan1")
    failover.start(0.0)
    assert tried(failover, 5.0) == 2
    assert tried(failover, 5.0) == 0
    assert dialled(failover, 5.0) == 3
    failover.opened(3)
    failover.served(3, 5.0, 0.0)
    failover.start(30.0)
    assert (failover.due_s, dialled(failover, 30.0)) == (30.0, 2)


def test_a_master_elsewhere_that_leaves_for_nobody_known_is_lost() -> None:
    """It serves no more, whomever it names: its other agent is tried, as after any loss."""
    failover = Failover((*OWN, *AWAY), "lan1")
    failover.start(0.0)
    failover.served(2, 10.0, 0.0)
    failover.redirected(2, "lan2", "", 20.0, 0.0)
    assert (failover.due_s, dialled(failover, 20.0)) == (20.0, 2)


def test_one_dial_at_a_time() -> None:
    """A link that is lost while a dial is under way waits for its end."""
    failover = Failover((*OWN, *AWAY), "lan1")
    failover.start(0.0)
    failover.served(2, 10.0, 0.0)
    failover.choose(11.0)
    failover.start(11.5)
    assert failover.due_s is None
    failover.dial_ended()
    failover.failed(12.0, 0.0)
    assert failover.due_s == 12.0


def test_a_redirect_elsewhere_waits_for_the_dial_homeward() -> None:
    """If that finds an own agent, the redirect is forgotten; if not, it is followed."""
    for found in (True, False):
        failover = Failover((*OWN, *AWAY), "lan1", 2.0)
        failover.start(0.0)
        failover.served(2, 10.0, 0.0)
        own = failover.choose(11.0)
        failover.redirected(2, "lan2", "2", 11.5, 1.0)
        assert failover.due_s is None
        failover.opened(own) if found else failover.dial_ended()
        failover.failed(12.0, 0.0)
        assert (failover.due_s, failover.choose(12.0)) == (12.0, 1 - own if found else 3)


def test_after_a_loss_the_other_agent_is_tried_first() -> None:
    """Whoever loses its master asks the slave, which is to become master."""
    failover = Failover(OWN, "lan1")
    failover.start(0.0)
    dialled(failover, 0.0)
    failover.served(0, 1.0, 0.0)
    failover.start(2.0)
    assert dialled(failover, 2.0) == 1


def test_a_site_without_own_agents_uses_the_others() -> None:
    """A proxy whose site has no agent dials those of another, with the wide window."""
    failover = Failover(AWAY, "lan1")
    failover.start(0.0)
    assert dialled(failover, 0.0) == 0
    failover.failed(0.0, 1.0)
    assert failover.due_s == AWAY_WINDOW_S
