"""The adapter for nginx, Traefik, Caddy and Envoy: opens the door that [forward_auth] names, and serves it.

Rules of this file:

- Off loopback it is plain HTTP, too: what a front asks says who visits what. So a Unix socket is the ordinary door,
  and another machine's front belongs on a network of one's own.
- The door is opened with the first full copy, or after FIRST_COPY_S without one: whoever is logged in is not sent to
  log in because a process was started anew.
- Closing is the answer to everything that cannot be answered: a front that gets no answer lets nobody in.
"""

import functools
import socket
from contextlib import ExitStack

import attrs
import trio

from protocol import addresses
from protocol.configuration import ForwardAuthSettings
from protocol.io.control_socket import ControlPathError, listening
from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup
from proxyagent.integrations.adapter import AdapterUnusable
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.forward_auth.conversation import Conversation
from proxyagent.integrations.forward_auth.doors import Doors
from proxyagent.integrations.forward_auth.gate import Gate

BACKLOG = 256

FIRST_COPY_S = 2.0
"""As long as the daemon waits before it says that it is ready."""


@attrs.frozen
class ForwardAuth:
    """Serves one door: `path`, of a Unix socket, or where it is empty HOST:PORT as the settings have it."""

    settings: ForwardAuthSettings
    path: str
    keys: ClientKeys
    login_url: str
    carried: bool

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        """Serve until cancelled. Raises AdapterUnusable."""
        gate = Gate(agent, self.keys, self.login_url, self.carried)

        def converse(peer: str) -> Conversation:
            return Conversation(functools.partial(gate.reply, peer))

        if not agent.ever_synchronised:
            with trio.move_on_after(FIRST_COPY_S):
                await agent.wait_synchronised()
        with ExitStack() as closing:
            listener = await self._listen(closing)
            log.note("forward_auth.listening", at=self.path or self.settings.listen)
            await Doors(listener, self.keys.trusts, converse, log).serve()

    def is_as(self, other: object) -> bool:
        """Whether a reload has changed nothing here: the door stays open, and no question is lost."""
        return self == other

    async def _listen(self, closing: ExitStack) -> socket.socket:
        try:
            if self.path:
                door = listening(self.path, mode=self.settings.mode, group=self.settings.group)
                return closing.enter_context(door)
            return closing.enter_context(await trio.to_thread.run_sync(_listening_at, self.settings.listen))
        except ControlPathError as error:
            raise AdapterUnusable(f"[forward_auth] listen: {error}") from None
        except OSError as error:
            at = self.settings.listen
            raise AdapterUnusable(f"[forward_auth] listen: {at} cannot be had: {error.strerror or error}") from None


def make(setup: ProxySetup) -> ForwardAuth:
    """The adapter as the configuration says. The caller has seen that it is wanted."""
    settings = setup.configuration.forward_auth
    return ForwardAuth(
        settings,
        path=setup.file(settings.listen) if "/" in settings.listen else "",
        keys=ClientKeys(setup.configuration.client),
        login_url=settings.login_url,
        carried=bool(setup.configuration.cookie.key_files),
    )


def _listening_at(place: str) -> socket.socket:
    """A nonblocking socket that listens there. Blocks on the resolver where a name is to be resolved."""
    host, port = addresses.split(place)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener
