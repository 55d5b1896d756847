"""Asks every listed agent at the same time, for `authagent check`.

Rules of this file:

- An asker's link is of the kind "check": the agent proves itself, is proven to, and neither counts nor keeps it.
- Each agent has the time of [timing] connect_timeout, and one that is silent holds up no other.
"""

from collections.abc import Awaitable, Callable

import attrs
import trio

from authagent.findings import Finding
from authagent.verdicts import Answered, Failed, Refused, verdict
from protocol.configuration import AuthAgentEntry, Configuration
from protocol.secret import Secrets


@attrs.frozen(kw_only=True)
class Asker:
    """As whom the agents are asked: an agent's or a proxy's id in a site."""

    site: str
    id: str


Ask = Callable[[str, AuthAgentEntry, Configuration, Secrets, Asker], Awaitable[Answered | Refused | Failed]]


async def ask_all(found: Configuration, secrets: Secrets, asker: Asker, ask: Ask) -> tuple[Finding, ...]:
    """One finding for each listed agent, by site and id."""
    agents = [agent for site in found.sites for agent in found.agents_of(site)]
    findings: dict[int, Finding] = {}

    async def one(number: int, agent: AuthAgentEntry) -> None:
        host = agent.host if agent.site == asker.site else agent.wan_host or agent.host
        answer: Answered | Refused | Failed = Failed("timed_out", "")
        with trio.move_on_after(found.timing.connect_timeout_s):
            answer = await ask(host, agent, found, secrets, asker)
        findings[number] = verdict(agent, host, answer, asker.id, found)

    async with trio.open_nursery() as nursery:
        for number, agent in enumerate(agents):
            nursery.start_soon(one, number, agent)
    return tuple(findings[number] for number in sorted(findings))
