"""The part of `proxyagent run` that serves the squid beside it: its helpers, its access log, its manager.

Rules of this file:

- Helpers are answered at a Unix socket beside the control socket, with the same owner, group and mode. It is there once
  the copy is full: a helper waits for it as long as a question may take, and nobody who is known is asked for a
  password because this process started anew.
- The access log is activity: a line for each request and each tunnel that has ended, `ADDRESS [COOKIE]` as in a
  question, without an answer. It is believed from [client] trusted_proxies only.
- A manager that does not answer is told, and keeps nothing else from being served.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import trio

from protocol import addresses, places
from protocol.configuration import SquidSettings
from protocol.io.control_socket import ControlPathError, listening
from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup
from proxyagent.integrations.adapter import Adapter, AdapterUnusable
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.squid import manager
from proxyagent.integrations.squid.answers import Answers
from proxyagent.integrations.squid.conversation import Helper, take_log
from proxyagent.integrations.squid.fields import key_of
from proxyagent.integrations.squid.lines import accept
from proxyagent.integrations.squid.marks import Marks

COPY_TIMEOUT_S = 2.0
"""As long as the service manager waits for the first full copy (proxyagent.daemon)."""


def make(setup: ProxySetup) -> Adapter | None:
    """As [squid] says."""
    settings = setup.configuration.squid
    return Squid(setup, settings) if settings.helpers or settings.access_log or settings.manager else None


class Squid:
    """One turn of serving."""

    def __init__(self, setup: ProxySetup, settings: SquidSettings) -> None:
        self._setup = setup
        self._settings = settings
        self._keys = ClientKeys(setup.configuration.client)
        self._key_of = key_of(self._keys)

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        """Serve until cancelled. Raises AdapterUnusable."""
        with ExitStack() as stack:
            feed = stack.enter_context(_feed(self._settings.access_log)) if self._settings.access_log else None
            helpers = None
            if self._settings.helpers:
                await _wait_for_copy(agent)
                helpers = stack.enter_context(self._helpers())
            async with trio.open_nursery() as nursery:
                if feed is not None:
                    nursery.start_soon(accept, feed, partial(take_log, agent, self._keys, self._key_of), log)
                if helpers is not None:
                    nursery.start_soon(self._answer, helpers, agent, log)
                for place in self._settings.manager:
                    nursery.start_soon(manager.watch, place, agent, self._keys, log)

    async def _answer(self, listener: socket.socket, agent: ProxyAgent, log: Log) -> None:
        marks = Marks(agent)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(marks.follow)
                log.note("squid.listening", at=self._path)
                answers = Answers(agent, self._key_of, marks, log)
                await accept(listener, lambda incoming: Helper(agent, answers, incoming).converse(), log)
        finally:
            marks.close()

    @property
    def _path(self) -> str:
        try:
            return places.squid_socket(self._setup.control_path)
        except places.PathTooLong as error:
            raise AdapterUnusable(str(error)) from None

    @contextmanager
    def _helpers(self) -> Iterator[socket.socket]:
        control = self._setup.configuration.control
        try:
            with listening(self._path, mode=control.mode, group=control.group) as listener:
                yield listener
        except ControlPathError as error:
            raise AdapterUnusable(str(error)) from None


@contextmanager
def _feed(place: str) -> Iterator[socket.socket]:
    host, port = addresses.split(place)
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise AdapterUnusable(f"[squid] access_log: cannot listen at {place}: {error.strerror or error}") from None
    with listener:
        listener.setblocking(False)
        yield listener


async def _wait_for_copy(agent: ProxyAgent) -> None:
    """Until a copy that is empty is full for the first time; not for ever, for there may be no agent."""
    if not agent.ever_synchronised and not agent.statistics().sessions:
        with trio.move_on_after(COPY_TIMEOUT_S):
            await agent.wait_synchronised()
