"""Turns links and time into the machine's events, and its commands into what happens.

Rules of this file:

- It decides nothing. Commands are performed in the order in which they come; none of them waits.
- The machine is entered by one thread at a time: `guard` is held meanwhile. Tasks run in trio's thread only; another
  thread that has changed the copy wakes it through its token.
- What a host program does leaves at once when nothing is on its way, else at the end of the tick, in one frame.
- A broken machine is a bug of ours: `break_down` closes the agent, and the host program goes on. A mistake in reading
  what one peer sends costs no more than its link.
"""

import math
import threading
from collections.abc import Callable
from typing import TypeVar

import attrs
import trio

from protocol.errors import Code
from protocol.io.link import LinkClosed, LinkFailed, LinkRefused
from protocol.io.log import Severity, StandardLogging, Write
from protocol.stamp import Now
from proxyagent.cookie import KeyRing
from proxyagent.core import commands, events
from proxyagent.core.client import Client
from proxyagent.core.inputs import WrongType
from proxyagent.dialling import AgentLink, Site
from proxyagent.errors import Closed, Error, InternalError
from proxyagent.notices import Resynced
from proxyagent.subscriptions import Subscriptions
from proxyagent.waiters import Waiters

BULK_BELOW_BYTES = 64 * 1024
"""Bulk of a comparison is sent when less than this is queued, so that live changes go first."""

_SEVERITIES = {"info": Severity.INFO, "warning": Severity.WARNING, "alarm": Severity.ALARM}

Answer = TypeVar("Answer")


@attrs.frozen
class Clock:
    """Where time comes from: `monotonic_s` is the same clock as that in what `read` returns."""

    read: Callable[[], Now]
    monotonic_s: Callable[[], float]


class Shell:
    """What runs around one client machine. `run` is its life; the rest may be called before, during and after it."""

    def __init__(self, client: Client, site: Site, clock: Clock, write: Write | None = None) -> None:
        self.client = client
        self.guard = threading.RLock()
        self.subscriptions = Subscriptions()
        self.moved = trio.Event()
        self.waiters = Waiters(client.outbox.reached)
        self.failure: Error | None = None
        self.last_resync: Resynced | None = None
        self.clock = clock
        self._site = site
        self._write = StandardLogging("proxyagent") if write is None else write
        self._links: dict[int, AgentLink] = {}
        self._links_made = 0
        self._nursery: trio.Nursery | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._thread = 0
        self._wake = trio.Event()
        self._sleeps_until_s = -math.inf
        self._leaves_at_tick = False

    @property
    def ring(self) -> KeyRing | None:
        """The keys of the failover cookie, as of the last reading of the file."""
        return self._site.ring

    @property
    def cookie_name(self) -> str:
        """What browsers call it."""
        return self._site.cookie_name

    @property
    def queued_bytes(self) -> int:
        """What waits to leave on all links."""
        return sum(link.queued_bytes for link in self._links.values())

    # -- entering the machine --------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise why the agent is closed, if it is."""
        if self.failure is not None:
            raise self.failure

    def call(self, ask: Callable[[Client, Now], Answer]) -> Answer:
        """Do what the host program wants. Raises Closed, what the arguments deserve, or InternalError."""
        client = self.client
        with self.guard:
            if self.failure is not None:
                raise self.failure
            try:
                now = self.clock.read()
                client.notice_pause(now)
                answer = ask(client, now)
            except (Error, WrongType):
                raise
            except Exception as error:
                raise self.break_down(error) from error
            for notice in client.endings.take():
                self.subscriptions.deliver(notice)
            self.let_leave()
            return answer

    def step(self, event: events.Event) -> None:
        """Tell the machine what has happened, and do what it wants."""
        with self.guard:
            if self.failure is not None:
                return
            try:
                for command in self.client.step(event, self.clock.read()):
                    self._perform(command)
            except Exception as error:  # noqa: BLE001 - as above
                self.break_down(error)
        if self.client.deadline < self._sleeps_until_s:
            self._wake.set()

    def let_leave(self) -> None:
        """See to it that what is in the outbox leaves."""
        if self._leaves_at_tick or self._token is None or not self.client.cache.has_unsent:
            return
        if threading.get_ident() != self._thread:
            self._leaves_at_tick = True
            self._token.run_sync_soon(self._rouse, idempotent=True)
        elif self.client.hurry:
            self.step(events.Changed())
        elif self.client.conversation is not None:
            self._leaves_at_tick = True
            self._wake.set()

    def _rouse(self) -> None:
        self._wake.set()

    def reconfigure(self, site: Site) -> None:
        """Go on with other settings, secrets and agents; what links were made with the old ones is made anew."""
        self._site = site
        self.step(events.Reconfigured(site.settings))

    # -- performing ------------------------------------------------------------------------------------------------

    def _perform(self, command: commands.Command) -> None:
        match command:
            case commands.Send():
                link = self._links.get(command.link)
                if link is not None:
                    link.send(command.message)
            case commands.Notify():
                if isinstance(command.notice, Resynced):
                    self.last_resync = command.notice
                self.subscriptions.deliver(command.notice)
            case commands.WakeWaiters():
                self._wake_waiters()
            case commands.Dial():
                self._start(self._dial, self._site, command.agent, command.timeout_s)
            case commands.AwaitRoom():
                self._start(self._await_room, command.link)
            case commands.Close():
                link = self._links.get(command.link)
                if link is not None:
                    link.close(command.code, command.text)
            case commands.Log():
                self._write(_SEVERITIES[command.grade], command.event, command.keys)

    def _wake_waiters(self) -> None:
        self.waiters.wake()
        if self.moved.statistics().tasks_waiting:
            self.moved.set()
            self.moved = trio.Event()

    def _start(self, task: Callable[..., object], *arguments: object) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(task, *arguments)  # type: ignore[arg-type]

    # -- tasks -----------------------------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the copy current until cancelled, or until something breaks. Raises nothing of its own."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._token = trio.lowlevel.current_trio_token()
                self._thread = threading.get_ident()
                self.step(events.Started())
                task_status.started()
                await self._keep_time(nursery)
        finally:
            self._nursery = self._token = None
            for link in self._links.values():
                link.close(Code.STOPPING, "leaving")
            self._links.clear()

    async def _keep_time(self, nursery: trio.Nursery) -> None:
        while self.failure is None:
            self._sleeps_until_s = self.client.deadline
            with trio.move_on_after(max(0.0, self._sleeps_until_s - self.clock.monotonic_s())):
                await self._wake.wait()
            self._sleeps_until_s = -math.inf
            if self._wake.is_set():
                self._wake = trio.Event()
            if self._leaves_at_tick:
                self._leaves_at_tick = False
                self.step(events.Changed())
            if self.client.deadline <= self.clock.monotonic_s():
                self.step(events.DeadlinePassed())
        nursery.cancel_scope.cancel()

    async def _dial(self, site: Site, agent: int, timeout_s: float) -> None:
        link: AgentLink | None = None
        failed: events.DialFailed | None = None
        try:
            link = await site.dialler(agent, timeout_s)
        except LinkRefused as error:
            failed = events.DialFailed(agent, error.code, error.text, error.elsewhere)
        except LinkFailed as error:
            failed = events.DialFailed(agent, None, error.text)
        except Exception as error:  # noqa: BLE001 - a mistake in reading what answers there costs the link, not the copy
            self._broken(site.hosts[agent], error)
            failed = events.DialFailed(agent, None, "internal error")
        if site is not self._site:  # the file was read again: places mean others now, and are dialled anew
            if link is not None:
                link.close(Code.SUPERSEDED, "reading the file again")
            return
        if link is None:
            assert failed is not None, "it is made, or it failed"
            self.step(failed)
            return
        self._links_made += 1
        number = self._links_made
        self._links[number] = link
        self.step(events.LinkOpened(number, agent, site.hosts[agent]))
        await self._converse(number, link, site.hosts[agent])

    async def _converse(self, number: int, link: AgentLink, host: str) -> None:
        """Hand on what one link brings, to its end."""
        try:
            while True:
                messages = await link.receive()
                self.step(events.MessagesReceived(number, tuple(messages)))
        except LinkClosed as closed:
            self.step(events.LinkClosed(number, closed.code, closed.text, closed.elsewhere))
        except Exception as error:  # noqa: BLE001 - as above; `step` raises nothing
            self._broken(host, error)
            link.close(Code.PROTOCOL, "internal error")
            self.step(events.LinkClosed(number, Code.PROTOCOL, "internal error", ""))
        finally:
            if self._links.pop(number, None) is not None:
                link.close(Code.STOPPING, "leaving")

    def _broken(self, host: str, error: Exception) -> None:
        """Tell of a mistake of ours in reading one peer, which costs its link."""
        self._write(Severity.ALARM, "link.broken", {"peer": host, "error": repr(error)})

    async def _await_room(self, number: int) -> None:
        link = self._links.get(number)
        if link is not None:
            await link.wait_room(BULK_BELOW_BYTES)
            self.step(events.LinkDrained(number))

    # -- ending ----------------------------------------------------------------------------------------------------

    async def leave(self, timeout_s: float) -> None:
        """Report what was seen, wait until the site has it, at most so long, and say farewell."""
        with self.guard:
            if self.failure is None:
                self.client.service.flush(self.clock.read())
        self.step(events.Changed())
        with trio.move_on_after(timeout_s):
            while self.failure is None and self.client.outbox.events and not self.client.isolated:
                await self.moved.wait()
        links = list(self._links.values())
        self.step(events.StopAsked())
        with trio.move_on_after(timeout_s):
            for link in links:
                await link.wait_closed()

    def close(self, failure: Error) -> None:
        """From now on every call raises `failure`. Harmless when repeated."""
        with self.guard:
            if self.failure is not None:
                return
            self.failure = failure
            self.client.cache.shown.forget_all()
        self.subscriptions.end(None if isinstance(failure, Closed) else failure)
        self.moved.set()
        self.waiters.release()
        self._wake.set()

    def abandon(self, failure: Error) -> None:
        """In a forked child: every call raises `failure` from now on; nothing of the parent's is touched."""
        self.failure = failure
        self.client.cache.shown.forget_all()

    def break_down(self, error: Exception) -> Error:
        """An invariant of ours is broken: close, and tell everybody who asks."""
        self._write(Severity.ALARM, "agent.broken", {"error": repr(error)})
        text = f"a broken invariant ({type(error).__name__}: {error}); the ProxyAgent has closed itself"
        self.close(InternalError(text))
        assert self.failure is not None, "it has just been closed"
        return self.failure
