"""What the host program and the operator are told of links: notices and log lines, as commands.

Rules of this file: the text is made here; whether and when there is something to tell is client.py's.
"""

from typing import TypeAlias

from proxyagent.core import commands
from proxyagent.core.conversation import Conversation
from proxyagent.core.progress import Compared
from proxyagent.core.settings import AgentName
from proxyagent.notices import AgentFound, AgentLost, AgentRefused, Resynced

Commands: TypeAlias = list[commands.Command]


def refused(name: AgentName, text: str) -> Commands:
    """An agent will not have this proxy, or this proxy will not have it."""
    return [
        commands.Notify(AgentRefused(name.id, text)),
        commands.Log("agent.refused", "warning", {"agent": name.id, "site": name.site, "reason": text}),
        commands.WakeWaiters(),
    ]


def lost(name: AgentName, text: str) -> Commands:
    """The agent that served does so no more."""
    return [
        commands.Notify(AgentLost(name.id, text)),
        commands.Log("agent.lost", "warning", {"agent": name.id, "site": name.site, "reason": text}),
        commands.WakeWaiters(),
    ]


def found(talk: Conversation, site: str, away_s: float | None) -> Commands:
    """An agent serves this proxy of `site`. `away_s` is how long another site has served it; None where none did."""
    name = talk.name
    keys: dict[str, object] = {"agent": name.id, "site": name.site, "address": talk.address}
    out: Commands = [
        commands.Notify(AgentFound(name.id, name.site, talk.address)),
        commands.Log("agent.found", "info", keys),
    ]
    if name.site != site:
        text = "no agent of the own site answers: another site serves"
        out.append(commands.Log("site.away", "warning", {"site": name.site, "agent": name.id, "text": text}))
    elif away_s is not None:
        out.append(commands.Log("site.home", "info", {"agent": name.id, "away_s": round(away_s, 1)}))
    return out


def compared(name: AgentName, done: Compared) -> Commands:
    """The copy and the master's table were made equal."""
    keys = {"sent": done.sent, "received": done.received, "duration_s": round(done.duration_s, 3)}
    return [
        commands.Notify(Resynced(done.sent, done.received, done.duration_s)),
        commands.Log("resynced", "info", {"agent": name.id, **keys}),
    ]
