"""What an agent answers over HTTP: health for load balancers, numbers for Prometheus, the status page for people.

Rules of this file:

- Whether and where it is served is protocol.io.http_door's; bounds are protocol.io.http's.
- Each part brings its routes; they are put together here and nowhere else.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from authagent.admin.handler import Handler
from authagent.admin.status import ROLES
from authagent.http.metrics import METRICS, scrape
from authagent.http.readiness import is_ready
from authagent.server import Server
from authagent.webhook.hooks import Hooks
from protocol.io.http import guard
from protocol.io.http.guard import App
from protocol.io.http.metrics import metrics_route
from protocol.io.http_door import HttpDoor


def application(server: Server, handler: Handler, door: HttpDoor, hooks: Hooks, page: Sequence[BaseRoute]) -> App:
    """The agent's HTTP: an ASGI application without a life of its own (no lifespan). `page` are the page's routes."""
    return guard.application([*routes(server, handler, door, hooks), *page])


def routes(server: Server, handler: Handler, door: HttpDoor, hooks: Hooks) -> Sequence[BaseRoute]:
    """Everything that can be asked for."""
    return [*_health(server), metrics_route("authagent", METRICS, lambda: scrape(server, handler, door, hooks))]


def _health(server: Server) -> list[Route]:
    async def health(request: Request) -> Response:
        """The process is alive: whoever restarts what does not answer asks this."""
        return JSONResponse({"alive": True})

    async def ready(request: Request) -> Response:
        """It serves, or stands by with the master's table; load balancers ask this."""
        told = {"ready": is_ready(server), "role": ROLES[server.agent.election.role]}
        return JSONResponse(told, 200 if told["ready"] else 503)

    return [Route("/health", health), Route("/ready", ready)]
