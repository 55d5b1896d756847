"""The ProxyAgent for programs without trio: a thread hosts the loop, every call crosses to it once.

Rules of this file:

- One implementation, two colours: nothing is decided here.
- A look-up reads the copy in place, from any thread; only login and logout, which send, and what waits, cross over.
- After a fork every call raises Closed: the thread is the parent's, and so are the login ids.
- No signal handlers: the host program's own reach its own main thread.
"""

import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Self, TypeVar

import attrs
import trio

from proxyagent.agent import ProxyAgent, open_proxy_agent
from proxyagent.blocking_items import BlockingChallenges, BlockingCodes
from proxyagent.core.inputs import GivenAttributes
from proxyagent.core.outbox import Level
from proxyagent.errors import Closed
from proxyagent.notices import Notice, Resynced
from proxyagent.session import Session
from proxyagent.statistics import Statistics

CLOSE_TIMEOUT_S = 5.0
"""For the thread to end: leaving flushes for a second, twice at most."""

Answer = TypeVar("Answer")


@attrs.define
class _Hosted:
    """What the thread hands over when the agent is open, or could not be opened."""

    agent: ProxyAgent | None = None
    token: trio.lowlevel.TrioToken | None = None
    failure: BaseException | None = None
    ready: threading.Event = attrs.field(factory=threading.Event)


class BlockingProxyAgent:
    """A ProxyAgent for threads, and for asyncio; its methods are those of ProxyAgent, blocking where those wait.

    Opening waits at most `start_timeout` for the first full copy, and raises ConfigurationError at once for a bad
    file. `close` it, or use it as a context manager. In asyncio, call what may wait (wait_acknowledged, resync,
    close) through asyncio.to_thread; the others are quick.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | None = None,
        *,
        id: str | None = None,
        site: str | None = None,
        start_timeout: float = 2.0,
    ) -> None:
        self._hosted = _Hosted()
        self._leave = trio.Event()
        self._pid = os.getpid()
        self._thread = threading.Thread(
            target=self._host, args=(config, id, site, start_timeout), name="proxyagent", daemon=True
        )
        self._thread.start()
        self._hosted.ready.wait()
        if self._hosted.failure is not None:
            self._thread.join()
            raise self._hosted.failure

    def _host(self, *arguments: Any) -> None:
        """The thread: trio from its beginning to its end."""
        try:
            trio.run(self._serve, *arguments, restrict_keyboard_interrupt_to_checkpoints=True)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits, or kept for whoever calls next
            self._hosted.failure = error
        finally:
            self._hosted.ready.set()

    async def _serve(
        self, config: str | os.PathLike[str] | None, id: str | None, site: str | None, start_timeout: float
    ) -> None:
        async with open_proxy_agent(config, id=id, site=site, start_timeout=start_timeout) as agent:
            self._hosted.agent = agent
            self._hosted.token = trio.lowlevel.current_trio_token()
            self._hosted.ready.set()
            await self._leave.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Flush, at most a second, and end the thread. Harmless when repeated, and in a forked child."""
        token = self._hosted.token
        if os.getpid() != self._pid or token is None:
            return
        try:
            token.run_sync_soon(self._leave.set, idempotent=True)
        except trio.RunFinishedError:
            pass  # it has been closed already
        self._thread.join(CLOSE_TIMEOUT_S)

    # -- in place --------------------------------------------------------------------------------------------------

    def lookup(self, key: str, *, touch: bool = True) -> Session | None:
        """As ProxyAgent.lookup: reads the copy in this thread, in about a microsecond."""
        return self._agent.lookup(key, touch=touch)

    def touch(self, key: str) -> bool:
        """As ProxyAgent.touch."""
        return self._agent.touch(key)

    def sessions(self, user: str | None = None) -> tuple[Session, ...]:
        """As ProxyAgent.sessions."""
        return self._agent.sessions(user)

    def statistics(self) -> Statistics:
        """As ProxyAgent.statistics."""
        return self._agent.statistics()

    @property
    def cookie_name(self) -> str:
        """As ProxyAgent.cookie_name."""
        return self._agent.cookie_name

    def seal_cookie(self, session: Session) -> str | None:
        """As ProxyAgent.seal_cookie, in this thread."""
        return self._agent.seal_cookie(session)

    def renew_cookie(self, session: Session, held: str | None) -> str | None:
        """As ProxyAgent.renew_cookie, in this thread."""
        return self._agent.renew_cookie(session, held)

    @property
    def synchronised(self) -> bool:
        return self._agent.synchronised

    @property
    def ever_synchronised(self) -> bool:
        return self._agent.ever_synchronised

    @property
    def isolated(self) -> bool:
        return self._agent.isolated

    # -- across ----------------------------------------------------------------------------------------------------

    def login(
        self,
        key: str,
        user: str,
        attributes: GivenAttributes | None = None,
        *,
        idle_timeout: float | None = None,
        lifetime: float | None = None,
    ) -> Session:
        """As ProxyAgent.login."""
        agent = self._agent
        return self._call(lambda: agent.login(key, user, attributes, idle_timeout=idle_timeout, lifetime=lifetime))

    def logout(self, key: str | None = None, *, user: str | None = None) -> tuple[Session, ...]:
        """As ProxyAgent.logout."""
        agent = self._agent
        return self._call(lambda: agent.logout(key, user=user))

    def honour_cookie(self, token: str | None, key: str) -> Session | None:
        """As ProxyAgent.honour_cookie."""
        agent = self._agent
        return self._call(lambda: agent.honour_cookie(token, key))

    def wait_acknowledged(self, what: Session | Iterable[Session], level: Level = "site", timeout: float = 5.0) -> None:
        """As ProxyAgent.wait_acknowledged. Blocks this thread."""
        agent = self._agent
        self._wait(lambda: agent.wait_acknowledged(what, level, timeout))

    def resync(self, timeout: float = 10.0) -> Resynced:
        """As ProxyAgent.resync. Blocks this thread."""
        agent = self._agent
        return self._wait(lambda: agent.resync(timeout))

    @property
    def codes(self) -> BlockingCodes:
        """As ProxyAgent.codes; its methods block this thread."""
        return BlockingCodes(self._agent.codes, self._wait)

    @property
    def challenges(self) -> BlockingChallenges:
        """As ProxyAgent.challenges; its methods block this thread."""
        return BlockingChallenges(self._agent.challenges, self._wait)

    def notices(self) -> Iterator[Notice]:
        """As ProxyAgent.notices, as an ordinary iterator that blocks for the next one and ends with the agent.

        The subscription begins with this call.
        """
        subscription = self._call(self._agent.notices)

        def each() -> Iterator[Notice]:
            try:
                while True:
                    try:
                        yield self._wait(subscription.__anext__)
                    except (StopAsyncIteration, Closed):
                        return
            finally:
                with contextlib.suppress(Closed):
                    self._call(subscription.close)

        return each()

    @property
    def _agent(self) -> ProxyAgent:
        agent = self._hosted.agent
        if agent is None or os.getpid() != self._pid:
            raise Closed("this process is a fork of the one that opened the ProxyAgent; open a new one")
        agent.shell.check()
        return agent

    def _call(self, what: Callable[[], Answer]) -> Answer:
        try:
            return trio.from_thread.run_sync(what, trio_token=self._hosted.token)
        except trio.RunFinishedError:
            raise Closed("the ProxyAgent was closed; open a new one") from None

    def _wait(self, what: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            return trio.from_thread.run(what, trio_token=self._hosted.token)
        except (trio.RunFinishedError, trio.Cancelled):
            raise Closed("the ProxyAgent was closed; open a new one") from None
