"""What HAProxy's `agent-check` is answered: whether to send users to the proxy on this machine.

Rules of this file:

- `up ready` once this process has ever had a full copy, also while no AuthAgent is in reach: it knows everybody who was
  known then (DESIGN section 9, promise 5). Before that `down # syncing`: a proxy that was started anew asks nobody to
  log in who is logged in.
- `down # not answering` where keep_sessions lets look-ups stop; `drain` while the operator or the end of this process
  wants it: connections go on, new ones go elsewhere.
- HAProxy opens a connection, reads one line and closes; it takes no answer for no change.

Source: HAProxy's configuration manual, `agent-check`.
"""

from collections.abc import Callable

import attrs
import trio

from protocol import addresses
from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup
from proxyagent.integrations.adapter import AdapterUnusable

WRITE_TIMEOUT_S = 1.0
"""For a dozen bytes; who does not take them is no HAProxy."""

CONNECTIONS_MAX = 64
"""At one time: a handful of HAProxys that each ask once in a while."""

ASKED_LATELY_S = 5.0
"""Who has asked within this time will ask again soon; HAProxy's default interval is 2 s."""

TELL_S = 0.8
"""How long a process that ends goes on answering `drain`: HAProxys that ask a few times a second hear it."""

PAUSE_S = 0.1
"""After the system refused another connection."""


def make(setup: ProxySetup) -> "AgentCheck | None":
    """An adapter where [haproxy] agent_check names a place."""
    listen = setup.configuration.haproxy.agent_check
    return AgentCheck(listen) if listen else None


def answer(agent: ProxyAgent, *, draining: bool) -> str:
    """The line for HAProxy, without its end."""
    if draining:
        return "drain"
    if not agent.ever_synchronised:
        return "down # syncing"
    return "up ready" if agent.answering else "down # not answering"


@attrs.define
class AgentCheck:
    """Answers at `listen`, HOST:PORT."""

    listen: str
    _draining: bool = False
    _asked_s: float | None = None
    _connections: int = 0

    def drain(self, wanted: bool) -> None:
        """Ask for no new users from now on, or for them again."""
        self._draining = wanted

    async def wait_drained(self) -> None:
        """Wait until every HAProxy has asked again and was told. Returns at once where none has asked lately."""
        if self._asked_s is not None and trio.current_time() - self._asked_s < ASKED_LATELY_S:
            await trio.sleep(TELL_S)

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        """Answer until cancelled. Raises AdapterUnusable where `listen` cannot be had."""
        host, port = addresses.split(self.listen)
        try:
            listeners = await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            text = f"[haproxy] agent_check: cannot listen at {self.listen}: {error.strerror or error}"
            raise AdapterUnusable(text) from None
        log.note("haproxy.agent_check_listening", at=self.listen)
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept, listener, lambda: answer(agent, draining=self._draining), nursery)

    async def _accept(self, listener: trio.SocketListener, line: Callable[[], str], nursery: trio.Nursery) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError:  # too many open files, or a caller that left
                    await trio.sleep(PAUSE_S)
                    continue
                if self._connections >= CONNECTIONS_MAX:
                    await trio.aclose_forcefully(stream)
                else:
                    nursery.start_soon(self._tell, stream, line())

    async def _tell(self, stream: trio.SocketStream, line: str) -> None:
        """One answer; raises nothing."""
        self._connections += 1
        self._asked_s = trio.current_time()
        try:
            with trio.move_on_after(WRITE_TIMEOUT_S):
                async with stream:
                    await stream.send_all(f"{line}\n".encode())
                    await stream.send_eof()
                    await stream.receive_some(1)  # HAProxy closes first, or the answer could be lost to a reset
        except (trio.BrokenResourceError, OSError):
            pass  # it left; it will ask again
        finally:
            self._connections -= 1
