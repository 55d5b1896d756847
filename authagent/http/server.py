"""What an agent answers over HTTP: health for load balancers, numbers for Prometheus, the status page for people.

Rules of this file:

- Whether and where it is served is protocol.io.http_door's; bounds are protocol.io.http's.
- Each part brings its routes; they are put together here and nowhere else.
"""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from authagent.admin.handler import Handler
from authagent.admin.status import ROLES
from authagent.server import Server
from protocol.io.http.guard import App
from protocol.messages import Role


def application(server: Server, handler: Handler) -> App:
    """The agent's HTTP: an ASGI application without a life of its own (no lifespan)."""
    return Starlette(routes=routes(server, handler))


def routes(server: Server, handler: Handler) -> Sequence[BaseRoute]:
    """Everything that can be asked for."""
    return [*_health(server)]


def _health(server: Server) -> list[Route]:
    async def health(request: Request) -> Response:
        """The process is alive: whoever restarts what does not answer asks this."""
        return JSONResponse({"alive": True})

    async def ready(request: Request) -> Response:
        """It serves, or stands by with the master's table; load balancers ask this."""
        told = {"ready": is_ready(server), "role": ROLES[server.agent.election.role]}
        return JSONResponse(told, 200 if told["ready"] else 503)

    return [Route("/health", health), Route("/ready", ready)]


def is_ready(server: Server) -> bool:
    """Whether it is master, or a slave that has all that its master has."""
    agent = server.agent
    match agent.election.role:
        case Role.MASTER:
            return True
        case Role.SLAVE:
            return agent.replication.lead is not None and agent.replication.complete is not None
        case _:
            return False
