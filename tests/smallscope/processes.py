"""Who lives in the small world: the shipping machines, as they are started there.

Rules of this file: chance is fixed, clocks agree, and whoever starts anew bears the next generation.
"""

from typing import Any

from authagent.core import events as agent_on
from authagent.core.agent import Agent
from authagent.core.settings import Settings as AgentSettings
from protocol import codec
from protocol.session import State
from protocol.stamp import Now
from protocol.table import Table
from proxyagent.core import events as proxy_on
from proxyagent.core.client import Client
from proxyagent.core.settings import AgentName
from proxyagent.core.settings import Settings as ProxySettings
from tests.smallscope.network import Disk, Link

SITE = "lan1"
DIGEST_KEY = b"k" * 32
SECRET_ID = b"sec1"
EPOCH_MS = 1_790_000_000_000
AGENTS = ("a1", "a2")
PROXIES = ("p1", "p2")


class Dice:
    """No chance: a half, and one number after the other."""

    def __init__(self, drawn: int) -> None:
        self.drawn = drawn

    def random(self) -> float:
        return 0.5

    def getrandbits(self, bits: int, /) -> int:
        self.drawn += 2
        return self.drawn


def clocks(now_ms: int) -> Now:
    """Everybody's clocks."""
    return Now(now_ms / 1000, now_ms + 1_000_000, EPOCH_MS + now_ms)


def started(name: str, generation: int, disk: Disk | None, now: Now) -> tuple[Agent | Client, Any]:
    """A machine that begins, an agent with what its disk holds; and the event that it is to be told."""
    dice = Dice(1 + 10_000 * (generation * 4 + (*AGENTS, *PROXIES).index(name)))
    if disk is None:
        return Client(_proxy_settings(name), dice, now), proxy_on.Started()
    table = Table(digest_key=DIGEST_KEY)
    for payload in disk.payloads:
        table.merge(codec.decode_changes(payload), None)
    number = int(name[1:])
    settings = AgentSettings(site=SITE, id=number, partner=3 - number)
    return Agent(settings, table, dice, SECRET_ID), agent_on.Started(disk.term)


def linked(number: int, link: Link, name: str, generation: int) -> Any:
    """What a process is told when a link opens; `generation` is the other's."""
    other = link.other(name)
    if name in PROXIES:
        return proxy_on.LinkOpened(number, AGENTS.index(other), other)
    return agent_on.LinkOpened(
        link=number,
        kind="agent" if other in AGENTS else "proxy",
        site=SITE,
        id=other[1:] if other in AGENTS else other,
        incarnation=generation * 10 + (*AGENTS, *PROXIES).index(other),
        address=other,
        software="test",
        configuration_equal=True,
        wall_offset_ms=0,
        dialled=link.dialler == name,
    )


def states(machine: Agent | Client) -> dict[object, State]:
    """Every login that a machine knows."""
    table = machine.table if isinstance(machine, Agent) else machine.cache.table
    return {
        (*page.origin, page.first + place): State(page.states[place])
        for page in table._pages
        for place in page.taken()
    }


def _proxy_settings(name: str) -> ProxySettings:
    return ProxySettings(
        site=SITE,
        id=name,
        agents=tuple(AgentName(SITE, agent[1:]) for agent in AGENTS),
        digest_key=DIGEST_KEY,
        digest_key_id=SECRET_ID,
        max_lifetime_ms=3_600_000,
    )
