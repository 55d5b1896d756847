"""The login page, put together as the configuration says, for the adapter that serves it."""

import secrets

import trio

from protocol.io.http.guard import App, application
from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup
from proxyagent.login import backends
from proxyagent.login.gate import Gate
from proxyagent.login.routes import LoginPage
from proxyagent.login.texts import Texts
from proxyagent.login.visitor import Keys, Reception

COOKIE_BYTES = 32


async def make(setup: ProxySetup, agent: ProxyAgent, keys: Keys, log: Log, *, hsts: bool = False) -> App:
    """The page as an ASGI application; `hsts` has browsers insist on TLS. Raises BackendUnusable. Reads files."""
    settings = setup.configuration.login
    backend = await trio.to_thread.run_sync(backends.make, setup)
    texts = await trio.to_thread.run_sync(Texts, setup.file(settings.texts))
    gate = Gate(agent, keys, backend, lambda: secrets.token_urlsafe(COOKIE_BYTES), log)
    page = LoginPage(gate, Reception(agent, keys, settings.hosts), texts, settings.return_hosts, hsts=hsts)
    return application(page.routes())
