"""What an agent calls a problem, and the sentence that sums it up."""

import random
from pathlib import Path

import attrs
import pytest

from authagent.admin.problems import Facts, Onsets, Problem, problems, sentence
from authagent.admission import Refused
from authagent.core import events as on
from authagent.core.agent import Agent
from authagent.core.election import Partner
from authagent.core.peer import Peer, open_peer
from authagent.core.settings import Settings
from authagent.store import StoreStatus
from protocol import configuration
from protocol.liveness import Punctuality
from protocol.messages import Role
from protocol.stamp import Now
from protocol.table import Table
from tests.authagent.core.machine import logins
from tests.authagent.running import run_agents, write_files

NOW = Now(1_000.0, 5_000_000, 1_790_000_000_000)
FILE = configuration.parse(
    """
[[authagent]]
id = 1
site = "lan1"
host = "10.1.0.11"
[[authagent]]
id = 2
site = "lan1"
host = "10.1.0.12"
[[proxyagent]]
id = "squid-*"
site = "lan1"
[[proxyagent]]
id = "named"
site = "lan1"
""",
    "f",
)
FACTS = Facts(
    configuration=FILE, site="lan1", id="1", version="1", store_ok=True, store_error="", loaded_fraction=1.0,
    certificate_ending="", refused=(), refused_total=0, uptime_s=1.0,
)  # fmt: skip


def agent(role: Role = Role.MASTER, *peers: Peer, partner: int | None = 2) -> Agent:
    """An agent in this role, with these links; a follower has everything."""
    settings = Settings(site="lan1", id=1, partner=partner)
    made = Agent(settings, Table(digest_key=b"k" * 32), random.Random(1), b"s" * 4)
    made.election.role, made.election.term = role, 3
    made.election.partner = Partner.LINKED if any(peer.is_partner for peer in peers) else Partner.DOWN
    for peer in peers:
        made.peers.enter(peer)
        made.replication.follow(peer.link)
        peer.stored = 0
    if role == Role.SLAVE and made.peers.partner is not None:
        made.replication.lead, made.replication.complete = made.peers.partner.link, 0
    return made


def peer(id: str, kind: str = "proxy", link: int = 1, **more: object) -> Peer:
    """A link that was just opened."""
    opened = on.LinkOpened(
        link=link, kind=kind, site="lan1", id=id, incarnation=1, address="10.0.0.9:1", software="x",
        configuration_equal=True, wall_offset_ms=0, dialled=False,
    )  # fmt: skip
    made = open_peer(opened, NOW, Settings(site="lan1", id=1, partner=2), Punctuality())
    for name, value in more.items():
        setattr(made, name, value)
    return made


def partner(**more: object) -> Peer:
    return peer("2", "agent", 7, **more)


def named() -> Peer:
    return peer("named", link=8)


def codes(made: Agent, facts: Facts = FACTS) -> list[str]:
    return [each.code for each in problems(made, facts, NOW)]


def text(made: Agent, facts: Facts = FACTS) -> str:
    return sentence(made, problems(made, facts, NOW))


def test_all_is_well() -> None:
    """A pair with all its proxies, at the master and at the slave, and a single agent."""
    assert codes(agent(Role.MASTER, partner(), named())) == []
    assert codes(agent(Role.SLAVE, partner())) == []
    assert codes(agent(Role.MASTER, named(), partner=None)) == []


def test_the_sentence_counts_in_one_and_many() -> None:
    """Singular and plural; a slave says for whom it stands by."""
    one = agent(Role.MASTER, partner(), named())
    assert text(one) == "Everything equal. 1 site, 1 proxy, 0 users."
    many = agent(Role.MASTER, partner(), named(), peer("squid-1", link=9))
    for user in range(1_234):
        many.table.merge(logins(f"10.0.0.{user}", first=user, user=f"user{user}"), NOW.wall_ms)
    assert text(many) == "Everything equal. 1 site, 2 proxies, 1,234 users."
    one.table.merge(logins("10.0.0.1", "10.0.0.2"), NOW.wall_ms)
    assert text(one).endswith(" 1 user.")
    assert text(agent(Role.SLAVE, partner())) == "Everything equal. Standing by for agent 2, 0 users."


def test_a_starting_agent_says_what_it_waits_for() -> None:
    """Its table, its partner, or that the partner will not have it, with the reason."""
    starting = agent(Role.STARTING)
    assert codes(starting) == ["starting"]
    assert text(starting) == "agent 1 has no role yet: it is looking for agent 2"
    starting.election.refused = "wrong secret"
    assert text(starting) == "agent 1 has no role yet: wrong secret"
    assert "40% of the stored sessions" in text(starting, attrs.evolve(FACTS, loaded_fraction=0.4))


def test_the_partner_is_down_out_of_reach_or_refusing() -> None:
    """Down is no split; silence is, and so are a refusal and two that serve."""
    alone = agent(Role.MASTER, named())
    assert codes(alone) == ["partner_down"]
    assert text(alone) == "agent 2 is down: nobody stands by"
    alone.election.partner = Partner.SILENT
    assert codes(alone) == ["split"]
    assert "agent 2 is out of reach" in text(alone)
    alone.election.refused = "its clock and ours are too far apart"
    assert "agent 2 refuses to link: its clock and ours are too far apart" in text(alone)
    both = agent(Role.MASTER, partner(), named())
    both.election.partner_role = Role.MASTER
    assert codes(both) == ["split"]
    assert text(both).startswith("both agents serve")


def test_what_is_wrong_with_this_machine() -> None:
    """A store that stores nothing, and an own certificate that ends."""
    well = agent(Role.MASTER, partner(), named())
    broken = attrs.evolve(FACTS, store_ok=False, store_error="the disk is full")
    assert (codes(well, broken), text(well, broken)) == (["store"], "nothing is stored on disk: the disk is full")
    ending = attrs.evolve(FACTS, certificate_ending="it ends in 9 days")
    assert (codes(well, ending), text(well, ending)) == (["certificate"], "own certificate: it ends in 9 days")


def test_proxies_that_are_missing_or_refused() -> None:
    """One listed by name that is not linked; one that proved the secret and was not let in, once only."""
    lonely = agent(Role.MASTER, partner())
    assert text(lonely) == "proxy named is not linked: logouts do not reach it"
    stranger = Refused("proxy", "lan1", "squid-9", "10.0.0.5", "proxy squid-9 of lan1 is not listed", 999.0)
    both = attrs.evolve(FACTS, refused=(stranger, attrs.evolve(stranger, id="named")))
    assert codes(lonely, both) == ["refused", "refused"]
    assert "proxy squid-9 at 10.0.0.5 is refused: proxy squid-9 of lan1 is not listed" in text(lonely, both)
    assert codes(agent(Role.SLAVE, partner())) == []


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"configuration_equal": False}, "configuration", "authagent-2 runs with another configuration file"),
        ({"wall_offset_ms": 1_500}, "clock", "the clock of authagent-2 is 1.5 s ahead of ours (at 2 s the link is"),
        ({"wall_offset_ms": -1_500}, "clock", "1.5 s behind ours"),
        ({"equal": False, "unequal_since_s": 990.0}, "unequal", "authagent-2 differs"),
        ({"stored": None}, "catching_up", "authagent-2 has not everything yet"),
    ],
)
def test_what_is_wrong_with_a_peer(wrong: dict[str, object], code: str, words: str) -> None:
    """Another file, another time, another table, and one that is not complete."""
    made = agent(Role.MASTER, partner(), named())
    assert made.peers.partner is not None
    for name, value in wrong.items():
        setattr(made.peers.partner, name, value)
    assert codes(made) == [code]
    assert words in text(made)


def test_a_slave_that_has_not_everything_says_so() -> None:
    """Until its first comparison is over."""
    catching_up = agent(Role.SLAVE, partner())
    catching_up.replication.complete = None
    assert codes(catching_up) == ["catching_up"]


def test_many_problems_are_counted() -> None:
    """Three are said, the others numbered."""
    refused = tuple(Refused("proxy", "lan1", f"x{n}", "10.0.0.5", "no", 999.0) for n in range(5))
    said = text(agent(Role.MASTER, partner(), named()), attrs.evolve(FACTS, refused=refused))
    assert said.count(" is refused: no") == 3
    assert said.endswith("; and 2 more")


def test_problems_have_an_age() -> None:
    """Since they were first seen, until they are gone."""
    onsets, store = Onsets(), Problem("store", "", "x")
    assert [each.since_s for each in onsets.dated([store], 10.0)] == [0.0]
    assert [each.since_s for each in onsets.dated([attrs.evolve(store, text="y")], 15.0)] == [5.0]
    assert onsets.dated([], 16.0) == []
    assert [each.since_s for each in onsets.dated([store], 20.0)] == [0.0]


async def test_a_broken_store_shows_in_the_status_of_a_running_agent(tmp_path: Path) -> None:
    """As soon as the store says so."""
    async with run_agents(write_files(tmp_path)) as (one,):
        one.store.status = StoreStatus(False, "the disk is full")
        told = one.handler.status()
        assert (told["healthy"], told["store"]) == (False, {"ok": False, "error": "the disk is full"})
        assert told["problems"][0]["code"] == "store"
