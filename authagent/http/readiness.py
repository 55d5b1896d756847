"""Whether somebody may be sent to this agent. Pure."""

from authagent.core.agent import Agent
from authagent.server import Server
from protocol.messages import Role


def is_ready(server: Server) -> bool:
    """Whether it is master, or a slave that has all that its master has."""
    agent: Agent = server.agent
    match agent.election.role:
        case Role.MASTER:
            return True
        case Role.SLAVE:
            return agent.replication.lead is not None and agent.replication.complete is not None
        case _:
            return False
