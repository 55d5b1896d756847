"""What `proxyagent run` answers over HTTP: health, readiness, numbers. An isolated proxy has nobody else to tell of it.

Rules of this file:

- Whether and where it is served is protocol.io.http_door's; bounds are protocol.io.http's.
- Isolated is not ready, though look-ups are answered: `answering` in the same object says that.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from protocol.io.http import guard
from protocol.io.http.guard import App
from protocol.io.http.metrics import metrics_route
from protocol.io.http_door import HttpDoor
from proxyagent.agent import ProxyAgent
from proxyagent.http.metrics import METRICS, is_ready, scrape


def application(agent: ProxyAgent, door: HttpDoor) -> App:
    """The proxy's HTTP: an ASGI application without a life of its own (no lifespan)."""
    return guard.application(routes(agent, door))


def routes(agent: ProxyAgent, door: HttpDoor) -> Sequence[BaseRoute]:
    """Everything that can be asked for."""
    return [*_health(agent), metrics_route("proxyagent", METRICS, lambda: scrape(agent, door))]


def _health(agent: ProxyAgent) -> list[Route]:
    async def health(request: Request) -> Response:
        """The process is alive, and its ProxyAgent has not broken."""
        alive = agent.shell.failure is None
        return JSONResponse({"alive": alive}, 200 if alive else 503)

    async def ready(request: Request) -> Response:
        """It follows an AuthAgent, with a full copy; load balancers ask this."""
        if agent.shell.failure is not None:
            return JSONResponse({"ready": False, "isolated": True, "answering": False}, 503)
        figures = agent.statistics()
        told = {"ready": is_ready(figures), "isolated": figures.isolated, "answering": figures.answering}
        return JSONResponse(told, 200 if told["ready"] else 503)

    return [Route("/health", health), Route("/ready", ready)]
