"""The shell around the machine: links, store, timer and log; it turns what happens into events, and performs commands.

Rules of this file:

- The machine is stepped by whoever has an event, at once and to the end; nothing here awaits between a step and the
  performing of its commands. An event that comes up while commands are performed waits for its turn.
- A link's end is an event like any other, and so is a mistake of ours in reading from one: it costs that link. A
  broken invariant of the machine ends the process, from wherever it was stepped: `run` raises it.
- Bulk is sent only while little is queued on its link, so that live changes go first.
- A term goes to the disk before it goes to anybody, and nobody waits for the disk. It only decides which of two masters
  demotes; what an agent may forget by losing it is at most that. Waiting would keep a whole site without master for as
  long as a disk is slow, which is just when masters fail (docs/decisions/0005).
"""

from collections import deque
from collections.abc import Awaitable, Callable

import trio

from authagent import admission, kept_clock
from authagent.admission import Refusals
from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.agent import Agent
from authagent.core.settings import Dice
from authagent.dialling import ANSWERS, DEAD, Dialling
from authagent.listener import TCP, Listener, Network
from authagent.missed import Missed
from authagent.recent import Recent
from authagent.setup import Setup
from authagent.store import Store
from authagent.sync_errors import SyncErrors
from authagent.tally import Tally
from protocol import addresses, codec
from protocol.errors import Code, RemoteProtocolError
from protocol.handshake import Peer
from protocol.io.link import Link, LinkClosed, LinkFailed, LinkRefused
from protocol.io.log import Log
from protocol.messages import Bulk, Compare, Compared, Hello, Nodes, Pages, Refusal, Role, Want
from protocol.stamp import Now

BULK_QUEUED_BYTES = 128 * 1024
"""Bulk waits while more than this is queued: two slices, a tenth of a second at 10 Mbit/s."""

RELOAD_JITTER_S = 2.0
"""Links that a reload closes end within this time, so that their proxies do not all come back at once."""

BULKY = (Bulk, Compare, Nodes, Pages, Want, Compared)
"""What belongs to a comparison: its sender goes on when there is room."""


class Server:
    """One running agent. Made by wiring.py; `run` serves until told to exit."""

    def __init__(
        self, agent: Agent, setup: Setup, log: Log, clock: Callable[[], Now], dice: Dice, tally: Tally,
        network: Network = TCP, boot_id: str = "",
    ) -> None:  # fmt: skip
        self.agent = agent
        self.setup = setup
        self.log = log
        self.clock = clock
        self.tally = tally
        self.boot_id = boot_id
        self.recent = Recent()
        self.missed = Missed()
        self.refusals = Refusals()
        self.sync_errors = SyncErrors(log)
        self.store: Store | None = None
        self.links: dict[int, Link] = {}
        self.listener = Listener(
            lambda: self.setup.identity, lambda: self.setup.tls, self._admit, self._linked, log, clock, network.listen
        )
        self.carry_out: Callable[[bytes], Awaitable[bytes]]
        self.on_role: Callable[[Role, int], None] = lambda role, term: None
        self.dice = dice
        self._dialling = Dialling(lambda: self.setup, log, clock, network.connect)
        self._exit = trio.Event()
        self._broken: Exception | None = None
        self._leaving: set[Link] = set()
        self._counter = 0
        self._inbox: deque[on.Event] = deque()
        self._stepping = False
        self._draining: dict[int, bool] = {}
        self._answers: dict[int, Callable[[do.Answer], None]] = {}
        self._requests = 0
        self._stepped: Now
        self._alarm = trio.CancelScope()
        self._nursery: trio.Nursery

    # -- life -----------------------------------------------------------------------------------------------------

    async def load(self, store: Store) -> None:
        """Restore what the store holds. Done once, before `run`."""
        self.store = store
        async for payload in store.load():
            try:
                self.agent.table.merge(codec.decode_changes(payload), None)
            except RemoteProtocolError as error:
                store.doubt(f"a payload cannot be read: {error}")
            await trio.lowlevel.checkpoint()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until the machine says Exit. Raises ListenError before it has started, and what broke the machine."""
        assert self.store is not None, "load() comes first"
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self.listener.serve, self.setup.listen)
            nursery.start_soon(self._timer)
            self.step(on.Started(self.store.term, kept_clock.read(self.store.clock, self.boot_id)))
            task_status.started()
            await self._exit.wait()
            for number in list(self.links):
                self._end(number, Code.STOPPING, "stopping")
            for link in list(self._leaving):
                await link.wait_closed()
            nursery.cancel_scope.cancel()
        if self._broken is not None:
            raise self._broken

    def stop(self) -> None:
        """Hand over and end (SIGTERM). The machine must have been started."""
        self.step(on.StopAsked())

    # -- the machine ----------------------------------------------------------------------------------------------

    def step(self, event: on.Event) -> None:
        """One event, and all that follows from it. Raises nothing; once the machine is broken, does nothing."""
        if self._broken is not None:
            return
        self._inbox.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._inbox:
                self._stepped = self.clock()
                for command in self.agent.step(self._inbox.popleft(), self._stepped):
                    self._perform(command)
        except Exception as error:  # noqa: BLE001 - it ends the process: see run()
            self._broken = error
            self._exit.set()
        finally:
            self._stepping = False
        deadline = self.agent.deadline
        if deadline is not None and deadline != self._alarm.deadline:
            self._alarm.deadline = deadline

    async def _timer(self) -> None:
        while True:
            self._alarm = trio.CancelScope()
            self._alarm.deadline = self.agent.deadline or self.clock().monotonic_s
            with self._alarm:
                await trio.sleep_forever()
            self.step(on.DeadlinePassed())

    def stored(self, position: int) -> None:
        """The store's word."""
        self.step(on.Stored(position))

    def _perform(self, command: do.Command) -> None:
        match command:
            case do.Persist(position, payload):
                assert self.store is not None, "a change before the store was loaded"
                self.store.write(position, payload)
            case do.Relay(links, frames):
                for number in links:
                    if (link := self.links.get(number)) is not None:
                        link.send_frames(frames)
            case do.Send(links, message):
                for number in links:
                    if (link := self.links.get(number)) is not None:
                        link.send(message)
                        if isinstance(message, BULKY):
                            self._watch_room(number, link)
            case do.Tell(source, changes):
                self.tally.changes(source, changes)
                self.recent.note(self._stepped.wall_ms, command)
                if self.missed.watching:
                    self.missed.note(changes, self._stepped.monotonic_s)
            case _:
                self._perform_rarely(command)

    def _perform_rarely(self, command: do.Command) -> None:
        match command:
            case do.Close(number, code, text, elsewhere):
                self._end(number, code, text, elsewhere)
            case do.Dial(timeout_s):
                self._nursery.start_soon(self._dial, timeout_s)
            case do.Reach(site, agent, timeout_s):
                self._nursery.start_soon(self._reach, site, agent, timeout_s)
            case do.PersistTerm(term):
                assert self.store is not None, "a term before the store was loaded"
                self.store.write_term(term, lambda stored: None)  # not waited for: see above
            case do.PersistClock(offset_ms):
                assert self.store is not None, "a clock before the store was loaded"
                self.store.write_clock(kept_clock.write(offset_ms, self.boot_id))
            case do.Log(event, grade, keys):
                write = {"info": self.log.note, "warning": self.log.warning, "alarm": self.log.alarm}[grade]
                write(event, **keys)
            case do.AnnounceRole(role, term):
                self.tally.role(role)
                self.on_role(role, term)
            case do.CarryOut():
                self._nursery.start_soon(self._carry_out, command)
            case do.Answer():
                waiting = self._answers.pop(command.request, None)
                if waiting is not None:
                    waiting(command)
            case do.Exit():
                self._exit.set()
            case _:
                raise AssertionError(f"unknown command {command!r}")

    # -- links ----------------------------------------------------------------------------------------------------

    async def _admit(self, hello: Hello, address: str) -> Refusal | None:
        refusal = await self._judge(hello, address)
        if refusal is not None:
            self.refusals.note(hello.kind, hello.site, hello.id, address, refusal.text, self.clock().monotonic_s)
        return refusal

    async def _judge(self, hello: Hello, address: str) -> Refusal | None:
        configuration = self.setup.configuration
        full = len(self.links) >= configuration.limits.connections
        if full and hello.kind == "proxy":  # agents are few, and no proxy may keep a partner out
            return Refusal(Code.TOO_MANY, "this agent has all the links it may have: raise [limits] connections", 1_000)
        host = admission.host_of(hello, configuration)
        resolved = await _resolve(host) if host and addresses.network(host) is None else frozenset[str]()
        return admission.judge(hello, address, configuration, self.setup.site, self.setup.id, resolved)

    async def _linked(self, link: Link) -> None:
        """Serve a link that was accepted, to its end."""
        setup = self.setup
        unwanted = admission.unwanted(link.peer, setup.identity.secrets, setup.configuration)
        if unwanted is not None:  # a reload came while hands were shaken
            link.close(*unwanted)
        elif link.peer.kind == "check":
            link.close(Code.STOPPING, "checked")
        else:
            await self._serve(link)

    async def _dial(self, timeout_s: float) -> None:
        """Link to the partner, and serve that link; or tell why there is none."""
        partner = self.setup.partner
        assert partner is not None, "there is nobody to dial"
        try:
            link = await self._dialling.link_to(partner, partner.host, timeout_s)
        except LinkRefused as refused:
            self.sync_errors.failed("refused by", refused.text, refused.code, self.clock().monotonic_s)
            self.step(on.DialFailed(refused.code, refused.text, proven_dead=False))
        except LinkFailed as failed:
            self.sync_errors.failed(failed.kind, failed.text, None, self.clock().monotonic_s)
            self.step(on.DialFailed(ANSWERS.get(failed.kind), failed.text, proven_dead=failed.kind in DEAD))
        else:
            await self._serve(link)

    async def _reach(self, site: str, agent: str, timeout_s: float) -> None:
        """Link to an agent of another site, and serve that link; or tell why there is none."""
        entry = self.setup.configuration.agent(site, int(agent))
        try:
            if entry is None:
                raise LinkFailed("unlisted", f"agent {agent} of {site} is no longer in the file")
            link = await self._dialling.link_to(entry, entry.wan_host or entry.host, timeout_s)
        except LinkRefused as refused:
            self.step(on.NotReached(site, agent, refused.code, refused.text))
        except LinkFailed as failed:
            self.step(on.NotReached(site, agent, ANSWERS.get(failed.kind), failed.text))
        else:
            await self._serve(link)

    async def _serve(self, link: Link) -> None:
        """Hand a link's messages to the machine until it ends."""
        self._counter += 1
        number = self._counter
        self.links[number] = link
        peer = link.peer
        self.refusals.forget(peer.kind, peer.site, peer.id)
        if peer.kind == "agent" and peer.site == self.setup.site:
            self.sync_errors.linked()
        self.step(
            on.LinkOpened(
                link=number,
                kind=peer.kind,
                site=peer.site,
                id=peer.id,
                incarnation=peer.incarnation,
                address=peer.address,
                software=peer.software,
                configuration_equal=peer.configuration == self.setup.identity.configuration,
                wall_offset_ms=peer.wall_offset_ms,
                dialled=link.dialled,
            )
        )
        try:
            while True:
                self.step(on.MessagesReceived(number, tuple(await link.receive())))
        except LinkClosed as closed:
            self.links.pop(number, None)
            self.step(on.LinkClosed(number, closed.code, closed.text, closed.by_peer))
        except Exception as error:  # noqa: BLE001 - step raises nothing: a mistake in reading, which costs this link
            self.log.alarm("link.broken", peer=f"{peer.kind}-{peer.id}", error=repr(error))
            self._end(number, Code.PROTOCOL, "internal error")
            self.step(on.LinkClosed(number, Code.PROTOCOL, repr(error), proven_dead=False))
        finally:
            self.links.pop(number, None)
            link.close(Code.STOPPING, "stopping")
            self._lost_sight(peer)

    def _lost_sight(self, peer: Peer) -> None:
        """Of a proxy of this site that is listed by name it is kept what it misses until it is back."""
        own = (peer.kind, peer.site) == ("proxy", self.setup.site)
        listed = self.setup.configuration.proxy(peer.site, peer.id) if own else None
        if listed is not None and not listed.is_pattern and self.agent.peers.named("proxy", peer.site, peer.id) is None:
            self.missed.left(peer.id, self.clock().monotonic_s)

    def _end(self, number: int, code: Code, text: str, elsewhere: str = "") -> None:
        """Say why, and close; the link is given its time to leave, also when the process ends."""
        link = self.links.pop(number, None)
        if link is None:
            return
        if code == Code.DUPLICATE:
            peer = link.peer
            self.refusals.note(peer.kind, peer.site, peer.id, peer.address, text, self.clock().monotonic_s)
            self.log.warning("link.refused", reason=f"{peer.kind} {peer.site}/{peer.id} at {peer.address}: {text}")
        link.close(code, text, elsewhere)
        self._leaving.add(link)
        self._nursery.start_soon(self._see_off, link)

    async def _see_off(self, link: Link) -> None:
        await link.wait_closed()
        self._leaving.discard(link)

    def _watch_room(self, number: int, link: Link) -> None:
        """Have LinkDrained stepped once there is room for more bulk."""
        running = number in self._draining
        self._draining[number] = True
        if not running:
            self._nursery.start_soon(self._drain, number, link)

    async def _drain(self, number: int, link: Link) -> None:
        try:
            while self._draining[number] and number in self.links:
                self._draining[number] = False
                await link.wait_room(BULK_QUEUED_BYTES)
                self.step(on.LinkDrained(number))
        finally:
            del self._draining[number]

    # -- the operator ---------------------------------------------------------------------------------------------

    async def ask_machine(self, make: Callable[[int], on.Event]) -> do.Answer:
        """Step an event that asks something, and wait for its Answer. The caller sets the deadline."""
        self._requests += 1
        request, done = self._requests, trio.Event()
        answers: list[do.Answer] = []

        def answered(answer: do.Answer) -> None:
            answers.append(answer)
            done.set()

        self._answers[request] = answered
        try:
            self.step(make(request))
            await done.wait()
        finally:
            self._answers.pop(request, None)
        return answers[0]

    async def _carry_out(self, command: do.CarryOut) -> None:
        body = await self.carry_out(command.body)
        self.step(on.AdminDone(command.link, command.request, body))

    def apply(self, setup: Setup) -> None:
        """A reload. Links proven with a dropped secret, and of ids no longer listed, are closed with jitter.

        Their users stay logged in.
        """
        if setup.secret_id != self.setup.secret_id:
            self.agent.rekey(setup.digest_key, setup.secret_id)
        self.setup = setup
        for number, link in list(self.links.items()):
            if (verdict := admission.unwanted(link.peer, setup.identity.secrets, setup.configuration)) is not None:
                self._nursery.start_soon(self._close_later, number, *verdict)

    async def _close_later(self, number: int, code: Code, text: str) -> None:
        """Close a link; the machine hears of it as of any other end."""
        await trio.sleep(RELOAD_JITTER_S * self.dice.random())
        link = self.links.get(number)
        if link is not None:
            link.close(code, text)


async def _resolve(host: str) -> frozenset[str]:
    """The addresses of a name; none when it has none."""
    try:
        found = await trio.socket.getaddrinfo(host, None)
    except OSError:
        return frozenset()
    return frozenset(str(address[0]) for *_, address in found)
