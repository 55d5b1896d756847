"""The login page as a part of `proxyagent run`: [login] says where it is served."""

import attrs

from protocol.io.http.server import HttpServer
from protocol.io.http_door import HttpUnusable, Place, open_place
from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup
from proxyagent.integrations.adapter import AdapterUnusable
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.login import page
from proxyagent.login.identity import BackendUnusable

CONNECTIONS_MAX = 500
"""Whoever opens that many keeps others from the page for five seconds at a time; who is signed in needs it not."""


@attrs.frozen
class LoginPage:
    """Serves the page."""

    setup: ProxySetup

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        """Serve until cancelled. Raises AdapterUnusable."""
        keys = ClientKeys(self.setup.configuration.client)
        place = self._place()
        try:
            hsts = bool(place.certificate) and not place.plain  # behind a front it is the front's to say
            app = await page.make(self.setup, agent, keys, log, hsts=hsts)
            server = HttpServer(app, log, CONNECTIONS_MAX)
            listeners, tls = await open_place(place)
        except (BackendUnusable, HttpUnusable) as error:
            raise AdapterUnusable(str(error)) from None
        if place.insecure_plain and tls is None:
            log.warning("login.insecure", at=place.listen)
        log.note("http.listening", at=place.listen, tls=tls is not None)
        await server.serve(listeners, tls)

    def _place(self) -> Place:
        settings = self.setup.configuration.login
        certificate, key = map(self.setup.file, self.setup.configuration.login_certificate)
        plain = settings.insecure_plain
        return Place(settings.listen, certificate, key, section="login", insecure_plain=plain)
